//! Pushing: one file for each kind of thing, each reading the request, asking the registry once and answering.
//!
//! | path                              | methods                | answers       |
//! |-----------------------------------|------------------------|---------------|
//! | `/v2/<name>/blobs/uploads/`       | POST                   | [`uploads`]   |
//! | `/v2/<name>/blobs/uploads/<id>`   | GET PATCH PUT DELETE   | [`uploads`]   |
//! | `/v2/<name>/manifests/<ref>`      | PUT DELETE             | [`manifests`] |
//! | `/v2/<name>/blobs/<digest>`       | DELETE                 | [`blobs`]     |
//!
//! Must not know where anything is stored. Invariants: nothing is read of a body before the caller was let in; a body that
//! stands still is cut off; addresses given out lead back to the host the client used.

pub(crate) mod blobs;
pub(crate) mod body;
pub(crate) mod manifests;
pub(crate) mod query;
pub(crate) mod uploads;

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use oci::Digest;
use registry::{Action, BodyStream};

use self::query::PushQuery;
use super::headers::{DOCKER_CONTENT_DIGEST, DigestValues};
use super::unsupported;
use crate::body::{Content, ReplyBody};
use crate::middleware::log_request::RequestRecord;
use crate::path::V2Path;
use crate::respond::Failure;
use crate::state::App;

/// A request that changes something, with its parts checked.
pub(crate) struct PushRequest<'a> {
    pub(crate) app: &'a App,
    pub(crate) method: &'a Method,
    pub(crate) query: PushQuery,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) host: Option<&'a str>,
    pub(crate) local_port: u16,
    pub(crate) peer: IpAddr,
}

/// Answers a request that changes something. A future of its own: a pull must not carry what a push needs.
pub(crate) async fn answer(
    request: &PushRequest<'_>,
    path: V2Path<'_>,
    body: BodyStream,
    record: &mut RequestRecord,
) -> Result<Response<ReplyBody>, Failure> {
    match path {
        V2Path::Uploads { name } => match *request.method {
            Method::POST => uploads::begin(request, &name, body, record).await,
            _ => Err(unsupported::method("POST")),
        },
        V2Path::Upload { name, session } => uploads::go_on(request, &name, &session, body, record).await,
        V2Path::Manifest { name, reference } => match *request.method {
            Method::PUT => manifests::put(request, &name, reference, body, record).await,
            Method::DELETE => manifests::delete(request, &name, &reference, record).await,
            _ => Err(unsupported::method("GET, HEAD, PUT, DELETE")),
        },
        V2Path::Blob { name, digest } => match *request.method {
            Method::DELETE => blobs::delete(request, &name, &digest, record).await,
            _ => Err(unsupported::method("GET, HEAD, DELETE")),
        },
        V2Path::Tags { name } => {
            request.admit(&name, &Action::Tags, record).await?;
            Err(unsupported::method("GET, HEAD"))
        }
        V2Path::Referrers { name, digest } => {
            request.admit(&name, &Action::Referrers(digest), record).await?;
            Err(unsupported::method("GET, HEAD"))
        }
        V2Path::ManifestAt { name, tag, .. } => {
            request.admit(&name, &Action::Manifest(tag.into()), record).await?;
            Err(unsupported::method("GET, HEAD"))
        }
        V2Path::Base | V2Path::Catalog => Err(unsupported::method("GET, HEAD")),
    }
}

/// An answer that is all head.
fn bare(status: StatusCode) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::new(Content::Empty));
    *response.status_mut() = status;
    if status != StatusCode::NO_CONTENT {
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(0));
    }
    response
}

/// `Location`: an address on the host that the client used. Names and digests are of grammars that paths may hold.
fn put_location(headers: &mut HeaderMap, path: &str) {
    if let Ok(value) = HeaderValue::from_str(path) {
        headers.insert(header::LOCATION, value);
    }
}

/// The answer to something that is stored now.
fn created(path: &str, digest: &Digest) -> Response<ReplyBody> {
    let mut response = bare(StatusCode::CREATED);
    let headers = response.headers_mut();
    put_location(headers, path);
    headers.insert(DOCKER_CONTENT_DIGEST, DigestValues::of(digest).digest);
    response
}
