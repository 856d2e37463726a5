//! `GET|HEAD /v2/<name>/tags/list` (distribution-spec "Listing tags").
//!
//! Must not know where tags are kept. Invariant: the link to the next page leads back to the address the client used,
//! `ns` included.

use std::fmt::{self, Write as _};

use http::{HeaderValue, Response, header};
use oci::Tag;
use oci::limits::MAX_TAG_PAGE;
use registry::{Route, TagsAnswer, TagsQuery};
use serde::Serialize;

use super::headers::{put_namespace, put_outcome, put_warning};
use super::{V2Request, Verb};
use crate::body::{Content, ReplyBody};
use crate::middleware::log_request::RequestRecord;
use crate::query::V2Query;
use crate::respond::Failure;

#[derive(Serialize)]
struct TagList<'a> {
    name: &'a str,
    tags: &'a [Tag],
}

pub(crate) async fn answer(
    request: &V2Request<'_>,
    route: &Route,
    name: &str,
    record: &mut RequestRecord,
) -> Result<Response<ReplyBody>, Failure> {
    let V2Query { n, last, .. } = &request.query;
    // n=0 is an empty list, but still only of a repository that is there: ask for one and show none.
    let wanted = TagsQuery { n: n.map(|n| n.max(1)), last: last.clone() };
    let mut answer = Box::pin(request.registry.list_tags(route, &wanted)).await?;
    record.outcome = Some(answer.outcome);
    if *n == Some(0) {
        answer.tags.clear();
        answer.next = None;
    }
    let mut response = respond(request, name, &answer);
    put_namespace(response.headers_mut(), route);
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
    let link = answer.next.as_ref().map(|next| link(request.raw_path, &request.query, next));
    if let Some(Ok(link)) = link.map(HeaderValue::try_from) {
        headers.insert(header::LINK, link);
    }
    response
}

/// The `Link` to the next page (RFC 8288).
fn link(raw_path: &str, query: &V2Query, next: &str) -> String {
    let page = query.n.unwrap_or(u32::try_from(MAX_TAG_PAGE).unwrap_or(u32::MAX));
    let mut link = format!("<{raw_path}?n={page}&last={}", InQuery(next));
    if let Some(ns) = &query.ns {
        // Writing to a string cannot fail.
        let _ = write!(link, "&ns={}", InQuery(ns.as_str()));
    }
    link.push_str(">; rel=\"next\"");
    link
}

/// Text as a value in a query: everything percent-encoded that could end the value, the query or the link. Where a
/// page ends is upstream's word, so it may be anything.
struct InQuery<'a>(&'a str);

impl fmt::Display for InQuery<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => {
                    f.write_char(char::from(byte))?;
                }
                _ => write!(f, "%{byte:02X}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query;

    #[test]
    fn the_link_leads_back_to_the_address_the_client_used() {
        for (raw_query, expected) in [
            (None, "</v2/a/b/tags/list?n=1000&last=v1.2>; rel=\"next\""),
            (Some("n=5&last=v1"), "</v2/a/b/tags/list?n=5&last=v1.2>; rel=\"next\""),
            (Some("n=5000"), "</v2/a/b/tags/list?n=1000&last=v1.2>; rel=\"next\""),
            (Some("ns=localhost%3A5000&n=5"), "</v2/a/b/tags/list?n=5&last=v1.2&ns=localhost:5000>; rel=\"next\""),
            (Some("ns=[::1]:5000&n=5"), "</v2/a/b/tags/list?n=5&last=v1.2&ns=%5B::1%5D:5000>; rel=\"next\""),
        ] {
            assert_eq!(link("/v2/a/b/tags/list", &query::parse(raw_query).unwrap(), "v1.2"), expected);
        }
    }

    #[test]
    fn upstreams_mark_cannot_break_out_of_the_link_and_comes_back_whole() {
        let mark = "x>; rel=\"evil\"\r\n&n=1 é%";
        let text = link("/v2/a/tags/list", &V2Query::default(), mark);
        assert_eq!(
            text,
            "</v2/a/tags/list?n=1000&last=x%3E%3B%20rel%3D%22evil%22%0D%0A%26n%3D1%20%C3%A9%25>; rel=\"next\""
        );
        let mark = "b2Zmc2V0PTEwMA==/+";
        let text = link("/v2/a/tags/list", &V2Query::default(), mark);
        let raw_query = text.split_once('?').unwrap().1.split_once('>').unwrap().0;
        assert_eq!(query::parse(Some(raw_query)).unwrap().last.unwrap(), mark);
    }
}
