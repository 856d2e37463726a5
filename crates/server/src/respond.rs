//! The only file that turns an error into a status.
//!
//! The table is `status_of`. Must not know endpoints. Invariants: every error has a body
//! `{"errors":[{code,message,detail}]}` whose detail holds the request id; an upstream's failure is never a 404; no
//! error may be kept by caches.

mod groups;
mod hosted;

pub(crate) use self::hosted::received_range;

use std::time::Duration;

use axum::response::IntoResponse;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode, header};
use oci::{ErrorBody, ErrorCode, ErrorEntry};
use registry::{GroupError, HostedError, PullError};
use serde_json::{Value, json};

use crate::body::{Content, ReplyBody};
use crate::middleware::request_id::RequestId;
use crate::path::InvalidPath;
use crate::query::InvalidQuery;

/// Wait suggested to clients when upstream limits requests and names no time.
const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(10);
/// Wait suggested when upstream was too slow.
const RETRY_AFTER_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait passed on: an upstream's odd value must not keep clients away for days.
const RETRY_AFTER_MOST: Duration = Duration::from_hours(1);

/// An answer that is an error.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    entries: Vec<ErrorEntry>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Failure {
    pub(crate) fn new(status: StatusCode, code: ErrorCode, message: impl Into<String>) -> Self {
        Self::with_entries(status, vec![ErrorEntry { code, message: message.into(), detail: Value::Null }])
    }

    pub(crate) fn with_entries(status: StatusCode, entries: Vec<ErrorEntry>) -> Self {
        Self { status, entries, headers: Vec::new() }
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Adds where an upload is to an answer that says how far it has come.
    pub(crate) fn with_location_of_range(self, path: &str) -> Self {
        let tells_range = self.headers.iter().any(|(name, _)| *name == header::RANGE);
        match HeaderValue::from_str(path) {
            Ok(path) if tells_range => self.with_header(header::LOCATION, path),
            Ok(_) | Err(_) => self,
        }
    }

    /// A method that the endpoint does not have.
    pub(crate) fn method_not_allowed(allow: &'static str, message: &str) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::Unsupported, message)
            .with_header(header::ALLOW, HeaderValue::from_static(allow))
    }

    /// Says which member of which group it is about.
    pub(crate) fn of_member(mut self, group: &str, member: &str) -> Self {
        for entry in &mut self.entries {
            if let Value::Null = entry.detail {
                entry.detail = json!({});
            }
            let Value::Object(detail) = &mut entry.detail else { continue };
            detail.insert("group".into(), group.into());
            detail.insert("member".into(), member.into());
            entry.message = format!("{} (member '{member}' answers for this name in group '{group}')", entry.message);
        }
        self
    }

    /// A fault of ours that has been logged.
    pub(crate) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            ErrorCode::Unknown,
            "internal error; the log of the server tells more under the request id",
        )
    }

    /// The first message, for the log.
    pub(crate) fn message(&self) -> String {
        self.entries.first().map(|entry| entry.message.clone()).unwrap_or_default()
    }

    /// Makes the response; one to HEAD has the same head and no body.
    pub(crate) fn render(self, request_id: &RequestId, method: &Method) -> Response<ReplyBody> {
        let errors = self.entries.into_iter().map(|entry| with_request_id(entry, request_id)).collect();
        // Strings, numbers and maps with string keys: this cannot fail.
        let body = serde_json::to_vec(&ErrorBody { errors }).unwrap_or_default();
        let length = HeaderValue::from(body.len());
        let content = if method == Method::HEAD { Content::Empty } else { Content::Whole(body.into()) };
        let mut response = Response::new(ReplyBody::new(content));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CONTENT_LENGTH, length);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(self.headers.into_iter().map(|(name, value)| (Some(name), value)));
        response
    }
}

fn with_request_id(mut entry: ErrorEntry, request_id: &RequestId) -> ErrorEntry {
    match &mut entry.detail {
        Value::Object(detail) => {
            detail.insert("request_id".into(), request_id.as_str().into());
        }
        Value::Null => entry.detail = json!({ "request_id": request_id.as_str() }),
        other => entry.detail = json!({ "request_id": request_id.as_str(), "about": other.take() }),
    }
    entry
}

/// For routes that the router library calls: the failure travels in the response's extensions and is written by the
/// same code as all others.
impl IntoResponse for Failure {
    fn into_response(self) -> axum::response::Response {
        let mut response = axum::response::Response::default();
        *response.status_mut() = self.status;
        response.extensions_mut().insert(self);
        response
    }
}

