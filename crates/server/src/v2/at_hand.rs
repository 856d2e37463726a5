//! `GET|HEAD` of a manifest by tag, answered from memory in one go: the hot path of every client that checks for news.
//!
//! A short cut: whatever is unusual about a request is left to the long way (`v2::manifests`), which answers the same.
//! Must not refuse anything. Invariant: the head is the one that the long way makes, kept beside the manifest because
//! all but its age is the same each time.

use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use http_body::Body;
use oci::Reference;
use registry::{AtHand, Freshness, ManifestAnswer, PullKind, RouteQuery};

use super::headers::{DOCKER_DISTRIBUTION_API_VERSION, NOSNIFF, REGISTRY_2, max_age};
use crate::body::{Content, ReplyBody};
use crate::middleware::request_id::X_REQUEST_ID;
use crate::middleware::subject::{Member, Subject};
use crate::path;
use crate::request::RequestLine;
use crate::router::host_of;
use crate::serve::ConnectionInfo;
use crate::state::App;

/// The head of a fresh answer to a tag, with places for what differs.
struct ReadyHead {
    headers: HeaderMap,
    /// The time to live that the head was made for, in seconds.
    life: u64,
}

/// Answers a request if nothing about it needs the long way; the record is filled in then, and only then.
pub(crate) fn answer<B: Body>(
    app: &App,
    request: &Request<B>,
    connection: &ConnectionInfo,
    line: &mut RequestLine,
) -> Option<Response<ReplyBody>> {
    let uri = request.uri();
    let (name, tag) = path::manifest_by_tag(uri.path().strip_prefix("/v2/")?)?;
    let verb_is_get = request.method() == Method::GET;
    let plain = (verb_is_get || request.method() == Method::HEAD) && uri.query().is_none() && is_plain(request);
    if !plain {
        return None;
    }
    let host = host_of(request.version(), uri, request.headers()).ok()?;
    let query = RouteQuery { path: name, ns: None, host, local_port: Some(connection.local.port()) };
    let AtHand { repo, name, tag, manifest, through } =
        app.registry.pull_at_hand(&query, tag, line.started(), line.record().time)?;
    let headers = head(&manifest, line)?;
    let content = if verb_is_get {
        repo.counters().served(manifest.outcome, manifest.bytes.len() as u64);
        Content::Whole(manifest.bytes)
    } else {
        Content::Empty
    };
    let record = line.record();
    record.outcome = Some(manifest.outcome);
    let member = through.as_ref().map(|(_, by)| Member { key: repo.key().clone(), by: *by });
    record.subject = Some(Subject {
        kind: PullKind::Manifest,
        repo_key: through.map_or_else(|| repo.key().clone(), |(group, _)| group),
        upstream: Some(repo.upstream().clone()),
        name,
        reference: Some(Reference::Tag(tag)),
        member,
    });
    let mut response = Response::new(ReplyBody::new(content));
    *response.headers_mut() = headers;
    Some(response)
}

/// Whether there are no conditions to look at and no body to refuse.
fn is_plain<B: Body>(request: &Request<B>) -> bool {
    let headers = request.headers();
    request.body().is_end_stream()
        && !headers.contains_key(header::IF_NONE_MATCH)
        && !headers.contains_key(header::TRANSFER_ENCODING)
}

/// The head of this answer.
fn head(manifest: &ManifestAnswer, line: &mut RequestLine) -> Option<HeaderMap> {
    let Freshness::Fresh { age, remaining } = &manifest.freshness else { return None };
    if remaining.as_secs() == 0 {
        return None;
    }
    let whole_life = age.saturating_add(*remaining).as_secs();
    let ready = manifest.beside(|| ReadyHead { headers: template(manifest), life: whole_life })?;
    let mut headers = ready.headers.clone();
    if ready.life != whole_life {
        headers.insert(header::CACHE_CONTROL, max_age(whole_life));
    }
    headers.insert(header::AGE, HeaderValue::from(age.as_secs()));
    headers.insert(X_REQUEST_ID, line.record().request_id.header());
    Some(headers)
}

/// Everything that `v2::manifests` and `face` put into the head.
fn template(manifest: &ManifestAnswer) -> HeaderMap {
    let mut headers = super::manifests::head(manifest);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    headers.insert(DOCKER_DISTRIBUTION_API_VERSION, REGISTRY_2);
    headers.insert(X_REQUEST_ID, HeaderValue::from_static(""));
    headers
}
