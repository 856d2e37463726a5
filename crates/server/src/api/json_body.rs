//! The JSON body of a management call.
//!
//! Must not know what the JSON means. Invariants: at most 1 MiB and at most 30 s are spent on a body; a body that
//! says it is something else than JSON is not parsed.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use oci::{ErrorCode, MediaType};
use serde_json::Value;

use crate::respond::Failure;

/// Largest body taken, in bytes.
const LARGEST: usize = 1 << 20;
/// Longest time a body may take.
const LONGEST: Duration = Duration::from_secs(30);

/// Reads the body as JSON.
pub(crate) async fn read(headers: &HeaderMap, body: Body) -> Result<Value, Failure> {
    if !may_be_json(headers) {
        let message = "the body must be JSON; send Content-Type: application/json";
        return Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, ErrorCode::Unsupported, message));
    }
    let bytes = tokio::time::timeout(LONGEST, collect(body)).await.unwrap_or_else(|_| {
        Err(Failure::new(StatusCode::REQUEST_TIMEOUT, ErrorCode::Unsupported, "the body took longer than 30 s"))
    })?;
    serde_json::from_slice(&bytes).map_err(|error| {
        let message = format!("the body is not JSON: {error}");
        Failure::new(StatusCode::BAD_REQUEST, ErrorCode::Unsupported, message)
    })
}

/// No word on the type is taken for JSON, and so is what `curl -d` says when it is told nothing: the token, not the
/// content type, is what keeps foreign web pages out.
fn may_be_json(headers: &HeaderMap) -> bool {
    let mut given = headers.get_all(header::CONTENT_TYPE).iter();
    let only = match (given.next(), given.next()) {
        (None, _) => return true,
        (Some(only), None) => only,
        (Some(_), Some(_)) => return false,
    };
    let media_type = only.to_str().ok().and_then(|value| value.parse::<MediaType>().ok());
    media_type.is_some_and(|media_type| {
        matches!(media_type.as_str(), "application/json" | "application/x-www-form-urlencoded")
    })
}

async fn collect(body: Body) -> Result<Bytes, Failure> {
    match Limited::new(body, LARGEST).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let message = "the body is larger than 1 MiB";
            Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::SizeInvalid, message))
        }
        Err(error) => {
            let message = format!("the body could not be read: {error}");
            Err(Failure::new(StatusCode::BAD_REQUEST, ErrorCode::Unsupported, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    async fn status(content_types: &[&'static str], body: impl Into<Body>) -> Result<Value, String> {
        let headers = content_types.iter().map(|v| (header::CONTENT_TYPE, HeaderValue::from_static(v))).collect();
        read(&headers, body.into()).await.map_err(|failure| failure.message())
    }

    #[tokio::test]
    async fn json_is_read() {
        for content_types in [
            &["application/json"][..],
            &["Application/JSON; charset=utf-8"],
            &[],
            &["application/x-www-form-urlencoded"],
        ] {
            assert_eq!(status(content_types, "{\"key\": \"x\"}").await.unwrap()["key"], "x");
        }
    }

    #[tokio::test]
    async fn anything_else_is_refused() {
        for content_types in [&["text/plain"][..], &["application/yaml"], &["application/json", "text/plain"], &["x"]] {
            let refusal = status(content_types, "{}").await.unwrap_err();
            assert!(refusal.contains("Content-Type"), "{content_types:?}: {refusal}");
        }
        for body in ["", "{", "{}x", "\u{feff}{}", "{'a': 1}"] {
            assert!(status(&["application/json"], body).await.unwrap_err().contains("not JSON"), "{body}");
        }
        let deep = "[".repeat(100_000);
        assert!(status(&["application/json"], deep).await.unwrap_err().contains("not JSON"));
    }

    #[tokio::test]
    async fn a_body_is_cut_off_at_its_limit_also_without_a_length() {
        let exact = format!("\"{}\"", "x".repeat(LARGEST - 2));
        assert!(status(&["application/json"], exact.clone()).await.is_ok());
        let stream = futures_util::stream::iter([Ok::<_, std::io::Error>(exact), Ok(" ".to_owned())]);
        let refusal = status(&["application/json"], Body::from_stream(stream)).await.unwrap_err();
        assert!(refusal.contains("larger"), "{refusal}");
    }
}