/// The status policy: what each failed pull is answered with.
fn status_of(error: &PullError) -> (StatusCode, ErrorCode) {
    match error {
        PullError::NameInvalid(_) => (StatusCode::BAD_REQUEST, ErrorCode::NameInvalid),
        PullError::NameUnknown(_) => (StatusCode::NOT_FOUND, ErrorCode::NameUnknown),
        // An authoritative "no" of upstream: clients go on to their next mirror.
        PullError::ManifestUnknown { .. } => (StatusCode::NOT_FOUND, ErrorCode::ManifestUnknown),
        PullError::BlobUnknown { .. } => (StatusCode::NOT_FOUND, ErrorCode::BlobUnknown),
        // Not 401: the client would log in to us again and again, and it is we who were refused.
        PullError::Denied { .. } => (StatusCode::FORBIDDEN, ErrorCode::Denied),
        // It is upstream that wants to lead us astray; the client may do what it asks for.
        PullError::EgressRefused { .. } => (StatusCode::BAD_GATEWAY, ErrorCode::Denied),
        // The client can do something about it: show its own account.
        PullError::Unauthorized { .. } => (StatusCode::UNAUTHORIZED, ErrorCode::Unauthorized),
        PullError::RateLimited { .. } => (StatusCode::TOO_MANY_REQUESTS, ErrorCode::TooManyRequests),
        PullError::UpstreamFailed { .. } | PullError::UpstreamUnreachable { .. } | PullError::Corrupt { .. } => {
            (StatusCode::BAD_GATEWAY, ErrorCode::Unknown)
        }
        PullError::ManifestInvalid { .. } => (StatusCode::BAD_GATEWAY, ErrorCode::ManifestInvalid),
        PullError::UpstreamTimeout { .. } => (StatusCode::GATEWAY_TIMEOUT, ErrorCode::Unknown),
        PullError::Hosted(error) => hosted::status_of(error),
        PullError::Group(error) => groups::status_of(error),
        PullError::Unsupported(_) => (StatusCode::NOT_IMPLEMENTED, ErrorCode::Unsupported),
        PullError::Storage(_) => (StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::Unknown),
        PullError::AccessUndecided { .. } | PullError::UpstreamResting { .. } | PullError::ShuttingDown => {
            (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unknown)
        }
    }
}

/// What a caller without a usable account is asked for: its own, as Basic (RFC 7617), because the tokens it could get
/// from us would have to be minted elsewhere.
pub(crate) fn challenge(upstream: &str) -> HeaderValue {
    // An upstream's address is a URL without quotes.
    let value = HeaderValue::try_from(format!("Basic realm=\"{upstream}\""));
    value.unwrap_or(HeaderValue::from_static("Basic realm=\"upstream\""))
}

fn retry_after(error: &PullError) -> Option<Duration> {
    match error {
        PullError::RateLimited { retry_after, .. } => {
            Some(retry_after.unwrap_or(RETRY_AFTER_DEFAULT).min(RETRY_AFTER_MOST))
        }
        PullError::UpstreamResting { retry_after, .. } => Some((*retry_after).min(RETRY_AFTER_MOST)),
        // The first header is sent before containerd gives up; a client that waits a little finds a shared answer.
        PullError::UpstreamTimeout { .. } => Some(RETRY_AFTER_TIMEOUT),
        PullError::ShuttingDown => Some(Duration::from_secs(1)),
        PullError::AccessUndecided { .. } => Some(RETRY_AFTER_DEFAULT),
        PullError::Hosted(error) => hosted::retry_after(error),
        PullError::Group(error) => error.of_member().and_then(retry_after),
        PullError::NameInvalid(_)
        | PullError::NameUnknown(_)
        | PullError::ManifestUnknown { .. }
        | PullError::BlobUnknown { .. }
        | PullError::Denied { .. }
        | PullError::Unauthorized { .. }
        | PullError::UpstreamFailed { .. }
        | PullError::UpstreamUnreachable { .. }
        | PullError::EgressRefused { .. }
        | PullError::Corrupt { .. }
        | PullError::ManifestInvalid { .. }
        | PullError::Unsupported(_)
        | PullError::Storage(_) => None,
    }
}

impl From<PullError> for Failure {
    fn from(error: PullError) -> Self {
        let (status, code) = status_of(&error);
        let detail = match &error {
            PullError::Group(of_group) => groups::detail(of_group, error.detail()),
            _ => error.detail(),
        };
        let entry = ErrorEntry { code, message: error.to_string(), detail };
        let mut failure = Self::with_entries(status, vec![entry]);
        if let PullError::Group(GroupError::TakesNoPushes { .. }) = &error {
            failure = failure.with_header(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        if let PullError::Unauthorized { upstream, .. } = &error {
            failure = failure.with_header(header::WWW_AUTHENTICATE, challenge(upstream));
        }
        match retry_after(&error) {
            // Rounded up: 0 would mean at once.
            Some(wait) => {
                let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                failure.with_header(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)))
            }
            None => failure,
        }
    }
}

impl From<HostedError> for Failure {
    fn from(error: HostedError) -> Self {
        let range = hosted::range_of(&error);
        if let Some(entries) = hosted::entries_of(&error) {
            return Self::with_entries(hosted::status_of(&error).0, entries);
        }
        let failure = Self::from(PullError::from(error));
        range.into_iter().fold(failure, |failure, range| failure.with_header(header::RANGE, range))
    }
}

impl From<InvalidPath> for Failure {
    fn from(error: InvalidPath) -> Self {
        let status = match error {
            InvalidPath::NoEndpoint | InvalidPath::Session(_) => StatusCode::NOT_FOUND,
            InvalidPath::Ambiguous(_) | InvalidPath::Name(_) | InvalidPath::Tag(_) | InvalidPath::Digest(_) => {
                StatusCode::BAD_REQUEST
            }
        };
        Self::new(status, error.code(), error.to_string())
    }
}

