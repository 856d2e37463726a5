//! Asks a token server for a token (distribution "Token Authentication Specification", GET form).
//!
//! Must not know when a token is needed or how long it is kept. Invariants: the realm was admitted by `realm`; the
//! credential goes there and not along a redirect; an answer of the server is bounded in size and its lifetime in range.

use std::time::Duration;

use http::{HeaderMap, Method};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::basic::{Credential, basic_header, bearer_header};
use crate::body::read_document;
use crate::error::ClientError;
use crate::exchange::ExchangeKind;
use crate::json_object;
use crate::realm::Realm;
use crate::redirect::{Journey, MayLeave, follow};
use crate::secret::Secret;
use crate::token_cache::Token;
use crate::transport::{Attempt, Transport};
use crate::upstream_error::{Asked, from_answer};

/// Largest answer of a token server.
const MAX_TOKEN_BODY: usize = 1024 * 1024;

/// Lifetime when the answer names none (token specification: 60 seconds).
const DEFAULT_LIFETIME: Duration = Duration::from_mins(1);

/// Longest lifetime believed: a token is cheap to get again, and a revoked right should not outlive this.
const MAX_LIFETIME_SECONDS: f64 = 3600.0;

/// What to ask for.
pub(crate) struct TokenRequest<'a> {
    pub(crate) realm: &'a Realm,
    pub(crate) service: Option<&'a str>,
    pub(crate) scopes: &'a [String],
}

#[derive(Deserialize)]
struct TokenBody {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
    #[serde(default)]
    expires_in: Option<Value>,
}

/// Gets a token, with the credential when there is one.
pub(crate) async fn fetch(
    transport: &Transport,
    request: &TokenRequest<'_>,
    credential: Option<&Credential>,
    attempt: Attempt,
) -> Result<Token, ClientError> {
    let asked_at = Instant::now();
    let mut url = request.realm.url().clone();
    {
        let mut query = url.query_pairs_mut();
        if let Some(service) = request.service {
            query.append_pair("service", service);
        }
        query.extend_pairs(request.scopes.iter().map(|scope| ("scope", scope)));
    }
    let authorization = match credential {
        Some(Credential::Basic { username, password }) => Some(basic_header(username, password)),
        // Such a token is for the upstream itself and never gets here.
        Some(Credential::Bearer(_)) | None => None,
    };
    let journey = Journey {
        method: &Method::GET,
        url: &url,
        headers: &HeaderMap::new(),
        authorization: authorization.as_ref(),
        traceparent: None,
        kind: ExchangeKind::Token,
        may_leave: MayLeave::Nothing,
    };
    let answer = follow(transport, &journey, attempt).await?;
    if !answer.status.is_success() {
        return Err(from_answer(answer, &Method::GET, Asked::TokenServer, credential).await);
    }
    let body = read_document(answer, "a token server's answer", MAX_TOKEN_BODY).await?;
    let wrong = |what: &str| ClientError::Protocol {
        upstream: transport.upstream().clone(),
        what: format!("the token server's answer {what}"),
    };
    let body: TokenBody = json_object::parse(&body).map_err(|why| wrong(&format!("cannot be read: {why}")))?;
    let text = [body.token, body.access_token].into_iter().flatten().find(|text| !text.is_empty());
    let text = Secret::new(text.ok_or_else(|| wrong("holds no token"))?);
    bearer_header(&text).ok_or_else(|| wrong("holds a token that no header can carry"))?;
    Ok(Token::new(text, asked_at, lifetime(body.expires_in.as_ref())))
}

/// `expires_in` in seconds, 1 to 3600; servers also write it as a float or a string.
fn lifetime(expires_in: Option<&Value>) -> Duration {
    let seconds = match expires_in {
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.parse().ok(),
        Some(_) | None => None,
    };
    match seconds.filter(|seconds| !seconds.is_nan()) {
        Some(seconds) => Duration::from_secs_f64(seconds.clamp(1.0, MAX_LIFETIME_SECONDS)),
        None => DEFAULT_LIFETIME,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lifetimes_are_kept_in_range() {
        let cases = [
            (json!(300), 300.0),
            (json!(0), 1.0),
            (json!(-5), 1.0),
            (json!(1e18), 3600.0),
            (json!(90.5), 90.5),
            (json!("120"), 120.0),
            (json!("NaN"), 60.0),
            (json!("soon"), 60.0),
            (json!(null), 60.0),
            (json!([]), 60.0),
        ];
        for (value, seconds) in cases {
            assert!((lifetime(Some(&value)).as_secs_f64() - seconds).abs() < 1e-9, "{value}");
        }
        assert_eq!(lifetime(None), DEFAULT_LIFETIME);
    }
}
