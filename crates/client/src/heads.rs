//! The headers of an exchange as they may be written down.
//!
//! Must not know loggers. Invariants: a value is shown only under a name that is on the list; of any other header only
//! the name is; values are cut, and so is the number of headers, so that an upstream cannot fill a log or memory.

use http::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use crate::redact;

/// Headers whose values say nothing that opens anything.
const SHOWN: [&str; 43] = [
    "accept",
    "accept-encoding",
    "accept-ranges",
    "age",
    "allow",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "date",
    "docker-content-digest",
    "docker-distribution-api-version",
    "docker-ratelimit-source",
    "etag",
    "expires",
    "host",
    "if-match",
    "if-none-match",
    "if-range",
    "last-modified",
    "oci-filters-applied",
    "oci-subject",
    "range",
    "ratelimit-limit",
    "ratelimit-remaining",
    "ratelimit-reset",
    "retry-after",
    "server",
    "strict-transport-security",
    "traceparent",
    "transfer-encoding",
    "user-agent",
    "vary",
    "via",
    "x-cache",
    "x-cache-hits",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-request-id",
    "x-served-by",
];

/// Headers whose first word is a scheme and the rest a secret, or may hold one.
const SCHEMES: [&str; 2] = ["authorization", "www-authenticate"];
/// The schemes that are named.
const KNOWN_SCHEMES: [&str; 3] = ["Basic", "Bearer", "AWS4-HMAC-SHA256"];

/// Most headers shown of one message.
const MOST: usize = 48;
/// Longest value shown, in characters.
const LONGEST: usize = 256;
/// Longest name shown, in bytes. Longer ones are no header of anybody's.
const LONGEST_NAME: usize = 64;

/// What stands for a value that is not shown.
const HIDDEN: &str = "…";

/// The headers of a request and its answer, redacted, names in lowercase.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExchangeHeads {
    /// What was sent, but for what the connection adds by itself.
    pub request: Vec<(String, String)>,
    /// What came; empty without an answer.
    pub response: Vec<(String, String)>,
}

/// The headers as they may be shown.
pub(crate) fn shown(headers: &HeaderMap) -> Vec<(String, String)> {
    let named = headers.iter().filter(|(name, _)| name.as_str().len() <= LONGEST_NAME);
    named.take(MOST).map(|(name, value)| (name.as_str().to_owned(), value_of(name, value))).collect()
}

fn value_of(name: &HeaderName, value: &HeaderValue) -> String {
    let Ok(text) = value.to_str() else { return HIDDEN.to_owned() };
    let name = name.as_str();
    if SHOWN.contains(&name) {
        return redact::message(text, []).chars().take(LONGEST).collect();
    }
    if SCHEMES.contains(&name) {
        let first = text.split(' ').next().unwrap_or_default();
        let scheme = KNOWN_SCHEMES.iter().find(|known| known.eq_ignore_ascii_case(first));
        return scheme.map_or_else(|| HIDDEN.to_owned(), |scheme| format!("{scheme} {HIDDEN}"));
    }
    if name == "location" {
        // The query of a signed URL is its password.
        return Url::parse(text)
            .map_or_else(|_| HIDDEN.to_owned(), |url| redact::url(&url).chars().take(LONGEST).collect());
    }
    HIDDEN.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &'static str, value: &str) -> String {
        let headers = HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())]);
        shown(&headers).remove(0).1
    }

    #[test]
    fn what_may_open_something_is_never_shown() {
        for (name, value) in [
            ("authorization", "Bearer canary"),
            ("authorization", "canary"),
            ("authorization", "canary canary"),
            ("proxy-authorization", "Basic canary"),
            ("www-authenticate", "Bearer realm=\"https://canary@h.example/canary\""),
            ("cookie", "canary=1"),
            ("set-cookie", "canary=1; Secure"),
            ("link", "</v2/a?last=canary>; rel=next"),
            ("location", "https://u:canary@cdn.example/blob?X-Amz-Signature=canary#canary"),
            ("location", "/relative?canary"),
            ("x-amz-security-token", "canary"),
            ("x-anything-new", "canary"),
            ("warning", "canary"),
        ] {
            let seen = one(name, value);
            assert!(!seen.contains("canary"), "{name}: {value}");
            assert!(!seen.is_empty());
        }
        assert_eq!(one("authorization", "bearer canary"), "Bearer …");
        assert_eq!(
            one("location", "https://cdn.example/blob?X-Amz-Signature=canary"),
            "https://cdn.example/blob?X-Amz-Signature=…"
        );
    }

    #[test]
    fn what_is_shown_is_bounded() {
        assert_eq!(one("etag", "\"sha256:abc\""), "\"sha256:abc\"");
        assert!(one("server", &"é".repeat(5000)).chars().count() <= LONGEST);
        assert!(one("server", &"e".repeat(5000)).chars().count() <= LONGEST);
        let many = (0..500).map(|n| (format!("x-{n}").parse::<HeaderName>().unwrap(), HeaderValue::from_static("1")));
        assert_eq!(shown(&many.collect()).len(), MOST);
    }
}
