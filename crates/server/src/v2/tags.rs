//! `GET|HEAD /v2/<name>/tags/list` (distribution-spec "Listing tags").
//!
//! Must not know where tags are kept. Invariant: the link to the next page leads back to the address the client used,
//! `ns` included.

use http::Response;
use oci::Tag;
use registry::{Place, TagsQuery};
use serde::Serialize;

use super::headers::{put_namespace, put_outcome, put_warning};
use super::{V2Request, json_list};
use crate::body::ReplyBody;
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
    let list = TagList { name, tags: &answer.tags };
    let mut response = json_list::respond(request, &list, answer.next.as_deref());
    let headers = response.headers_mut();
    put_outcome(headers, answer.outcome);
    if let Some(reason) = &answer.stale {
        put_warning(headers, reason);
    }
    put_namespace(headers, place);
    Ok(response)
}
