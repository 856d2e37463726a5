//! The heads of pull answers: names and values born in one place.
//!
//! Must not know bodies. Invariants: a digest's answer may be kept for ever, a tag's only as long as we trust it
//! ourselves, a stale one not at all; a 304 carries the caching headers of the 200 it stands for (RFC 9110 section
//! 15.4.5).

use std::fmt::Write as _;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use oci::Digest;
use registry::{Freshness, Place, PullOutcome};

use crate::body::ReplyBody;
use crate::respond::Failure;

pub(crate) const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
pub(crate) const DOCKER_DISTRIBUTION_API_VERSION: HeaderName =
    HeaderName::from_static("docker-distribution-api-version");
const OCI_NAMESPACE: HeaderName = HeaderName::from_static("oci-namespace");
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

pub(crate) const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
pub(crate) const REGISTRY_2: HeaderValue = HeaderValue::from_static("registry/2.0");
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const BY_CALLER: HeaderValue = HeaderValue::from_static("Authorization");
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

/// Longest text of a `Warning` (distribution-spec "Warnings": 4096 bytes in all).
const WARNING_SHOWN: usize = 1024;

/// A digest as header values.
pub(crate) struct DigestValues {
    /// `"sha256:…"`, a strong validator.
    pub(crate) etag: HeaderValue,
    /// `sha256:…`.
    pub(crate) digest: HeaderValue,
}

impl DigestValues {
    pub(crate) fn of(digest: &Digest) -> Self {
        let mut text = BytesMut::with_capacity(144);
        // Writing to memory that grows cannot fail.
        let _ = write!(text, "\"{digest}\"");
        let quoted = text.freeze();
        // One piece of memory for both.
        Self { digest: harmless(quoted.slice(1..quoted.len() - 1)), etag: harmless(quoted) }
    }
}

fn harmless(text: Bytes) -> HeaderValue {
    HeaderValue::from_maybe_shared(text).expect("digests and numbers are printable ASCII")
}

/// `Cache-Status` (RFC 9211).
pub(crate) fn put_outcome(headers: &mut HeaderMap, outcome: PullOutcome) {
    let value = match outcome {
        PullOutcome::Hit => "transship; hit",
        PullOutcome::Miss => "transship; fwd=uri-miss",
        PullOutcome::Stale => "transship; fwd=stale; detail=upstream-failed",
        PullOutcome::Revalidated => "transship; fwd=stale; detail=revalidated",
        PullOutcome::Bypassed => "transship; fwd=bypass",
    };
    headers.insert(CACHE_STATUS, HeaderValue::from_static(value));
}

/// `OCI-Namespace`, when the client scoped its request with `ns`.
pub(crate) fn put_namespace(headers: &mut HeaderMap, place: &Place) {
    if let Some(Ok(value)) = place.namespace().map(HeaderValue::from_str) {
        headers.insert(OCI_NAMESPACE, value);
    }
}

/// Caching headers of something addressed by its digest.
pub(crate) fn put_immutable(headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, FOR_EVER);
}

/// Marks an answer, good or bad, as one caller's: no shared cache may give it to another (RFC 9111 section 3.5).
pub(crate) fn for_one_caller(answer: Result<Response<ReplyBody>, Failure>) -> Result<Response<ReplyBody>, Failure> {
    let mut response = answer.map_err(|failure| failure.with_header(header::VARY, BY_CALLER))?;
    let headers = response.headers_mut();
    let kept = headers.get(header::CACHE_CONTROL).and_then(|value| value.to_str().ok()).unwrap_or("no-cache");
    let kept = kept.strip_prefix("public, ").unwrap_or(kept);
    if let Ok(value) = HeaderValue::try_from(format!("private, {kept}")) {
        headers.insert(header::CACHE_CONTROL, value);
    }
    headers.append(header::VARY, BY_CALLER);
    Ok(response)
}

/// Caching headers of a manifest.
pub(crate) fn put_freshness(headers: &mut HeaderMap, freshness: &Freshness) {
    match freshness {
        Freshness::Immutable => put_immutable(headers),
        Freshness::Fresh { age, remaining } => put_tag(headers, *age, *remaining),
        Freshness::Stale { age, reason } => put_stale(headers, *age, reason),
    }
}

