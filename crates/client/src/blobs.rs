//! Blobs: their size, and their bytes from any offset.
//!
//! Must not know stores or digests of what passes: the caller hashes. Invariants: the offset and end reported are those
//! of the bytes the body delivers; a body that ends early or late is an error; a call is retried only until its body has
//! begun, because only the caller knows what it has and where to go on.

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use http::{Method, StatusCode};
use oci::{ByteRange, ContentRange, Digest, RepositoryName};
use url::Url;

use crate::answer::{Answer, AnsweredBy};
use crate::body::BlobBody;
use crate::error::ClientError;
use crate::exchange::ExchangeKind;
use crate::handshake::Call;
use crate::profiles::HeadOnRedirect;
use crate::registry_client::{RegistryClient, call, header_value, is_page};
use crate::transport::Attempt;

/// What the upstream says of a blob without sending it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobHead {
    /// In bytes; `None` when the upstream does not say.
    pub size: Option<u64>,
}

/// A blob on its way.
#[derive(Debug)]
pub struct BlobResponse {
    /// Where in the blob the first byte of `body` stands. 0 when the upstream ignored the range.
    pub offset: u64,
    /// Where `body` ends (exclusive); `None` when only its end will tell.
    pub end: Option<u64>,
    /// The size of the whole blob, when the upstream says it.
    pub total: Option<u64>,
    /// The bytes.
    pub body: BlobBody,
}

/// Which bytes an answer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    offset: u64,
    end: Option<u64>,
    total: Option<u64>,
}

impl RegistryClient {
    /// The size of a blob. Where HEAD is refused (signed CDN URLs are for GET only) or says no length, one byte is asked
    /// for with GET, whose `Content-Range` tells; at once, where the upstream's profile says that HEAD is refused.
    pub async fn head_blob(&self, name: &RepositoryName, digest: &Digest) -> Result<BlobHead, ClientError> {
        match self.profile().blobs.head {
            HeadOnRedirect::Forbidden => return self.size_by_get(name, digest).await,
            HeadOnRedirect::Answered => {}
        }
        let call = &self.blob_call(Method::HEAD, name, digest);
        let outcome = self.retry().run(|attempt| self.ask_size(call, attempt)).await;
        match outcome {
            Ok(Some(size)) => Ok(BlobHead { size: Some(size) }),
            Ok(None) => self.size_by_get(name, digest).await,
            Err(error) if matches!(error.upstream_status(), Some(403 | 405)) => self.size_by_get(name, digest).await,
            Err(error) => Err(error),
        }
    }

    /// The blob, or the part of it in `range`. The upstream may send all of it anyway: see `BlobResponse::offset`.
    pub async fn get_blob(
        &self,
        name: &RepositoryName,
        digest: &Digest,
        range: Option<ByteRange>,
    ) -> Result<BlobResponse, ClientError> {
        let mut call = self.blob_call(Method::GET, name, digest);
        if let Some(range) = range {
            call.headers.insert(RANGE, header_value(&range.header_value()));
        }
        let call = &call;
        let begin = |attempt| async move { Self::begin_blob(self.ask(call, attempt).await?, range) };
        self.retry().run(begin).await
    }

    /// A part of the blob, and where a redirect led that had to be followed for it, if that was another host.
    pub(crate) async fn get_blob_and_place(
        &self,
        name: &RepositoryName,
        digest: &Digest,
        range: ByteRange,
    ) -> Result<(BlobResponse, Option<Url>), ClientError> {
        let mut call = self.blob_call(Method::GET, name, digest);
        call.headers.insert(RANGE, header_value(&range.header_value()));
        let call = &call;
        let begin = |attempt| async move {
            let answer = self.ask(call, attempt).await?;
            let elsewhere = answer.by == AnsweredBy::Elsewhere;
            let place = answer.passed.last().filter(|_| elsewhere).map(|passed| passed.to.clone());
            Ok((Self::begin_blob(answer, Some(range))?, place))
        };
        self.retry().run(begin).await
    }

