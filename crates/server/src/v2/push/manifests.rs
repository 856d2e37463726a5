//! `PUT|DELETE /v2/<name>/manifests/<reference>` (distribution-spec "Pushing Manifests", "Deleting tags").
//!
//! Must not know what makes a manifest good. Invariant: no more of a body is read than the repository takes of a manifest; the bytes go on as they came.

use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use oci::{ErrorCode, MediaType, Reference};
use registry::{Action, BodyStream, ManifestPush};

use super::body::{content_length, whole};
use super::{PushRequest, bare, created};
use crate::body::ReplyBody;
use crate::middleware::log_request::RequestRecord;
use crate::respond::Failure;

const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");

pub(crate) async fn put(
    request: &PushRequest<'_>,
    name: &str,
    reference: Reference,
    body: BodyStream,
    record: &mut RequestRecord,
) -> Result<Response<ReplyBody>, Failure> {
    let (route, pusher) = request.admit(name, &Action::Manifest(reference.clone()), record).await?;
    let content_type = content_type(request)?;
    let limit = route.repo.spec().limits.manifest_bytes;
    let bytes = whole(body, content_length(request.headers)?, limit).await?;
    let tags = request.query.tags.clone();
    let by_query = tags.clone();
    let push = ManifestPush { reference, tags, content_type, bytes };
    let taken = request.app.registry.push_manifest(&route, pusher, push).await?;
    let mut response = created(&format!("/v2/{name}/manifests/{}", taken.digest), &taken.digest);
    let headers = response.headers_mut();
    if let Some(Ok(subject)) = taken.subject.map(|subject| HeaderValue::try_from(subject.to_string())) {
        headers.insert(OCI_SUBJECT, subject);
    }
    for tag in by_query {
        if let Ok(tag) = HeaderValue::from_str(tag.as_str()) {
            headers.append(OCI_TAG, tag);
        }
    }
    Ok(response)
}

pub(crate) async fn delete(
    request: &PushRequest<'_>,
    name: &str,
    reference: &Reference,
    record: &mut RequestRecord,
) -> Result<Response<ReplyBody>, Failure> {
    let (route, pusher) = request.admit(name, &Action::Manifest(reference.clone()), record).await?;
    request.app.registry.delete_manifest(&route, pusher, reference).await?;
    Ok(bare(StatusCode::ACCEPTED))
}

fn content_type(request: &PushRequest<'_>) -> Result<Option<MediaType>, Failure> {
    let mut given = request.headers.get_all(header::CONTENT_TYPE).iter();
    let bad = |why: String| Failure::new(StatusCode::BAD_REQUEST, ErrorCode::ManifestInvalid, why);
    match (given.next(), given.next()) {
        (None, _) => Ok(None),
        (Some(only), None) => {
            let text = only.to_str().map_err(|_| bad("the Content-Type is not text".into()))?;
            text.parse().map(Some).map_err(|error: oci::InvalidMediaType| bad(error.to_string()))
        }
        (Some(_), Some(_)) => Err(bad("more than one Content-Type".into())),
    }
}
