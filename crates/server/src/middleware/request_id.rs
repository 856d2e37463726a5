//! The id of a request: the client's own when it is sane, else a random one. Echoed as `X-Request-Id`, put in every
//! error body and log line.
//!
//! Must not know routes. Invariant: an id is 1 to 64 characters of `[A-Za-z0-9._-]`, so it is harmless in logs.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

/// The header that carries it, both ways.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of one request. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        match headers.get(X_REQUEST_ID) {
            Some(given) if is_sane(given.as_bytes()) => Self(given.clone()),
            Some(_) | None => Self::random(),
        }
    }

    fn random() -> Self {
        let mut text = [0; 32];
        hex_into(&fastrand::u128(..).to_be_bytes(), &mut text);
        let value = HeaderValue::from_maybe_shared(Bytes::copy_from_slice(&text));
        Self(value.expect("hexadecimal digits are a legal header value"))
    }

    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn is_sane(id: &[u8]) -> bool {
    (1..=64).contains(&id.len())
        && id.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

/// Writes lowercase hexadecimal without allocating; `text` is twice as long as `bytes`.
pub(crate) fn hex_into(bytes: &[u8], text: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, pair) in bytes.iter().zip(text.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(value: &[u8]) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(X_REQUEST_ID, HeaderValue::from_bytes(value).unwrap());
        RequestId::of(&headers).to_string()
    }

    #[test]
    fn a_sane_id_is_kept() {
        assert_eq!(given(b"b0a1-Z_9.x"), "b0a1-Z_9.x");
    }

    #[test]
    fn another_is_replaced() {
        for odd in [&b""[..], b"a b", b"a\tb", b"\xff", b"<x>", b"a,b", &[b'x'; 65]] {
            let id = given(odd);
            assert_eq!(id.len(), 32, "{id}");
            assert!(id.bytes().all(|byte| byte.is_ascii_hexdigit()));
        }
        let empty = HeaderMap::new();
        assert_ne!(RequestId::of(&empty), RequestId::of(&empty));
    }
}
