//! `GET|HEAD /v2/<name>/referrers/<digest>` (distribution-spec "Listing Referrers").
//!
//! Must not know how an upstream tells them. Invariants: the answer is an image index, also an empty one: never a 404;
//! a filter that was applied is told; the link to the next page leads back to the address the client used.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use oci::limits::MAX_TAG_PAGE;
use oci::{Digest, Referrer, referrers_index};
use registry::{Freshness, Place, PullOutcome, ReferrersQuery};

use super::headers::{DigestValues, put_freshness, put_namespace, put_outcome};
use super::page_link::page_link;
use super::{V2Request, Verb, conditional};
use crate::body::{Content, ReplyBody};
use crate::middleware::log_request::RequestRecord;
use crate::query::V2Query;
use crate::respond::Failure;

const OCI_FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

pub(crate) async fn answer(
    request: &V2Request<'_>,
    place: &Place,
    subject: &Digest,
    record: &mut RequestRecord,
) -> Result<Response<ReplyBody>, Failure> {
    let Listed { page, next, outcome, freshness } = listed(request, place, subject).await?;
    record.outcome = Some(outcome);
    let body = referrers_index(&page);

    let mut headers = HeaderMap::with_capacity(12);
    put_outcome(&mut headers, outcome);
    put_freshness(&mut headers, &freshness);
    put_namespace(&mut headers, place);
    if request.query.artifact_type.is_some() {
        headers.insert(OCI_FILTERS_APPLIED, HeaderValue::from_static("artifactType"));
    }
    let link = next.map(|last| page_link(request.raw_path, &request.query, &last));
    if let Some(Ok(link)) = link.map(HeaderValue::try_from) {
        headers.insert(header::LINK, link);
    }
    let etag = DigestValues::of(&Digest::sha256_of(&body)).etag;
    let unchanged = conditional::client_has(request.headers, &etag);
    headers.insert(header::ETAG, etag);
    let mut response = Response::new(ReplyBody::new(Content::Empty));
    if unchanged {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/vnd.oci.image.index.v1+json"));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        if request.verb == Verb::Get {
            response = Response::new(ReplyBody::new(Content::Whole(body.into())));
        }
    }
    *response.headers_mut() = headers;
    Ok(response)
}

/// The part of a list that was asked for.
struct Listed {
    page: Vec<Referrer>,
    next: Option<String>,
    outcome: PullOutcome,
    freshness: Freshness,
}

async fn listed(request: &V2Request<'_>, place: &Place, subject: &Digest) -> Result<Listed, Failure> {
    match place {
        Place::Proxy(route) => {
            let answer = Box::pin(request.registry.referrers(route, subject)).await?;
            let (page, next) = page(&answer.listed, request);
            Ok(Listed { page, next, outcome: answer.outcome, freshness: answer.freshness })
        }
        Place::Group(route) => {
            let answer = Box::pin(request.registry.group_referrers(route, subject)).await?;
            let (page, next) = page(&answer.listed, request);
            Ok(Listed { page, next, outcome: answer.outcome, freshness: answer.freshness })
        }
        Place::Hosted(route) => {
            let V2Query { n, last, artifact_type, .. } = &request.query;
            let query = ReferrersQuery { artifact_type: artifact_type.as_deref(), n: *n, last: last.as_deref() };
            let page = request.registry.hosted_referrers(route, subject, query).await?;
            // The next push may change it.
            let freshness = Freshness::Fresh { age: Duration::ZERO, remaining: Duration::ZERO };
            Ok(Listed { page: page.listed, next: page.next, outcome: PullOutcome::Hit, freshness })
        }
    }
}

/// The part of an upstream's list that was asked for, and where the next one starts.
fn page(listed: &[Referrer], request: &V2Request<'_>) -> (Vec<Referrer>, Option<String>) {
    let wanted = request.query.artifact_type.as_deref();
    let mut rest = listed.iter().filter(|one| wanted.is_none() || one.artifact_type.as_deref() == wanted).peekable();
    if let Some(last) = &request.query.last {
        // A mark that is not there any more starts from the beginning: better twice than not at all.
        if listed.iter().any(|one| one.digest.to_string() == *last) {
            while rest.next().is_some_and(|one| one.digest.to_string() != *last) {}
        }
    }
    let limit = request.query.n.map_or(MAX_TAG_PAGE, |n| n.max(1) as usize).min(MAX_TAG_PAGE);
    let page: Vec<Referrer> = rest.by_ref().take(limit).cloned().collect();
    let next = rest.peek().and_then(|_| page.last().map(|one| one.digest.to_string()));
    (page, next)
}
