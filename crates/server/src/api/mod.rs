//! The management API: JSON in, JSON out, for those who show the admin token.
//!
//! Must not know where repositories are kept. Invariants: nothing under `/api` is answered without the token; the
//! token itself is not in memory, only its hash.

pub(crate) mod check;
pub(crate) mod exchanges;
pub(crate) mod explain;
pub(crate) mod gc;
pub(crate) mod groups;
pub(crate) mod json_body;
pub(crate) mod over_time;
pub(crate) mod promotions;
pub(crate) mod repos;
pub(crate) mod tags;
pub(crate) mod upstreams;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use oci::ErrorCode;

use crate::respond::Failure;
use crate::state::App;

/// What a management call must show as `Authorization: Bearer <token>`.
#[derive(Clone)]
pub struct AdminToken {
    hash: [u8; 32],
}

impl AdminToken {
    /// Takes the token as it stands in its file, without the line break.
    pub fn new(token: &str) -> Self {
        Self { hash: hash(token.trim().as_bytes()) }
    }

    /// Whether these headers carry the token. Takes the same time for any wrong token: hashes are compared, and in
    /// constant time.
    fn is_shown(&self, headers: &HeaderMap) -> bool {
        let mut given = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(only), None) = (given.next(), given.next()) else { return false };
        let Some((scheme, token)) = only.to_str().ok().and_then(|value| value.split_once(' ')) else { return false };
        scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty() && self.is(token)
    }

    /// Whether this text is the token.
    pub(crate) fn is(&self, text: &str) -> bool {
        verify_slices_are_equal(&hash(text.trim().as_bytes()), &self.hash).is_ok()
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken(…)")
    }
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes).as_ref().try_into().expect("SHA-256 gives 32 bytes")
}

/// The value of a query parameter that may stand once.
fn once<'a>(pairs: &'a [(String, String)], name: &str) -> Result<Option<&'a str>, Failure> {
    let mut values = pairs.iter().filter(|(given, _)| given == name).map(|(_, value)| value.as_str());
    let first = values.next();
    if values.next().is_some() {
        let message = format!("{name}: stands more than once");
        return Err(Failure::new(StatusCode::BAD_REQUEST, ErrorCode::Unsupported, message));
    }
    Ok(first)
}

/// The query as it came, when it has only these parameters.
fn known_pairs(
    pairs: Result<Query<Vec<(String, String)>>, QueryRejection>,
    known: &[&str],
) -> Result<Vec<(String, String)>, Failure> {
    let bad = |message: String| Failure::new(StatusCode::BAD_REQUEST, ErrorCode::Unsupported, message);
    let Query(pairs) = pairs.map_err(|rejection| bad(rejection.body_text()))?;
    match pairs.iter().find(|(name, _)| !known.contains(&name.as_str())) {
        Some((unknown, _)) => Err(bad(format!("{unknown}: unknown parameter; there are {}", known.join(", ")))),
        None => Ok(pairs),
    }
}

/// A query parameter that may stand once, read.
fn parsed<T: FromStr<Err: fmt::Display>>(pairs: &[(String, String)], name: &str) -> Result<Option<T>, Failure> {
    let read = |text: &str| {
        text.parse().map_err(|error: T::Err| {
            Failure::new(StatusCode::BAD_REQUEST, ErrorCode::Unsupported, format!("{name}: {error}"))
        })
    };
    once(pairs, name)?.map(read).transpose()
}

/// Lets a call pass that shows the admin token.
pub(crate) async fn require_admin(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if app.admin_token.is_shown(request.headers()) {
        return next.run(request).await;
    }
    let message =
        "management needs the admin token: Authorization: Bearer <the text in admin.token of the cache directory>";
    Failure::new(StatusCode::UNAUTHORIZED, ErrorCode::Unauthorized, message)
        .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"transship\""))
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_itself_opens() {
        let token = AdminToken::new("s3cret-Token\n");
        let shown = |values: &[&str]| {
            let headers = values.iter().map(|v| (header::AUTHORIZATION, HeaderValue::from_str(v).unwrap())).collect();
            token.is_shown(&headers)
        };
        assert!(shown(&["Bearer s3cret-Token"]));
        assert!(shown(&["bearer  s3cret-Token"]));
        for wrong in [
            &[][..],
            &[""],
            &["Bearer"],
            &["Bearer "],
            &["Bearer s3cret-Toke"],
            &["Bearer s3cret-Token2"],
            &["Bearer S3CRET-TOKEN"],
            &["Basic s3cret-Token"],
            &["s3cret-Token"],
            &["Bearer s3cret-Token", "Bearer s3cret-Token"],
            &["Bearer s3cret-Token", "Bearer x"],
        ] {
            assert!(!shown(wrong), "{wrong:?}");
        }
        assert!(
            !AdminToken::new("")
                .is_shown(&HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static("Bearer "))]))
        );
    }

    #[test]
    fn the_token_does_not_print() {
        assert!(!format!("{:?}", AdminToken::new("s3cret")).contains("s3cret"));
    }
}
