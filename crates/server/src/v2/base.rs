//! `GET /v2/`: this is a registry, and you may talk to it.
//!
//! Must not know anything of content. Invariant: never asks an upstream.

use bytes::Bytes;
use http::{HeaderValue, Response, header};

use super::Verb;
use crate::body::{Content, ReplyBody};

const BODY: Bytes = Bytes::from_static(b"{}");

pub(crate) fn answer(verb: Verb) -> Response<ReplyBody> {
    let content = match verb {
        Verb::Get => Content::Whole(BODY),
        Verb::Head => Content::Empty,
    };
    let mut response = Response::new(ReplyBody::new(content));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(BODY.len()));
    response
}
