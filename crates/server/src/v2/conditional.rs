//! Conditions on a request: `If-None-Match` and `If-Range` (RFC 9110 section 13).
//!
//! Every answer's validator is its digest, a strong one; we send no dates, so conditions on dates never hold. Must not
//! know endpoints. Invariant: a header that cannot be read is no condition that holds.

use http::{HeaderMap, HeaderValue, header};

/// Whether the client says it has what `etag` names: a 304 answers it. Compared weakly, as section 13.1.2 asks.
pub(crate) fn client_has(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    headers.get_all(header::IF_NONE_MATCH).iter().any(|list| list_holds(list.as_bytes(), etag.as_bytes()))
}

fn list_holds(list: &[u8], etag: &[u8]) -> bool {
    let mut rest = list.trim_ascii();
    if rest == b"*" {
        return true;
    }
    while !rest.is_empty() {
        let tag = rest.strip_prefix(b"W/").unwrap_or(rest);
        let Some(length) = quoted_length(tag) else { return false };
        if &tag[..length] == etag {
            return true;
        }
        rest = tag[length..].trim_ascii_start();
        match rest.strip_prefix(b",") {
            Some(more) => rest = more.trim_ascii_start(),
            None => return false,
        }
    }
    false
}

/// The length of the quoted text that `text` begins with, quotes included.
fn quoted_length(text: &[u8]) -> Option<usize> {
    let inner = text.strip_prefix(b"\"")?;
    Some(inner.iter().position(|byte| *byte == b'"')? + 2)
}

/// Whether a `Range` may be honoured: there is no `If-Range`, or it is exactly `etag`. A date or a weak validator
/// never matches (section 13.1.5).
pub(crate) fn range_holds(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let mut given = headers.get_all(header::IF_RANGE).iter();
    match (given.next(), given.next()) {
        (None, _) => true,
        (Some(only), None) => only == etag,
        (Some(_), Some(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETAG: HeaderValue = HeaderValue::from_static("\"sha256:aa\"");

    fn with(name: &header::HeaderName, values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn if_none_match_is_a_list_compared_weakly() {
        for (values, expected) in [
            (&["\"sha256:aa\""][..], true),
            (&["W/\"sha256:aa\""], true),
            (&["*"], true),
            (&[" * "], true),
            (&["\"x\", \"sha256:aa\""], true),
            (&["\"x\",W/\"y\" ,\t\"sha256:aa\",\"z\""], true),
            (&["\"with,comma\", \"sha256:aa\""], true),
            (&["\"x\"", "\"sha256:aa\""], true),
            (&["\"sha256:ab\""], false),
            (&["sha256:aa"], false),
            (&["\"sha256:aa"], false),
            (&["\"x\" \"sha256:aa\""], false),
            (&["w/\"sha256:aa\""], false),
            (&["\"x\", *"], false),
            (&[""], false),
            (&["\""], false),
            (&[","], false),
            (&[], false),
        ] {
            assert_eq!(client_has(&with(&header::IF_NONE_MATCH, values), &ETAG), expected, "{values:?}");
        }
    }

    #[test]
    fn if_range_holds_for_the_same_strong_validator_only() {
        for (values, expected) in [
            (&[][..], true),
            (&["\"sha256:aa\""], true),
            (&["W/\"sha256:aa\""], false),
            (&["\"sha256:ab\""], false),
            (&["sha256:aa"], false),
            (&["*"], false),
            (&["Sat, 29 Oct 1994 19:43:31 GMT"], false),
            (&["\"sha256:aa\"", "\"sha256:aa\""], false),
        ] {
            assert_eq!(range_holds(&with(&header::IF_RANGE, values), &ETAG), expected, "{values:?}");
        }
    }
}
