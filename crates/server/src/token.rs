//! `GET|POST /token`: the token service that `docker login` and `docker push` talk to (distribution's token
//! specification; OAuth2's password grant for clients that post).
//!
//! There are no accounts but the admin token, so a token says who its holder is, the admin or nobody, and what that may
//! do is decided at each request. Must not know repositories. Invariants: tokens are made with a key that lives as long as
//! the process and is stored nowhere; a token ends; a wrong password gets none.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use axum::body::Body;
use axum::extract::{FromRequest, Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Form, Json};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use oci::ErrorCode;
use serde::Deserialize;
use serde_json::json;

use crate::respond::Failure;
use crate::state::App;
use crate::v2::gate::basic;

/// How long a token is good for. Long enough for a layer's upload to begin; the next request fetches another.
const LIFETIME: Duration = Duration::from_mins(15);

/// How long what a client posts may take.
const LONGEST_BODY: Duration = Duration::from_secs(30);

/// Who holds a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bearer {
    /// Who showed the admin token.
    Admin,
    /// Who showed nothing.
    Nobody,
}

impl Bearer {
    const ALL: [Self; 2] = [Self::Admin, Self::Nobody];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Nobody => "nobody",
        }
    }
}

/// Makes tokens and reads them again.
pub(crate) struct Tokens {
    key: hmac::Key,
}

impl Tokens {
    /// With a key of its own.
    pub(crate) fn new() -> Self {
        let random = aws_lc_rs::rand::SystemRandom::new();
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &random);
        Self { key: key.expect("the library's generator of random numbers does not fail once it has started") }
    }

    /// A token: `<holder>.<end, in seconds since 1970>.<code>`.
    fn make(&self, bearer: Bearer, now: SystemTime) -> String {
        let end = seconds(now) + LIFETIME.as_secs();
        let said = format!("{}.{end}", bearer.as_str());
        let code = URL_SAFE_NO_PAD.encode(hmac::sign(&self.key, said.as_bytes()));
        format!("{said}.{code}")
    }

    /// Who holds this token; `None` when it is not one of ours, or has ended.
    pub(crate) fn read(&self, token: &str, now: SystemTime) -> Option<Bearer> {
        let (said, code) = token.rsplit_once('.')?;
        let code = URL_SAFE_NO_PAD.decode(code).ok()?;
        hmac::verify(&self.key, said.as_bytes(), &code).ok()?;
        let (holder, end) = said.split_once('.')?;
        let bearer = Bearer::ALL.into_iter().find(|bearer| bearer.as_str() == holder)?;
        (seconds(now) < end.parse().ok()?).then_some(bearer)
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// `GET /token`: with Basic for who has a login, without for who has none.
pub(crate) async fn get(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let bearer = match (given.next(), given.next()) {
        (None, _) => Some(Bearer::Nobody),
        (Some(only), None) => basic(only).and_then(|(username, password)| judge(&app, &username, &password)),
        (Some(_), Some(_)) => None,
    };
    bearer.map_or_else(refused, |bearer| answer(&app, bearer))
}

/// What clients post (RFC 6749 section 4.3).
#[derive(Deserialize)]
pub(crate) struct Grant {
    #[serde(rename = "grant_type")]
    kind: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
}

/// `POST /token`.
pub(crate) async fn post(State(app): State<Arc<App>>, request: Request) -> Response {
    let form = tokio::time::timeout(LONGEST_BODY, Form::<Grant>::from_request(request, &()));
    let Ok(Ok(Form(Grant { kind, username, password }))) = form.await else { return bad("invalid_request") };
    if kind != "password" {
        return bad("unsupported_grant_type");
    }
    judge(&app, &username, &password).map_or_else(refused, |bearer| answer(&app, bearer))
}

/// Any user name goes with the admin token; no name and no password is nobody.
fn judge(app: &App, username: &str, password: &str) -> Option<Bearer> {
    if app.admin_token.is(password) {
        return Some(Bearer::Admin);
    }
    (username.is_empty() && password.is_empty()).then_some(Bearer::Nobody)
}

fn answer(app: &App, bearer: Bearer) -> Response {
    let now = SystemTime::now();
    let token = app.tokens.make(bearer, now);
    let issued_at = humantime::format_rfc3339_seconds(now).to_string();
    let body = json!({
        "token": token, "access_token": token, "expires_in": LIFETIME.as_secs(), "issued_at": issued_at,
    });
    ([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(body)).into_response()
}

fn refused() -> Response {
    let message = "wrong password; log in with any user name, and with the text in admin.token as the password";
    Failure::new(StatusCode::UNAUTHORIZED, ErrorCode::Unauthorized, message)
        .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"transship\""))
        .into_response()
}

/// An error as OAuth2 writes it (RFC 6749 section 5.2).
fn bad(error: &str) -> Response {
    let mut response = Response::new(Body::from(json!({ "error": error }).to_string()));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_who_holds_it_until_it_ends() {
        let (tokens, now) = (Tokens::new(), SystemTime::now());
        for bearer in Bearer::ALL {
            let token = tokens.make(bearer, now);
            assert_eq!(tokens.read(&token, now), Some(bearer));
            assert_eq!(tokens.read(&token, now + LIFETIME - Duration::from_secs(1)), Some(bearer));
            assert_eq!(tokens.read(&token, now + LIFETIME), None);
            assert_eq!(Tokens::new().read(&token, now), None, "another process has another key");
        }
    }

    #[test]
    fn a_changed_token_opens_nothing() {
        let (tokens, now) = (Tokens::new(), SystemTime::now());
        let token = tokens.make(Bearer::Nobody, now);
        let (said, code) = token.rsplit_once('.').unwrap();
        let end = said.split_once('.').unwrap().1;
        for changed in [
            format!("admin.{end}.{code}"),
            format!("nobody.{end}0.{code}"),
            format!("{said}.{}", code.replace(|c: char| c.is_ascii_lowercase(), "A")),
            format!("{said}.{}", &code[1..]),
            format!("{said}."),
            said.to_owned(),
            String::new(),
            "..".to_owned(),
            "admin".to_owned(),
            format!("{token} "),
        ] {
            assert_eq!(tokens.read(&changed, now), None, "{changed}");
        }
    }
}
