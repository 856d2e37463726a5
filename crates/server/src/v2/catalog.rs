//! `GET|HEAD /v2/_catalog`: the names that were pushed to. A legacy extension of docker's registry.
//!
//! Must not know where names are kept. Invariant: caches are not in it: what was pulled is not what an upstream has.

use http::{HeaderValue, Response, header};
use serde::Serialize;

use super::page_link::page_link;
use super::{V2Request, Verb, unsupported};
use crate::body::{Content, ReplyBody};
use crate::respond::Failure;

#[derive(Serialize)]
struct Catalog {
    repositories: Vec<String>,
}

pub(crate) async fn answer(request: &V2Request<'_>) -> Result<Response<ReplyBody>, Failure> {
    let (n, last) = (request.query.n, request.query.last.as_deref());
    let place = request.route_query("");
    let page = Box::pin(request.registry.catalog(&place, n, last)).await?.ok_or_else(unsupported::catalog)?;
    // Strings only: this cannot fail.
    let body = serde_json::to_vec(&Catalog { repositories: page.names }).unwrap_or_default();
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
    let link = page.next.map(|next| page_link(request.raw_path, &request.query, &next));
    if let Some(Ok(link)) = link.map(HeaderValue::try_from) {
        headers.insert(header::LINK, link);
    }
    Ok(response)
}
