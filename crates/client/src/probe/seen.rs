//! One answer as it came: what the checks look at.
//!
//! Must not know what is right. Invariant: text that leaves here for a report is printable, short and redacted.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG};
use http::{HeaderMap, HeaderName, Version};
use oci::{ContentRange, Digest};
use url::Url;

use crate::answer::Passed;
use crate::redact;

pub(super) const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// An answer with as much of its body as was wanted.
pub(super) struct Seen {
    pub(super) status: u16,
    pub(super) version: Version,
    pub(super) headers: HeaderMap,
    /// Who answered at last.
    pub(super) place: Url,
    pub(super) passed: Vec<Passed>,
    /// How long a new connection took; none when a pooled one was used.
    pub(super) new_connection: Option<Duration>,
    /// From the question to the head of the answer, login and redirects included.
    pub(super) took: Duration,
    pub(super) body: Body,
}

/// A body, as far as it was read.
#[derive(Default)]
pub(super) struct Body {
    pub(super) bytes: Bytes,
    /// What broke it off.
    pub(super) broken: Option<String>,
    /// There is more than was kept.
    pub(super) more: bool,
}

impl Body {
    /// Why the bytes are not all of it.
    pub(super) fn incomplete(&self) -> Option<String> {
        match (&self.broken, self.more) {
            (Some(why), _) => Some(format!("the body broke after {} bytes: {}", self.bytes.len(), text(why))),
            (None, true) => Some(format!("the body is longer than the {} bytes that are read", self.bytes.len())),
            (None, false) => None,
        }
    }
}

impl Seen {
    /// `200 in 12 ms`.
    pub(super) fn brief(&self) -> String {
        format!("{} in {} ms", self.status, self.took.as_millis())
    }

    /// A header's first value, fit for a report.
    pub(super) fn shown(&self, name: &HeaderName) -> Option<String> {
        self.headers.get(name).map(|value| text(&String::from_utf8_lossy(value.as_bytes())))
    }

    /// All values of a header as one list.
    pub(super) fn list(&self, name: &HeaderName) -> Option<String> {
        let values: Vec<_> =
            self.headers.get_all(name).iter().map(|value| text(&String::from_utf8_lossy(value.as_bytes()))).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// `Content-Length`, when it is a number.
    pub(super) fn length(&self) -> Option<u64> {
        self.headers.get(CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
    }

    /// `Docker-Content-Digest`: none when it is absent, the text when it is no digest.
    pub(super) fn digest(&self) -> Option<Result<Digest, String>> {
        let shown = self.shown(&DOCKER_CONTENT_DIGEST)?;
        Some(shown.parse().map_err(|_| shown))
    }

    /// `Content-Range`, as sent and as read.
    pub(super) fn content_range(&self) -> Option<(String, Option<ContentRange>)> {
        let shown = self.shown(&CONTENT_RANGE)?;
        let read = shown.parse().ok();
        Some((shown, read))
    }

    /// `ETag`, as sent.
    pub(super) fn etag(&self) -> Option<String> {
        self.shown(&ETAG)
    }

    /// `Content-Type` without parameters, in lower case.
    pub(super) fn content_type(&self) -> Option<String> {
        let shown = self.shown(&CONTENT_TYPE)?;
        Some(shown.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
    }

    /// `host[:port]` of who answered.
    pub(super) fn answered_by(&self) -> String {
        crate::endpoint::authority(&self.place).unwrap_or_default()
    }
}

/// Foreign text as one short printable line.
pub(super) fn text(words: &str) -> String {
    redact::message(words, []).chars().take(200).collect()
}

/// Whether an `ETag` is strong.
pub(super) fn is_strong(etag: &str) -> bool {
    etag.len() >= 2 && etag.starts_with('"') && etag.ends_with('"')
}
