//! `POST /api/repos/{repoKey}/check`: asks the repository's upstream what pulls and caches would ask, and reports.
//!
//! Must not know what is asked. Invariants: an empty body means no image; the report holds no credential, as the probe
//! promises.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse;
use http::{HeaderMap, StatusCode};
use http_body::Body as _;
use oci::ErrorCode;
use registry::ImageRef;
use serde_json::Value;

use super::json_body;
use super::repos::{Answer, KeyParam, checked};
use crate::respond::Failure;
use crate::state::App;

/// Runs a check; it takes as long as the upstream does.
pub(crate) async fn check(State(app): State<Arc<App>>, key: KeyParam, headers: HeaderMap, body: Body) -> Answer {
    let key = checked(key)?;
    let document = if body.is_end_stream() { Value::Null } else { json_body::read(&headers, body).await? };
    let image = wanted(&document)?;
    let report = app.registry.repositories().check(&key, image).await?;
    Ok(Json(report).into_response())
}

/// Reads `{"image": "<name>:<tag>"}`; nothing, `null` and `{}` leave the choice to us.
fn wanted(document: &Value) -> Result<Option<ImageRef>, Failure> {
    let bad = |message: String| Failure::new(StatusCode::BAD_REQUEST, ErrorCode::Unsupported, message);
    let fields = match document {
        Value::Null => return Ok(None),
        Value::Object(fields) => fields,
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            return Err(bad("the body must be a JSON object like {\"image\": \"library/alpine:3\"}".to_owned()));
        }
    };
    if let Some(unknown) = fields.keys().find(|name| name.as_str() != "image") {
        return Err(bad(format!("{unknown}: unknown field; there is only image")));
    }
    match fields.get("image") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => {
            text.parse().map(Some).map_err(|error: registry::InvalidImageRef| bad(format!("image: {error}")))
        }
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            Err(bad("image: must be a text like library/alpine:3".to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_image_is_read_and_everything_else_refused() {
        let read = |document: Value| {
            wanted(&document).map(|image| image.map(|image| image.to_string())).map_err(|failure| failure.message())
        };
        for nothing in [Value::Null, json!({}), json!({ "image": null })] {
            assert_eq!(read(nothing), Ok(None));
        }
        assert_eq!(read(json!({ "image": "a/b:1" })), Ok(Some("a/b:1".to_owned())));
        for (document, word) in [
            (json!([]), "JSON object"),
            (json!("a/b"), "JSON object"),
            (json!({ "image": 1 }), "image: must"),
            (json!({ "image": "A" }), "NAME:TAG"),
            (json!({ "imgae": "a/b" }), "imgae"),
        ] {
            let message = read(document).unwrap_err();
            assert!(message.contains(word), "{message}");
        }
    }
}
