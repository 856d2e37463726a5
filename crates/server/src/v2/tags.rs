//! `GET|HEAD /v2/<name>/tags/list` (distribution-spec "Listing tags").
//!
//! Must not know where tags are kept. Invariant: the link to the next page leads back to the address the client used,
//! `ns` included.

use http::{HeaderValue, Response, header};
use oci::Tag;
use registry::{Place, TagsAnswer, TagsQuery};
use serde::Serialize;

use super::headers::{put_namespace, put_outcome, put_warning};
use super::page_link::page_link;
use super::{V2Request, Verb};
use crate::body::{Content, ReplyBody};
use crate::middleware::log_request::RequestRecord;
use crate::respond::Failure;

#[derive(Serialize)]
struct TagList<'a> {
    name: &'a str,
    tags: &'a [Tag],
}

pub(crate) async fn answer(
    request: &V2Request<'_>,
    place: &Place,
    name: &str,
    record: &mut RequestRecord,
) -> Result<Response<ReplyBody>, Failure> {
    let crate::query::V2Query { n, last, .. } = &request.query;
    // n=0 is an empty list, but still only of a repository that is there: ask for one and show none.
    let wanted = TagsQuery { n: n.map(|n| n.max(1)), last: last.clone() };
    let mut answer = Box::pin(request.registry.list_tags(place, &wanted)).await?;
    record.outcome = Some(answer.outcome);
    if *n == Some(0) {
        answer.tags.clear();
        answer.next = None;
    }
    let mut response = respond(request, name, &answer);
    put_namespace(response.headers_mut(), place);
    Ok(response)
}

fn respond(request: &V2Request<'_>, name: &str, answer: &TagsAnswer) -> Response<ReplyBody> {
    // Strings only: this cannot fail.
    let body = serde_json::to_vec(&TagList { name, tags: &answer.tags }).unwrap_or_default();
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
    put_outcome(headers, answer.outcome);
    if let Some(reason) = &answer.stale {
        put_warning(headers, reason);
    }
    let link = answer.next.as_ref().map(|next| page_link(request.raw_path, &request.query, next));
    if let Some(Ok(link)) = link.map(HeaderValue::try_from) {
        headers.insert(header::LINK, link);
    }
    response
}