fn put_tag(headers: &mut HeaderMap, age: Duration, remaining: Duration) {
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    let control = match remaining.as_secs() {
        0 => ASK_AGAIN,
        // A cache subtracts Age from max-age (RFC 9111 section 4.2.1), so max-age is the tag's whole life.
        _ => max_age(age.saturating_add(remaining).as_secs()),
    };
    headers.insert(header::CACHE_CONTROL, control);
    headers.insert(header::AGE, HeaderValue::from(age.as_secs()));
}

/// `Cache-Control` of something that may be kept for so many seconds.
pub(crate) fn max_age(seconds: u64) -> HeaderValue {
    let mut text = BytesMut::with_capacity(40);
    // Writing to memory that grows cannot fail.
    let _ = write!(text, "public, max-age={seconds}");
    harmless(text.freeze())
}

fn put_stale(headers: &mut HeaderMap, age: Duration, reason: &str) {
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    headers.insert(header::CACHE_CONTROL, ASK_AGAIN);
    headers.insert(header::AGE, HeaderValue::from(age.as_secs()));
    put_warning(headers, reason);
}

/// `Warning`: upstream could not confirm the answer, for this reason (distribution-spec "Warnings").
pub(crate) fn put_warning(headers: &mut HeaderMap, reason: &str) {
    let shown: String = reason.chars().take(WARNING_SHOWN).map(quotable).collect();
    if let Ok(value) = HeaderValue::from_str(&format!("299 - \"stale: {shown}\"")) {
        headers.insert(header::WARNING, value);
    }
}

/// A character as it may stand between quotes in a header.
fn quotable(char: char) -> char {
    match char {
        '"' => '\'',
        '\\' => '/',
        ' '..='~' => char,
        _ => ' ',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(freshness: &Freshness) -> HeaderMap {
        let mut headers = HeaderMap::new();
        put_freshness(&mut headers, freshness);
        headers
    }

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_digest_is_kept_for_ever() {
        let headers = put(&Freshness::Immutable);
        assert_eq!(headers["cache-control"], "public, max-age=31536000, immutable");
        assert_eq!(headers.len(), 1);
    }

    #[test]
    fn a_tag_is_kept_as_long_as_we_trust_it_ourselves() {
        let headers = put(&Freshness::Fresh { age: secs(60), remaining: secs(240) });
        // A cache that gets this may use it for max-age - Age = 240 s.
        assert_eq!(headers["cache-control"], "public, max-age=300");
        assert_eq!(headers["age"], "60");
        assert_eq!(headers["vary"], "Accept");
        assert!(!headers.contains_key("warning"));

        let headers = put(&Freshness::Fresh { age: secs(0), remaining: Duration::from_millis(999) });
        assert_eq!(headers["cache-control"], "no-cache");
        let most = put(&Freshness::Fresh { age: Duration::MAX, remaining: Duration::MAX });
        assert_eq!(most["cache-control"], format!("public, max-age={}", u64::MAX));
    }

    #[test]
    fn a_stale_tag_says_so_and_is_not_kept() {
        let reason = "upstream \"x\" cannot be reached: \\ \r\nSet-Cookie: a=b \u{1F4A5}";
        let headers = put(&Freshness::Stale { age: secs(7200), reason: reason.into() });
        assert_eq!(headers["cache-control"], "no-cache");
        assert_eq!(headers["age"], "7200");
        assert_eq!(headers["warning"], "299 - \"stale: upstream 'x' cannot be reached: /   Set-Cookie: a=b  \"");
        assert_eq!(headers["vary"], "Accept");
        let headers = put(&Freshness::Stale { age: secs(1), reason: "x".repeat(100_000).into() });
        assert!(headers["warning"].len() < 4096);
    }

    #[test]
    fn a_digest_is_a_strong_etag() {
        let digest = Digest::sha256_of(b"");
        let values = DigestValues::of(&digest);
        assert_eq!(values.digest, digest.to_string());
        assert_eq!(values.etag, format!("\"{digest}\""));
    }
}
