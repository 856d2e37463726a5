//! `GET|HEAD /v2/<name>/blobs/<digest>`, whole or in ranges (RFC 9110 section 14).
//!
//! Must not know whether a blob is stored, growing or passing by. Invariants: never a `Content-Encoding`, whatever the
//! client accepts; a range is honoured only when its `If-Range` names these very bytes; HEAD never fetches a blob.
//!
//! Calls of the registry are boxed: their futures hold a whole upstream exchange (25 KiB), which every other request
//! would carry along.

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use oci::{ByteRange, ContentRange, Digest, ErrorCode, RangeHeader, ResolvedRange};
use registry::{OpenBlob, Place};

use super::headers::{DOCKER_CONTENT_DIGEST, DigestValues, put_immutable, put_namespace, put_outcome};
use super::{V2Request, Verb, conditional};
use crate::body::blob::Exact;
use crate::body::multipart::Multipart;
use crate::body::outgoing::Outgoing;
use crate::body::{Content, ReplyBody};
use crate::file_queue::FileQueue;
use crate::middleware::log_request::RequestRecord;
use crate::respond::Failure;

pub(crate) async fn answer(
    request: &V2Request<'_>,
    place: &Place,
    digest: &Digest,
    record: &mut RequestRecord,
) -> Result<Response<ReplyBody>, Failure> {
    let values = DigestValues::of(digest);
    let unchanged = conditional::client_has(request.headers, &values.etag);
    let wanted = match request.verb {
        Verb::Get if unchanged => Wanted::Confirmation,
        Verb::Get => wanted_bytes(request.headers, &values),
        Verb::Head => Wanted::Confirmation,
    };
    let mut response = match wanted {
        Wanted::Confirmation => confirm(request, place, digest, record).await?,
        Wanted::TooManyRanges => {
            let size = Box::pin(request.registry.stat_blob(place, digest)).await?.size;
            return Err(unsatisfiable(size, "the Range header has more ranges than are answered"));
        }
        Wanted::Bytes(range) => send(request, place, digest, range.as_ref(), record).await?,
    };
    if unchanged {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response.headers_mut().remove(header::CONTENT_LENGTH);
        response.headers_mut().remove(header::CONTENT_TYPE);
    }
    let headers = response.headers_mut();
    put_immutable(headers);
    put_namespace(headers, place);
    headers.insert(header::ETAG, values.etag);
    headers.insert(DOCKER_CONTENT_DIGEST, values.digest);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    Ok(response)
}

/// What the client asks for.
enum Wanted {
    /// That the blob is there, and its size.
    Confirmation,
    /// The bytes, or some ranges of them.
    Bytes(Option<RangeHeader>),
    /// More ranges than anyone needs.
    TooManyRanges,
}

/// Reads `Range`: one that is not understood, repeated, or bound to other bytes is as good as none.
fn wanted_bytes(headers: &HeaderMap, values: &DigestValues) -> Wanted {
    let mut given = headers.get_all(header::RANGE).iter();
    let only = match (given.next(), given.next()) {
        (Some(only), None) => only.to_str().ok(),
        (Some(_), Some(_)) | (None, _) => None,
    };
    let Some(range) = only.filter(|_| conditional::range_holds(headers, &values.etag)) else {
        return Wanted::Bytes(None);
    };
    RangeHeader::parse(range).map_or(Wanted::TooManyRanges, Wanted::Bytes)
}

async fn confirm(
    request: &V2Request<'_>,
    place: &Place,
    digest: &Digest,
    record: &mut RequestRecord,
) -> Result<Response<ReplyBody>, Failure> {
    let facts = Box::pin(request.registry.stat_blob(place, digest)).await?;
    record.outcome = Some(facts.outcome);
    let mut response = octets(StatusCode::OK, facts.size, Content::Empty);
    put_outcome(response.headers_mut(), facts.outcome);
    Ok(response)
}

