//! A page of a list as JSON.
//!
//! Must not know what is listed. Invariant: such a list is asked for anew each time, and `HEAD` has the headers of `GET`.

use http::{HeaderValue, Response, header};
use serde::Serialize;

use super::page_link::page_link;
use super::{V2Request, Verb};
use crate::body::{Content, ReplyBody};

/// The answer with this page; `next` is where the next one begins, if there is one.
pub(super) fn respond(request: &V2Request<'_>, page: &impl Serialize, next: Option<&str>) -> Response<ReplyBody> {
    // Strings only: this cannot fail.
    let body = serde_json::to_vec(page).unwrap_or_default();
    let length = HeaderValue::from(body.len());
    let content = match request.verb {
        Verb::Get => Content::Whole(body.into()),
        Verb::Head => Content::Empty,
    };
    let mut response = Response::new(ReplyBody::new(content));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CONTENT_LENGTH, length);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    let link = next.map(|next| page_link(request.raw_path, &request.query, next));
    if let Some(Ok(link)) = link.map(HeaderValue::try_from) {
        headers.insert(header::LINK, link);
    }
    response
}
