//! A request's body on its way in.
//!
//! Must not know what it is. Invariants: a body that stands still ends with an error; a small one is never read beyond its
//! limit; a body that broke off is never taken for a whole one.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyStream as Frames;
use oci::ErrorCode;
use registry::{BodyStream, HostedError};

use crate::respond::Failure;

/// How long a body may stand still.
const STILL: Duration = Duration::from_mins(1);

/// The bytes of a body as the registry takes them.
pub(crate) fn incoming<B>(body: B) -> BodyStream
where
    B: http_body::Body<Data = Bytes, Error: Into<axum::BoxError>> + Send + 'static,
{
    let frames = Box::pin(Frames::new(body));
    Box::pin(stream::unfold(Some(frames), async |frames| {
        let mut frames = frames?;
        loop {
            return match tokio::time::timeout(STILL, frames.next()).await {
                Err(_) => Some((Err(format!("no byte came for {} s", STILL.as_secs())), None)),
                Ok(None) => None,
                Ok(Some(Err(error))) => Some((Err(error.into().to_string()), None)),
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(bytes) => Some((Ok(bytes), Some(frames))),
                    // Trailers say nothing to us.
                    Err(_trailers) => continue,
                },
            };
        }
    }))
}

/// `Content-Length`, as the HTTP library has checked it.
pub(crate) fn content_length(headers: &HeaderMap) -> Result<Option<u64>, Failure> {
    let Some(value) = headers.get(header::CONTENT_LENGTH) else { return Ok(None) };
    let length = value.to_str().ok().and_then(|text| text.parse().ok());
    length.map(Some).ok_or_else(|| {
        Failure::new(StatusCode::BAD_REQUEST, ErrorCode::SizeInvalid, "the Content-Length is not a number")
    })
}

/// A manifest's body as a whole, `limit` bytes at most.
pub(crate) async fn whole(mut body: BodyStream, length: Option<u64>, limit: u64) -> Result<Bytes, Failure> {
    let too_large = || Failure::from(HostedError::TooLarge { what: "the manifest", limit });
    if length.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let mut bytes = BytesMut::new();
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|why| HostedError::BodyBroke { received: bytes.len() as u64, why: why.into() })?;
        if (bytes.len() + piece.len()) as u64 > limit {
            return Err(too_large());
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{Full, StreamBody};
    use oci::limits::MAX_MANIFEST_BYTES;

    const LIMIT: u64 = MAX_MANIFEST_BYTES as u64;

    #[tokio::test]
    async fn a_body_comes_whole_or_not_at_all() {
        let body = incoming(Full::new(Bytes::from_static(b"manifest")));
        assert_eq!(whole(body, Some(8), LIMIT).await.unwrap(), "manifest");
        let broken = stream::iter([
            Ok(http_body::Frame::data(Bytes::from_static(b"mani"))),
            Err(std::io::Error::other("connection reset")),
        ]);
        let failure = whole(incoming(StreamBody::new(broken)), None, LIMIT).await.unwrap_err();
        assert!(failure.message().contains("connection reset"), "{}", failure.message());
    }

    #[tokio::test]
    async fn a_manifest_is_read_up_to_its_limit() {
        let most = Bytes::from(vec![b' '; MAX_MANIFEST_BYTES]);
        assert_eq!(whole(incoming(Full::new(most.clone())), None, LIMIT).await.unwrap().len(), MAX_MANIFEST_BYTES);
        let more = Bytes::from(vec![b' '; MAX_MANIFEST_BYTES + 1]);
        assert!(whole(incoming(Full::new(more)), None, LIMIT).await.is_err());
        assert!(whole(incoming(Full::new(most)), Some(LIMIT + 1), LIMIT).await.is_err());
        let endless =
            stream::repeat_with(|| Ok::<_, std::io::Error>(http_body::Frame::data(Bytes::from_static(&[0; 4096]))));
        assert!(whole(incoming(StreamBody::new(endless)), None, LIMIT).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stands_still_is_cut_off() {
        let still = stream::pending::<Result<http_body::Frame<Bytes>, std::io::Error>>();
        let failure = whole(incoming(StreamBody::new(still)), None, LIMIT).await.unwrap_err();
        assert!(failure.message().contains("no byte came for 60 s"), "{}", failure.message());
    }
}
