//! Turns an answer that is no success into an error, with the upstream's own words.
//!
//! Must not know what was asked. Invariants: only the upstream itself can say "not found" or "denied", never a host it
//! redirected to; at most 8 KiB of an error's body are read, none of a 416's; the credential never comes back in words.

use std::time::{Duration, SystemTime};

use futures_util::StreamExt;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, Method, StatusCode};
use oci::ErrorBody;
use tokio::time::timeout;

use crate::answer::{Answer, AnsweredBy};
use crate::body::{BlobBody, Came};
use crate::error::{ClientError, UpstreamAnswer};
use crate::redact;
use crate::secret::Secret;

/// Most bytes read of an error's body.
const MAX_ERROR_BODY: usize = 8 * 1024;

/// Longest wait for the whole of it: the status alone says enough.
const ERROR_BODY_WAIT: Duration = Duration::from_secs(2);

/// Longest time an upstream can ask us to stay away.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);

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
    let retry_after = retry_after(&answer.headers, SystemTime::now());
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

/// `Retry-After` (RFC 9110 section 10.2.3): seconds or a date; a date that has passed means now.
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
        text.parse().map_or(MAX_RETRY_AFTER, Duration::from_secs)
    } else {
        httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or(Duration::ZERO)
    };
    Some(wait.min(MAX_RETRY_AFTER))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_reads_seconds_and_dates_and_is_capped() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let date = |seconds: i64| {
            let at = 1_700_000_000 + seconds;
            httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(at.unsigned_abs()))
        };
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            retry_after(&headers, now).map(|wait| wait.as_secs())
        };
        assert_eq!(read("7"), Some(7));
        assert_eq!(read("0"), Some(0));
        assert_eq!(read(&date(90)), Some(90));
        assert_eq!(read(&date(-90)), Some(0));
        assert_eq!(read("999999999999999999999999"), Some(3600));
        assert_eq!(read(&date(1_000_000)), Some(3600));
        for nonsense in ["", "soon", "-5", "1.5", "Fri, 99 Foo 2023"] {
            assert_eq!(read(nonsense), None, "{nonsense}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
