//! Asks a token server for a token (distribution "Token Authentication Specification" and its OAuth2 form).
//!
//! Must not know when a token is needed or how long it is kept. Invariants: the realm was admitted by `realm`; the
//! credential goes there and not along a redirect; an answer of the server is bounded in size and its lifetime in range.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use crate::answer::Answer;
use crate::basic::{Credential, basic_header, bearer_header};
use crate::body::read_document;
use crate::error::ClientError;
use crate::exchange::ExchangeKind;
use crate::form;
use crate::json_object;
use crate::realm::Realm;
use crate::redirect::{Journey, MayLeave, follow};
use crate::secret::Secret;
use crate::token_cache::Token;
use crate::transport::{Attempt, Transport};
use crate::upstream_error::{Asked, from_answer, read_start};

/// Largest answer of a token server.
const MAX_TOKEN_BODY: usize = 1024 * 1024;

/// Lifetime when the answer names none (token specification: 60 seconds).
const DEFAULT_LIFETIME: Duration = Duration::from_mins(1);

/// Longest lifetime believed: a token is cheap to get again, and a revoked right should not outlive this.
const MAX_LIFETIME_SECONDS: f64 = 3600.0;

/// How we name ourselves to an OAuth2 token server.
const CLIENT_ID: &str = "transship";

/// What to ask for.
pub(crate) struct TokenRequest<'a> {
    pub(crate) realm: &'a Realm,
    pub(crate) service: Option<&'a str>,
    pub(crate) scopes: &'a [String],
    pub(crate) credential: Option<&'a Credential>,
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
    attempt: Attempt,
) -> Result<Token, ClientError> {
    let asked_at = Instant::now();
    let (answer, method) = match request.credential {
        Some(Credential::IdentityToken(token)) => {
            let grant = [("grant_type", "refresh_token"), ("refresh_token", token.expose())];
            (post(transport, request, &grant, attempt).await?, Method::POST)
        }
        Some(Credential::Basic { username, password }) => {
            let answer = get(transport, request, Some(&basic_header(username, password)), attempt).await?;
            if matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) {
                // A server of the OAuth2 form alone.
                read_start(answer).await;
                let grant = [("grant_type", "password"), ("username", username), ("password", password.expose())];
                (post(transport, request, &grant, attempt).await?, Method::POST)
            } else {
                (answer, Method::GET)
            }
        }
        // A static token is for the upstream itself and never gets here.
        Some(Credential::Bearer(_)) | None => (get(transport, request, None, attempt).await?, Method::GET),
    };
    if !answer.status.is_success() {
        let secrets: Vec<Secret> = request.credential.map(Credential::secrets).unwrap_or_default();
        return Err(from_answer(answer, &method, Asked::TokenServer, &secrets).await);
    }
    read(transport, answer, asked_at).await
}

/// The form of the distribution's token specification.
async fn get(
    transport: &Transport,
    request: &TokenRequest<'_>,
    authorization: Option<&HeaderValue>,
    attempt: Attempt,
) -> Result<Answer, ClientError> {
    let mut url = request.realm.url().clone();
    {
        let mut query = url.query_pairs_mut();
        if let Some(service) = request.service {
            query.append_pair("service", service);
        }
        query.extend_pairs(request.scopes.iter().map(|scope| ("scope", scope)));
    }
    follow(transport, &journey(&Method::GET, &url, &HeaderMap::new(), authorization, Bytes::new()), attempt).await
}

/// The form of its OAuth2 companion: secrets go in the body.
async fn post(
    transport: &Transport,
    request: &TokenRequest<'_>,
    grant: &[(&str, &str)],
    attempt: Attempt,
) -> Result<Answer, ClientError> {
    let scopes = request.scopes.join(" ");
    let service = request.service.map(|service| ("service", service));
    let scope = (!scopes.is_empty()).then_some(("scope", scopes.as_str()));
    let fields = grant.iter().copied().chain([("client_id", CLIENT_ID)]).chain(service).chain(scope);
    let (headers, body) = (form::headers(), form::encode(fields));
    follow(transport, &journey(&Method::POST, request.realm.url(), &headers, None, body), attempt).await
}

fn journey<'a>(
    method: &'a Method,
    url: &'a Url,
    headers: &'a HeaderMap,
    authorization: Option<&'a HeaderValue>,
    body: Bytes,
) -> Journey<'a> {
    let (kind, may_leave) = (ExchangeKind::Token, MayLeave::Nothing);
    Journey { method, url, headers, authorization, traceparent: None, body: body.into(), kind, may_leave }
}

async fn read(transport: &Transport, answer: Answer, asked_at: Instant) -> Result<Token, ClientError> {
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
