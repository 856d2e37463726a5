//! Turns an answer that is no success into an error, with the upstream's own words.
//!
//! Must not know what was asked. Invariants: only the upstream itself can say "not found" or "denied", never a host it
//! redirected to; at most 8 KiB of an error's body are read, none of a 416's; the credential never comes back in words.

use std::time::{Duration, SystemTime};

use futures_util::StreamExt;
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use oci::ErrorBody;
use tokio::time::timeout;

use crate::answer::{Answer, AnsweredBy};
use crate::body::{BlobBody, Came};
use crate::error::{ClientError, UpstreamAnswer};
use crate::redact;
use crate::secret::Secret;
use crate::weather::wait_hint;

/// Most bytes read of an error's body.
const MAX_ERROR_BODY: usize = 8 * 1024;

/// Longest wait for the whole of it: the status alone says enough.
const ERROR_BODY_WAIT: Duration = Duration::from_secs(2);

/// Whose answer it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The registry, for content.
    Registry,
    /// The token server. Its "not found" says nothing of the content.
    TokenServer,
}

/// The error that an answer without success means.
pub(crate) async fn from_answer(answer: Answer, method: &Method, asked: Asked, secrets: &[Secret]) -> ClientError {
    let upstream = answer.upstream.clone();
    let (status, by) = (answer.status, answer.by);
    let retry_after = wait_hint(&answer.headers, SystemTime::now());
    let words = words(answer, method).await;
    let secrets = || secrets.iter().map(Secret::expose);
    let message = words.map(|words| redact::message(&words, secrets())).filter(|message| !message.is_empty());
    let answer = UpstreamAnswer { status: status.as_u16(), message };
    match (status, by, asked) {
        (StatusCode::TOO_MANY_REQUESTS, _, _) => ClientError::RateLimited { upstream, answer, retry_after },
        (StatusCode::UNAUTHORIZED, AnsweredBy::Asked, _) => ClientError::Unauthorized { upstream, answer },
        (StatusCode::FORBIDDEN, AnsweredBy::Asked, _) => ClientError::Denied { upstream, answer },
        (StatusCode::NOT_FOUND, AnsweredBy::Asked, Asked::Registry) => ClientError::NotFound { upstream, answer },
        _ => ClientError::UpstreamStatus { upstream, answer, retry_after },
    }
}

/// What the body says to people: the first message of the spec's error body, or plain text. Pages are left out.
async fn words(mut answer: Answer, method: &Method) -> Option<String> {
    let kind =
        answer.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
    let readable = ["json", "text/plain", "xml"].iter().any(|word| kind.contains(word)) && !kind.contains("html");
    if *method == Method::HEAD || answer.status == StatusCode::RANGE_NOT_SATISFIABLE || !readable {
        answer.record.complete();
        return None;
    }
    let start = read_start(answer).await;
    let text = String::from_utf8_lossy(&start);
    match serde_json::from_str::<ErrorBody>(&text) {
        Ok(body) => body
            .errors
            .into_iter()
            .next()
            .map(|first| if first.message.is_empty() { first.code.to_string() } else { first.message }),
        Err(_) => Some(text.into_owned()),
    }
}

/// Reads what comes of the body, as far as it is wanted. A body that breaks off is reported with its exchange; for the
/// error at hand the part that came is as good as all.
pub(crate) async fn read_start(answer: Answer) -> Vec<u8> {
    let mut body = BlobBody::new(answer, None);
    let mut start = Vec::new();
    let reading = async {
        while let Some(Ok(piece)) = body.next().await {
            start.extend_from_slice(&piece);
            if start.len() > MAX_ERROR_BODY {
                start.truncate(MAX_ERROR_BODY);
                break;
            }
        }
    };
    let read = timeout(ERROR_BODY_WAIT, reading).await;
    body.enough(if read.is_ok() { Came::InTime } else { Came::TooSlowly });
    start
}