    /// A part of the blob from a place that a redirect led to, without any credential.
    pub(crate) async fn get_blob_at(&self, place: &Url, range: ByteRange) -> Result<BlobResponse, ClientError> {
        let mut call = call(Method::GET, place.clone(), ExchangeKind::Blob, None);
        call.headers.insert(RANGE, header_value(&range.header_value()));
        let call = &call;
        let begin = |attempt| async move { Self::begin_blob(self.ask_stranger(call, attempt).await?, Some(range)) };
        self.retry().run(begin).await
    }

    async fn ask_size(&self, call: &Call, attempt: Attempt) -> Result<Option<u64>, ClientError> {
        let mut answer = self.ask(call, attempt).await?;
        match span(&answer, None) {
            Ok(span) => {
                answer.record.complete();
                Ok(span.total)
            }
            Err(error) => Err(answer.reject(error)),
        }
    }

    async fn size_by_get(&self, name: &RepositoryName, digest: &Digest) -> Result<BlobHead, ClientError> {
        let mut response = self.get_blob(name, digest, Some(ByteRange { start: 0, end: 1 })).await?;
        response.body.enough(crate::body::Came::InTime);
        Ok(BlobHead { size: response.total })
    }

    fn begin_blob(answer: Answer, range: Option<ByteRange>) -> Result<BlobResponse, ClientError> {
        response(answer, range)
    }

    fn blob_call(&self, method: Method, name: &RepositoryName, digest: &Digest) -> Call {
        let url = self.endpoint().content(name, &format!("blobs/{digest}"));
        call(method, url, ExchangeKind::Blob, Some(self.endpoint().pull_scope(name)))
    }
}

/// The blob in an answer to a request for `range`.
pub(crate) fn response(answer: Answer, range: Option<ByteRange>) -> Result<BlobResponse, ClientError> {
    match span(&answer, range) {
        Ok(Span { offset, end, total }) => {
            let body = BlobBody::new(answer, end.map(|end| end - offset));
            Ok(BlobResponse { offset, end, total, body })
        }
        Err(error) => Err(answer.reject(error)),
    }
}

/// Reads from the head which bytes follow, and refuses what cannot be them (RFC 9110 section 15.3.7).
fn span(answer: &Answer, asked: Option<ByteRange>) -> Result<Span, ClientError> {
    if is_page(answer) {
        return Err(answer.protocol("an HTML page instead of a blob"));
    }
    let length: Option<u64> = answer.parsed(&CONTENT_LENGTH)?;
    let part: Option<ContentRange> = answer.parsed(&CONTENT_RANGE)?;
    match (answer.status, asked, part) {
        (StatusCode::OK, _, None) => Ok(Span { offset: 0, end: length, total: length }),
        (StatusCode::OK, _, Some(_)) => Err(answer.protocol("a Content-Range with status 200")),
        (StatusCode::PARTIAL_CONTENT, Some(asked), Some(part)) => partial(answer, asked, part, length),
        (StatusCode::PARTIAL_CONTENT, None, _) => Err(answer.protocol("status 206, although no range was asked for")),
        (StatusCode::PARTIAL_CONTENT, Some(_), None) => {
            let kind = answer.single(&CONTENT_TYPE)?.unwrap_or("unknown");
            Err(answer.protocol(format!("status 206 without a Content-Range (Content-Type {kind})")))
        }
        (status, _, _) => Err(answer.protocol(format!("status {} for a blob", status.as_u16()))),
    }
}

fn partial(answer: &Answer, asked: ByteRange, part: ContentRange, length: Option<u64>) -> Result<Span, ClientError> {
    let ContentRange { range, total } = part;
    if range.start != asked.start || range.end > asked.end {
        return Err(answer.protocol(format!("bytes {range} when {asked} was asked for")));
    }
    if length.is_some_and(|length| length != range.len()) {
        return Err(answer.protocol("a Content-Length that is not that of its Content-Range"));
    }
    Ok(Span { offset: range.start, end: Some(range.end), total })
}
