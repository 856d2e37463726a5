//! What a refusal looks like, and that refusals are all that hostile requests bring about.
//!
//! Must not know: which request was sent. Invariant: an answer that could carry a body carries the error body of the
//! distribution spec.

use serde_json::Value;

use crate::lab::Lab;

/// A GET of this target with usual headers.
pub(crate) fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
}

/// How many status lines there are in what came.
pub(crate) fn answers_in(bytes: &[u8]) -> usize {
    let status = |window: &[u8]| window.starts_with(b"HTTP/1.1 ") && window[9..].iter().all(u8::is_ascii_digit);
    bytes.windows(12).filter(|window| status(window)).count()
}

/// Status and body of a raw answer; `None` when the server closed without one.
pub(crate) fn read_answer(bytes: &[u8]) -> Option<(u16, String, String)> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ").or_else(|| head.strip_prefix("HTTP/1.0 "))?.get(..3)?.parse().ok()?;
    Some((status, head.to_ascii_lowercase(), body.to_owned()))
}

#[track_caller]
pub(crate) fn check_error_body(what: &str, head: &str, body: &str, codes: &str) {
    assert!(head.contains("content-type: application/json"), "{what}: {head}");
    let parsed: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{what}: {error} in {body:?}"));
    let error = &parsed["errors"][0];
    let code = error["code"].as_str().unwrap_or_default();
    assert!(
        !code.is_empty() && (codes.is_empty() || codes.split('|').any(|allowed| allowed == code)),
        "{what}: {body}"
    );
    assert!(error["message"].as_str().is_some_and(|message| message.len() > 5), "{what}: {body}");
    assert!(error["detail"]["request_id"].as_str().is_some_and(|id| !id.is_empty()), "{what}: {body}");
}

pub(crate) async fn lives(lab: &Lab) {
    assert_eq!(lab.get("/healthz").await.status, 200);
    let log = lab.transship.log_text();
    assert!(!log.contains("panicked"), "{log}");
    let server_errors = lab.request_lines().into_iter().find(|line| line["status"].as_u64() >= Some(500));
    assert_eq!(server_errors, None);
    assert_eq!(lab.upstream.requests().len(), 0, "nothing of this is worth asking the upstream");
}