impl From<InvalidQuery> for Failure {
    fn from(error: InvalidQuery) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error.code(), error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;
    use http_body_util::BodyExt;
    use oci::Digest;
    use registry::UpstreamSaid;

    fn said() -> UpstreamSaid {
        UpstreamSaid {
            repo_key: "corp".into(),
            upstream: "https://registry.example.com".into(),
            status: Some(429),
            message: "slow down".into(),
        }
    }

    async fn answered(failure: Failure) -> (StatusCode, HeaderMap, Value) {
        let id = RequestId::of(&HeaderMap::new());
        let (head, body) = failure.render(&id, &Method::GET).into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        assert_eq!(head.headers["content-length"], bytes.len().to_string());
        assert_eq!(head.headers["content-type"], "application/json");
        assert_eq!(head.headers["cache-control"], "no-store");
        let body: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(body["errors"][0]["detail"]["request_id"], id.as_str());
        (head.status, head.headers, body["errors"][0].clone())
    }

    #[tokio::test]
    async fn every_failed_pull_has_its_status_and_code() {
        let digest = Digest::sha256_of(b"");
        let cases = [
            (PullError::NameInvalid("x".into()), 400, "NAME_INVALID"),
            (PullError::NameUnknown("x".into()), 404, "NAME_UNKNOWN"),
            (PullError::ManifestUnknown { what: "x".into(), said: said() }, 404, "MANIFEST_UNKNOWN"),
            (PullError::BlobUnknown { digest: Box::new(digest), said: said() }, 404, "BLOB_UNKNOWN"),
            (PullError::Denied { said: said() }, 403, "DENIED"),
            (PullError::Unauthorized { repo_key: "x".into(), upstream: "https://a".into() }, 401, "UNAUTHORIZED"),
            (PullError::AccessUndecided { said: said() }, 503, "UNKNOWN"),
            (PullError::RateLimited { retry_after: None, said: said() }, 429, "TOOMANYREQUESTS"),
            (PullError::UpstreamFailed { said: said() }, 502, "UNKNOWN"),
            (PullError::UpstreamUnreachable { said: said() }, 502, "UNKNOWN"),
            (PullError::UpstreamTimeout { said: said() }, 504, "UNKNOWN"),
            (PullError::UpstreamResting { retry_after: Duration::from_secs(4), said: said() }, 503, "UNKNOWN"),
            (PullError::EgressRefused { said: said() }, 502, "DENIED"),
            (PullError::Corrupt { expected: Box::new(digest), actual: Box::new(digest), said: said() }, 502, "UNKNOWN"),
            (PullError::ManifestInvalid { said: said() }, 502, "MANIFEST_INVALID"),
            (PullError::Unsupported("x".into()), 501, "UNSUPPORTED"),
            (PullError::Storage("x".into()), 500, "UNKNOWN"),
            (PullError::ShuttingDown, 503, "UNKNOWN"),
        ];
        for (error, status, code) in cases {
            let asked_upstream = error.said().is_some();
            let text = format!("{error:?}");
            let (found, _, entry) = answered(error.into()).await;
            assert_eq!((found.as_u16(), entry["code"].as_str().unwrap()), (status, code), "{text}");
            assert!(!entry["message"].as_str().unwrap().is_empty(), "{text}");
            if asked_upstream {
                assert_eq!(entry["detail"]["repo_key"], "corp", "{text}");
                assert_eq!(entry["detail"]["upstream_message"], "slow down", "{text}");
            }
        }
    }

    #[tokio::test]
    async fn retry_after_is_whole_seconds_and_bounded() {
        for (given, expected) in [(None, "10"), (Some(0), "1"), (Some(1500), "2"), (Some(90_000_000), "3600")] {
            let retry_after = given.map(Duration::from_millis);
            let (_, headers, _) = answered(PullError::RateLimited { retry_after, said: said() }.into()).await;
            assert_eq!(headers["retry-after"], expected, "{given:?}");
        }
        let (_, headers, _) = answered(PullError::Denied { said: said() }.into()).await;
        assert!(!headers.contains_key("retry-after"));
    }

    #[tokio::test]
    async fn head_gets_the_head_only() {
        let id = RequestId::of(&HeaderMap::new());
        let response = Failure::internal().render(&id, &Method::HEAD);
        assert_ne!(response.headers()["content-length"], "0");
        assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty());
    }

    #[tokio::test]
    async fn bad_paths_are_the_clients_fault() {
        for (raw, status) in [("a//b/tags/list", 400), ("a/manifests/.x", 400), ("a/blobs/x", 400), ("a/b", 404)] {
            let error = crate::path::parse(raw).unwrap_err();
            assert_eq!(answered(error.into()).await.0.as_u16(), status, "{raw}");
        }
        assert_eq!(answered(crate::query::parse(Some("n=x")).unwrap_err().into()).await.0.as_u16(), 400);
    }
}