async fn send(
    request: &V2Request<'_>,
    place: &Place,
    digest: &Digest,
    range: Option<&RangeHeader>,
    record: &mut RequestRecord,
) -> Result<Response<ReplyBody>, Failure> {
    let blob = Box::pin(request.registry.open_blob(place, digest, range)).await?;
    let outcome = blob.outcome();
    record.outcome = Some(outcome);
    let mut response = match range.map_or(ResolvedRange::Full, |range| range.resolve(blob.size())) {
        ResolvedRange::Full => whole(&blob, request.files.clone()),
        ResolvedRange::Single(range) => part(&blob, range, request.files.clone()),
        ResolvedRange::Multiple(ranges) => parts(blob, ranges, request.files.clone()),
        ResolvedRange::Unsatisfiable => {
            return Err(unsatisfiable(blob.size(), "no range of the Range header is inside the blob"));
        }
    };
    put_outcome(response.headers_mut(), outcome);
    Ok(response)
}

fn whole(blob: &OpenBlob, files: Option<FileQueue>) -> Response<ReplyBody> {
    let size = blob.size();
    let content = match ByteRange::new(0, size) {
        Some(range) => Content::Blob(Box::new(Exact::new(Outgoing::new(blob.read(range), files), size))),
        None => Content::Empty,
    };
    octets(StatusCode::OK, size, content)
}

fn part(blob: &OpenBlob, range: ByteRange, files: Option<FileQueue>) -> Response<ReplyBody> {
    let content = Content::Blob(Box::new(Exact::new(Outgoing::new(blob.read(range), files), range.len())));
    let mut response = octets(StatusCode::PARTIAL_CONTENT, range.len(), content);
    let content_range = ContentRange { range, total: Some(blob.size()) }.to_string();
    put_text(response.headers_mut(), header::CONTENT_RANGE, &content_range);
    response
}

fn parts(blob: OpenBlob, ranges: Vec<ByteRange>, files: Option<FileQueue>) -> Response<ReplyBody> {
    let size = blob.size();
    let parts = Multipart::new(ranges, size, move |range| Outgoing::new(blob.read(range), files.clone()));
    let (length, content_type) = (parts.remaining(), parts.content_type());
    let mut response = octets(StatusCode::PARTIAL_CONTENT, length, Content::Parts(Box::new(parts)));
    put_text(response.headers_mut(), header::CONTENT_TYPE, &content_type);
    response
}

fn octets(status: StatusCode, length: u64, content: Content) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::new(content));
    *response.status_mut() = status;
    let mut headers = HeaderMap::with_capacity(16);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    *response.headers_mut() = headers;
    response
}

fn unsatisfiable(size: u64, message: &str) -> Failure {
    let failure = Failure::new(StatusCode::RANGE_NOT_SATISFIABLE, ErrorCode::RangeInvalid, message);
    match HeaderValue::try_from(format!("bytes */{size}")) {
        Ok(value) => failure.with_header(header::CONTENT_RANGE, value),
        Err(_) => failure,
    }
}

/// Puts text of our own making, which is always legal.
fn put_text(headers: &mut HeaderMap, name: header::HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(given: &[(&'static str, &str)]) -> Wanted {
        let headers = given
            .iter()
            .map(|(name, value)| (header::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect();
        wanted_bytes(&headers, &DigestValues::of(&Digest::sha256_of(b"")))
    }

    #[test]
    fn a_range_counts_only_when_it_is_one_and_bound_to_these_bytes() {
        let etag = format!("\"{}\"", Digest::sha256_of(b""));
        assert!(matches!(wanted(&[("range", "bytes=0-1")]), Wanted::Bytes(Some(_))));
        assert!(matches!(wanted(&[("range", "bytes=0-1"), ("if-range", &etag)]), Wanted::Bytes(Some(_))));
        for ignored in [
            &[][..],
            &[("range", "items=0-1")],
            &[("range", "bytes=x")],
            &[("range", "bytes=0-1"), ("range", "bytes=2-3")],
            &[("range", "bytes=0-1"), ("if-range", "\"other\"")],
            &[("range", "bytes=0-1"), ("if-range", "Sat, 29 Oct 1994 19:43:31 GMT")],
            &[("if-range", "\"x\"")],
        ] {
            assert!(matches!(wanted(ignored), Wanted::Bytes(None)), "{ignored:?}");
        }
        let many = format!("bytes={}", "0-0,".repeat(5000));
        assert!(matches!(wanted(&[("range", &many)]), Wanted::TooManyRanges));
    }
}
