//! `/v2/<name>/blobs/uploads/…`: how blobs come in (distribution-spec "Pushing blobs").
//!
//! Must not know where bytes go. Invariants: an answer about a session says where it is and how far it has come; a chunk
//! that does not fit is refused with that, and changes nothing.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use oci::{ChunkRange, Digest, DigestAlgorithm, ErrorCode, UploadId};
use registry::{Action, BodyStream, Chunk, HostedRoute, Mount, Pusher};

use super::body::content_length;
use super::{PushRequest, bare, created, put_location};
use crate::body::ReplyBody;
use crate::middleware::log_request::RequestRecord;
use crate::respond::{Failure, received_range};
use crate::v2::unsupported;

const DOCKER_UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// `POST`: a whole blob, one of another name, or the beginning of a session.
pub(crate) async fn begin(
    request: &PushRequest<'_>,
    name: &str,
    body: BodyStream,
    record: &mut RequestRecord,
) -> Result<Response<ReplyBody>, Failure> {
    let (query, registry) = (&request.query, &request.app.registry);
    let about = query.digest.or(query.mount).unwrap_or_else(|| Digest::sha256_of(b""));
    let (route, pusher) = request.admit(name, &Action::Blob(about), record).await?;
    if let Some(digest) = query.mount
        && registry.mount_blob(&route, pusher, &digest, &mount(request)).await?
    {
        return Ok(created(&blob_path(name, &digest), &digest));
    }
    if let Some(digest) = query.digest.filter(|_| query.mount.is_none()) {
        let chunk = Chunk { range: None, body };
        registry.push_blob(&route, pusher, &digest, chunk).await?;
        return Ok(created(&blob_path(name, &digest), &digest));
    }
    let of_mount = query.mount.map(|digest| digest.algorithm());
    let algorithm = query.algorithm.or(of_mount).unwrap_or(DigestAlgorithm::Sha256);
    let id = registry.begin_upload(&route, pusher, algorithm).await?;
    Ok(under_way(StatusCode::ACCEPTED, name, &id, 0))
}

/// Where a blob is to be mounted from. A name that leads nowhere is one that does not have the blob.
fn mount(request: &PushRequest<'_>) -> Mount {
    let Some(from) = &request.query.from else { return Mount::Anywhere };
    match request.app.registry.locate(&request.route_query(from)) {
        Ok(place) => Mount::From(place),
        Err(_) => Mount::Nowhere,
    }
}

/// Everything about a session that has begun.
pub(crate) async fn go_on(
    request: &PushRequest<'_>,
    name: &str,
    id: &UploadId,
    body: BodyStream,
    record: &mut RequestRecord,
) -> Result<Response<ReplyBody>, Failure> {
    let about = request.query.digest.unwrap_or_else(|| Digest::sha256_of(b""));
    let (route, pusher) = request.admit(name, &Action::Blob(about), record).await?;
    let upload = Upload { request, route, pusher, name, id };
    let answered = match *request.method {
        Method::GET | Method::HEAD => upload.status().await,
        Method::PATCH => upload.append(body).await,
        Method::PUT => upload.finish(body).await,
        Method::DELETE => upload.cancel().await,
        _ => Err(unsupported::method("GET, PATCH, PUT, DELETE")),
    };
    answered.map_err(|failure| failure.with_location_of_range(&upload_path(name, id)))
}

/// A session and who speaks of it.
struct Upload<'a> {
    request: &'a PushRequest<'a>,
    route: HostedRoute,
    pusher: Pusher,
    name: &'a str,
    id: &'a UploadId,
}

impl Upload<'_> {
    async fn received(&self) -> Result<u64, Failure> {
        Ok(self.request.app.registry.upload_status(&self.route, self.pusher, self.id).await?)
    }

    async fn status(&self) -> Result<Response<ReplyBody>, Failure> {
        Ok(under_way(StatusCode::NO_CONTENT, self.name, self.id, self.received().await?))
    }

    async fn append(&self, body: BodyStream) -> Result<Response<ReplyBody>, Failure> {
        let chunk = self.chunk(body).await?;
        let registry = &self.request.app.registry;
        let received = registry.append_upload(&self.route, self.pusher, self.id, chunk).await?;
        Ok(under_way(StatusCode::ACCEPTED, self.name, self.id, received))
    }

    async fn finish(&self, body: BodyStream) -> Result<Response<ReplyBody>, Failure> {
        let Some(digest) = self.request.query.digest else {
            let message = "the request that ends an upload must say its digest: ?digest=sha256:…";
            return Err(Failure::new(StatusCode::BAD_REQUEST, ErrorCode::DigestInvalid, message));
        };
        let chunk = self.chunk(body).await?;
        let registry = &self.request.app.registry;
        registry.finish_upload(&self.route, self.pusher, self.id, &digest, Some(chunk)).await?;
        Ok(created(&blob_path(self.name, &digest), &digest))
    }

    async fn cancel(&self) -> Result<Response<ReplyBody>, Failure> {
        self.request.app.registry.cancel_upload(&self.route, self.pusher, self.id).await?;
        Ok(bare(StatusCode::NO_CONTENT))
    }

    /// The body, and which bytes it says it is. A `Content-Range` that cannot be read, or that is not as long as the body,
    /// is answered like one that does not fit: with where the upload is.
    async fn chunk(&self, body: BodyStream) -> Result<Chunk, Failure> {
        let headers = self.request.headers;
        let mut given = headers.get_all(header::CONTENT_RANGE).iter();
        let range = match (given.next(), given.next()) {
            (None, _) => return Ok(Chunk { range: None, body }),
            (Some(only), None) => only.to_str().ok().and_then(|text| text.parse::<ChunkRange>().ok()),
            (Some(_), Some(_)) => None,
        };
        let Some(ChunkRange(range)) = range else {
            return Err(self.misfit("the Content-Range is not of the form <first>-<last>").await?);
        };
        match content_length(headers)? {
            Some(length) if length != range.len() => {
                Err(self.misfit("the Content-Range is not as long as the Content-Length says").await?)
            }
            Some(_) | None => Ok(Chunk { range: Some(range), body }),
        }
    }

    async fn misfit(&self, message: &str) -> Result<Failure, Failure> {
        let failure = Failure::new(StatusCode::RANGE_NOT_SATISFIABLE, ErrorCode::BlobUploadInvalid, message);
        Ok(failure.with_header(header::RANGE, received_range(self.received().await?)))
    }
}

/// The answer about a session.
fn under_way(status: StatusCode, name: &str, id: &UploadId, received: u64) -> Response<ReplyBody> {
    let mut response = bare(status);
    let headers: &mut HeaderMap = response.headers_mut();
    put_location(headers, &upload_path(name, id));
    headers.insert(header::RANGE, received_range(received));
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        headers.insert(DOCKER_UPLOAD_UUID, id);
    }
    response
}

fn upload_path(name: &str, id: &UploadId) -> String {
    format!("/v2/{name}/blobs/uploads/{id}")
}

fn blob_path(name: &str, digest: &Digest) -> String {
    format!("/v2/{name}/blobs/{digest}")
}
