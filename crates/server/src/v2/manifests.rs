//! `GET|HEAD /v2/<name>/manifests/<reference>`.
//!
//! The stored bytes are the answer whatever `Accept` says: a client that cannot read them finds out by the content
//! type, and bytes that were converted would not have the digest. Must not know where manifests are kept. Invariant:
//! content type, digest and bytes belong together.

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use oci::{MediaType, Reference};
use registry::{ManifestAnswer, Place};

use super::headers::{DOCKER_CONTENT_DIGEST, DigestValues, put_freshness, put_namespace, put_outcome};
use super::{V2Request, Verb, conditional};
use crate::body::{Content, ReplyBody};
use crate::middleware::log_request::RequestRecord;
use crate::respond::Failure;

pub(crate) async fn answer(
    request: &V2Request<'_>,
    place: &Place,
    reference: &Reference,
    record: &mut RequestRecord,
) -> Result<Response<ReplyBody>, Failure> {
    let manifest = request.registry.pull_manifest(place, reference).await?;
    record.outcome = Some(manifest.outcome);

    let mut headers = head(&manifest);
    put_namespace(&mut headers, place);
    if headers.get(header::ETAG).is_some_and(|etag| conditional::client_has(request.headers, etag)) {
        // A 304 has no representation to describe (RFC 9110 section 15.4.5).
        headers.remove(header::CONTENT_TYPE);
        headers.remove(header::CONTENT_LENGTH);
        return Ok(respond(StatusCode::NOT_MODIFIED, headers, Content::Empty));
    }
    let content = match request.verb {
        Verb::Get => {
            place.counters().served(manifest.outcome, manifest.bytes.len() as u64);
            Content::Whole(manifest.bytes)
        }
        Verb::Head => Content::Empty,
    };
    Ok(respond(StatusCode::OK, headers, content))
}

/// The head of a manifest's answer.
pub(super) fn head(manifest: &ManifestAnswer) -> HeaderMap {
    let values = DigestValues::of(&manifest.digest);
    let mut headers = HeaderMap::with_capacity(16);
    put_outcome(&mut headers, manifest.outcome);
    put_freshness(&mut headers, &manifest.freshness);
    headers.insert(header::ETAG, values.etag);
    headers.insert(DOCKER_CONTENT_DIGEST, values.digest);
    headers.insert(header::CONTENT_TYPE, content_type(&manifest.media_type));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(manifest.bytes.len()));
    headers
}

fn respond(status: StatusCode, headers: HeaderMap, content: Content) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::new(content));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// The header value of a media type; the common ones without a copy.
fn content_type(media_type: &MediaType) -> HeaderValue {
    const COMMON: [&str; 4] = [
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    ];
    let text = media_type.as_str();
    match COMMON.into_iter().find(|common| *common == text) {
        Some(common) => HeaderValue::from_static(common),
        None => HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("application/octet-stream")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_media_type_is_told_as_it_is() {
        for text in [
            "application/vnd.oci.image.index.v1+json",
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
            "application/vnd.example.thing+json",
        ] {
            assert_eq!(content_type(&text.parse().unwrap()), text);
        }
    }
}
