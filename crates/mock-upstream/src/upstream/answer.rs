//! An answer before it becomes bytes: status, header lines, the full representation and the range asked of it.
//!
//! Must not know: sockets, repositories. Invariant: without faults an `Answer` is what a correct registry sends.

use bytes::Bytes;

/// The part of a representation that a `Range` header asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// No usable range: all of it.
    Whole,
    /// Half-open, inside the representation, not empty.
    Part(u64, u64),
    /// More than one part.
    Several,
    /// Outside the representation.
    Nothing,
}

/// A status with header lines and a body.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
    /// Whether `Range` applies to this answer.
    pub(crate) ranged: bool,
}

impl Answer {
    pub(crate) fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        let headers = vec![("Content-Type".to_owned(), content_type.to_owned())];
        Self { status, headers, body: body.into(), ranged: false }
    }

    /// The error body of the distribution spec.
    pub(crate) fn error(status: u16, code: &str, message: &str) -> Self {
        let body = serde_json::json!({ "errors": [{ "code": code, "message": message, "detail": null }] });
        Self::new(status, "application/json", body.to_string())
    }

    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.remove(name);
        self.headers.push((name.to_owned(), value.into()));
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    }
}

/// Reads `bytes=a-b`, `bytes=a-`, `bytes=-n` against a size. Written apart from the parser under test on purpose.
pub(crate) fn asked_range(header: Option<&str>, size: u64) -> Asked {
    let Some(set) = header.and_then(|value| value.strip_prefix("bytes=")) else { return Asked::Whole };
    if set.contains(',') {
        return Asked::Several;
    }
    let Some((first, last)) = set.split_once('-') else { return Asked::Whole };
    match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), _) if first >= size => Asked::Nothing,
        (Ok(first), Ok(last)) if last >= first => Asked::Part(first, size.min(last.saturating_add(1))),
        (Ok(first), Err(_)) if last.is_empty() => Asked::Part(first, size),
        (Err(_), Ok(length)) if first.is_empty() && length > 0 && size > 0 => {
            Asked::Part(size.saturating_sub(length), size)
        }
        (Err(_), Ok(_)) if first.is_empty() => Asked::Nothing,
        _ => Asked::Whole,
    }
}
