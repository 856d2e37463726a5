//! Credential helpers by docker's protocol: `docker-credential-<name> get`, the server on standard input, JSON back.
//!
//! Must not know which upstream asks. Invariants: nothing but the server's name goes to the program; "not found" is no
//! error but the answer that there is no credential.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;

use super::program::{Program, run};
use super::source::{Lasts, Obtained};
use crate::basic::Credential;
use crate::json_object;
use crate::secret::Secret;

/// How long an answer is good: helpers do not say, and cloud tokens they hand out live from an hour on.
const LIFETIME: Duration = Duration::from_mins(5);

/// The user name that says that the secret is an identity token.
const TOKEN_USER: &str = "<token>";

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Username")]
    username: String,
    #[serde(rename = "Secret")]
    secret: String,
}

/// Asks the helper. `name` is a path, or what stands behind `docker-credential-`.
pub(super) async fn obtain(name: &str, server: &str) -> Result<Obtained, String> {
    let path = match name {
        path if path.contains('/') || path.starts_with("docker-credential-") => path.to_owned(),
        name => format!("docker-credential-{name}"),
    };
    let arguments = ["get".to_owned()];
    let environment = BTreeMap::new();
    let ran = run(&Program { path: &path, arguments: &arguments, environment: &environment, input: server }).await?;
    let now = Instant::now();
    let lasts = Lasts::Until { refresh_at: now + LIFETIME * 4 / 5, expires_at: now + LIFETIME };
    if !ran.status.success() {
        if ran.output.to_ascii_lowercase().contains("credentials not found") {
            return Ok(Obtained { credential: None, lasts });
        }
        return Err(format!("{path} get failed ({}); run it by hand with '{server}' as its input", ran.status));
    }
    let answer: Answer = json_object::parse(ran.output.as_bytes())
        .map_err(|why| format!("what {path} get prints for '{server}' cannot be read: {why}"))?;
    Ok(Obtained { credential: credential(answer.username, answer.secret), lasts })
}

fn credential(username: String, secret: String) -> Option<Credential> {
    if secret.is_empty() {
        return None;
    }
    let secret = Secret::new(secret);
    if username == TOKEN_USER {
        return Some(Credential::IdentityToken(secret));
    }
    Some(Credential::Basic { username, password: secret })
}
