//! Bodies of `application/x-www-form-urlencoded` POST requests (OAuth2 token requests).
//!
//! Must not know what the fields mean. Invariant: the fields stand in the order they are given in.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};

/// The body.
pub(crate) fn encode<'p>(pairs: impl IntoIterator<Item = (&'p str, &'p str)>) -> Bytes {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish().into()
}

/// The header that goes with it.
pub(crate) fn headers() -> HeaderMap {
    let value = HeaderValue::from_static("application/x-www-form-urlencoded");
    HeaderMap::from_iter([(CONTENT_TYPE, value)])
}
