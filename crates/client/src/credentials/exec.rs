//! A program of the operator's that prints a credential and may say how long it lives.
//!
//! Must not know the upstream's protocol. Invariant: what cannot be read is refused without being quoted.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use super::program::{Program, run};
use super::source::{Lasts, Obtained};
use crate::basic::{Credential, bearer_header};
use crate::json_object;
use crate::secret::Secret;

/// The program and how long what it prints is used when it does not say.
#[derive(Clone, Debug)]
pub struct ExecHelper {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Added to the environment it inherits.
    pub environment: BTreeMap<String, String>,
    /// How long its answer is used at most.
    pub lifetime: Duration,
}

#[derive(Deserialize)]
struct Answer {
    username: Option<String>,
    password: Option<String>,
    token: Option<String>,
    identity_token: Option<String>,
    expires_in: Option<Value>,
    expires_at: Option<Value>,
}

/// Runs the program for the upstream `server`, which it finds in `TRANSSHIP_UPSTREAM`.
pub(super) async fn obtain(helper: &ExecHelper, server: &str) -> Result<Obtained, String> {
    let Some((path, arguments)) = helper.command.split_first() else { return Err("the command is empty".to_owned()) };
    let mut environment = helper.environment.clone();
    environment.insert("TRANSSHIP_UPSTREAM".to_owned(), server.to_owned());
    let asked_at = Instant::now();
    let ran = run(&Program { path, arguments, environment: &environment, input: "" }).await?;
    if !ran.status.success() {
        return Err(format!("{path} failed ({}); run it by hand to see why", ran.status));
    }
    let (credential, stated) = read(ran.output.trim()).map_err(|why| format!("what {path} prints {why}"))?;
    let lifetime = stated.map_or(helper.lifetime, |stated| stated.min(helper.lifetime));
    Ok(Obtained { credential: Some(credential), lasts: Lasts::from(asked_at, lifetime) })
}

/// JSON, or the bare token.
fn read(output: &str) -> Result<(Credential, Option<Duration>), String> {
    if !json_object::starts_as_object(output.as_bytes()) {
        let token = Secret::new(output);
        if output.is_empty() || bearer_header(&token).is_none() || output.contains(char::is_whitespace) {
            return Err("is neither a JSON object nor one token".to_owned());
        }
        return Ok((Credential::Bearer(token), None));
    }
    let answer: Answer = json_object::parse(output.as_bytes()).map_err(|why| format!("cannot be read: {why}"))?;
    let stated = stated_lifetime(&answer, SystemTime::now());
    let credential = match answer {
        Answer { username: Some(username), password: Some(password), token: None, identity_token: None, .. } => {
            Credential::Basic { username, password: Secret::new(password) }
        }
        Answer { username: None, password: None, token: Some(token), identity_token: None, .. } => {
            Credential::Bearer(Secret::new(token))
        }
        Answer { username: None, password: None, token: None, identity_token: Some(token), .. } => {
            Credential::IdentityToken(Secret::new(token))
        }
        _ => return Err("must have username and password, or token, or identity_token".to_owned()),
    };
    if credential.secret().expose().is_empty() {
        return Err("holds an empty secret".to_owned());
    }
    Ok((credential, stated))
}

/// `expires_in` in seconds, or `expires_at` as a time (RFC 3339) or in seconds of the epoch.
fn stated_lifetime(answer: &Answer, now: SystemTime) -> Option<Duration> {
    let seconds = |value: &Value| match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    let in_range = |seconds: f64| Duration::try_from_secs_f64(seconds.clamp(0.0, 1e9)).ok();
    if let Some(lifetime) = answer.expires_in.as_ref().and_then(seconds).and_then(in_range) {
        return Some(lifetime);
    }
    let at = answer.expires_at.as_ref()?;
    let at = match at.as_str().and_then(|text| humantime::parse_rfc3339(text).ok()) {
        Some(at) => at,
        None => {
            SystemTime::UNIX_EPOCH
                + seconds(at).and_then(|seconds| Duration::try_from_secs_f64(seconds.clamp(0.0, 1e11)).ok())?
        }
    };
    Some(at.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_or_refused_unquoted() {
        let basic = read(r#"{"username":"u","password":"p","expires_in":60}"#).unwrap();
        assert!(matches!(basic, (Credential::Basic { .. }, Some(lifetime)) if lifetime == Duration::from_mins(1)));
        assert!(matches!(read("abc.def").unwrap(), (Credential::Bearer(_), None)));
        assert!(matches!(read(r#"{"token":"t"}"#).unwrap(), (Credential::Bearer(_), None)));
        assert!(matches!(read(r#"{"identity_token":"t"}"#).unwrap(), (Credential::IdentityToken(_), None)));
        for output in [
            "",
            "canary two words",
            "{\"token\":\"\"}",
            "{\"username\":\"canary\"}",
            "{\"canary",
            "{\"token\":\"canary\",\"password\":\"canary\"}",
        ] {
            let error = read(output).expect_err(output);
            assert!(!error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn ends_are_read_in_each_form() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let lives =
            |json: &str| stated_lifetime(&serde_json::from_str(json).unwrap(), now).map(|lives| lives.as_secs());
        assert_eq!(lives(r#"{"expires_in":"90"}"#), Some(90));
        assert_eq!(lives(r#"{"expires_at":1060}"#), Some(60));
        assert_eq!(lives(r#"{"expires_at":"1970-01-01T00:18:00Z"}"#), Some(80));
        assert_eq!(lives(r#"{"expires_at":1}"#), Some(0));
        assert_eq!(lives(r#"{"expires_at":"soon"}"#), None);
        assert_eq!(lives(r#"{"expires_in":1e300}"#), Some(1_000_000_000));
    }
}
