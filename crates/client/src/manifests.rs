//! Manifests: asked for by tag or digest, read whole, bytes as they came.
//!
//! Must not know what a manifest says beyond its media type. Invariants: a manifest that leaves this file hashes to the
//! digest it carries, which is the one asked for, or announced, when there was one; none is larger than 4 MiB.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use oci::limits::MAX_MANIFEST_BYTES;
use oci::{Digest, DigestAlgorithm, MediaType, Reference, RepositoryName};
use serde::Deserialize;

use crate::answer::Answer;
use crate::body::read_document;
use crate::error::ClientError;
use crate::exchange::ExchangeKind;
use crate::handshake::Call;
use crate::json_object;
use crate::profiles::DeniedTag;
use crate::registry_client::{RegistryClient, call, header_value, is_page};
use crate::transport::Attempt;

/// All types we know, the common ones first; anything else at last, so that unusual artifacts are not refused.
pub(crate) const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json, \
     */*;q=0.1";

const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// What the upstream says of a manifest without sending it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestHead {
    /// `Docker-Content-Digest`; older registries leave it out.
    pub digest: Option<Digest>,
    /// `Content-Type`, when it names a kind of JSON document.
    pub media_type: Option<MediaType>,
    /// `Content-Length`, in bytes.
    pub size: Option<u64>,
    /// `ETag`, as sent.
    pub etag: Option<String>,
}

/// The answer to a request for a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManifestFetch {
    /// The manifest.
    Fetched {
        /// Its bytes.
        bytes: Bytes,
        /// Their digest.
        digest: Digest,
        /// Its type: from the header, or from the body where the header says nothing.
        media_type: MediaType,
    },
    /// It is still the one the caller has.
    NotModified,
}

impl RegistryClient {
    /// HEAD of a manifest.
    pub async fn head_manifest(
        &self,
        name: &RepositoryName,
        reference: &Reference,
    ) -> Result<ManifestHead, ClientError> {
        let call = &self.manifest_call(Method::HEAD, name, reference);
        self.hedged(|| self.retry().run(|attempt| self.ask_head(call, reference, attempt))).await
    }

    async fn ask_head(
        &self,
        call: &Call,
        reference: &Reference,
        attempt: Attempt,
    ) -> Result<ManifestHead, ClientError> {
        let mut answer = self.ask_manifest(call, reference, attempt).await?;
        match head(&answer) {
            Ok(head) => {
                answer.record.complete();
                Ok(head)
            }
            Err(error) => Err(answer.reject(error)),
        }
    }

    /// GET of a manifest. With `if_none_match`, the upstream may answer that it is still that one.
    pub async fn get_manifest(
        &self,
        name: &RepositoryName,
        reference: &Reference,
        if_none_match: Option<&Digest>,
    ) -> Result<ManifestFetch, ClientError> {
        let mut call = self.manifest_call(Method::GET, name, reference);
        if let Some(digest) = if_none_match {
            call.headers.insert(IF_NONE_MATCH, header_value(&format!("\"{digest}\"")));
        }
        let call = &call;
        self.retry().run(|attempt| self.fetch_manifest(call, reference, attempt)).await
    }

    async fn fetch_manifest(
        &self,
        call: &Call,
        reference: &Reference,
        attempt: Attempt,
    ) -> Result<ManifestFetch, ClientError> {
        let mut answer = self.ask_manifest(call, reference, attempt).await?;
        if answer.status == StatusCode::NOT_MODIFIED && call.headers.contains_key(IF_NONE_MATCH) {
            answer.record.complete();
            return Ok(ManifestFetch::NotModified);
        }
        let (announced, media_type) = match head(&answer) {
            Ok(head) => (head.digest, head.media_type),
            Err(error) => return Err(answer.reject(error)),
        };
        let bytes = read_document(answer, "a manifest", MAX_MANIFEST_BYTES).await?;
        let digest = self.verified(&bytes, reference, announced)?;
        let media_type = match media_type {
            Some(media_type) => media_type,
            None => {
                media_type_of(&bytes).ok_or_else(|| self.protocol("something that is no manifest of a known type"))?
            }
        };
        if !json_object::starts_as_object(&bytes) {
            return Err(self.protocol("a manifest that is not a JSON object"));
        }
        Ok(ManifestFetch::Fetched { bytes, digest, media_type })
    }

    /// Where the profile says that a missing tag is answered 403, a 403 is a missing tag, provided that the upstream takes
    /// our login otherwise. Digests are not judged: they are missing in plain words.
    async fn ask_manifest(&self, call: &Call, reference: &Reference, attempt: Attempt) -> Result<Answer, ClientError> {
        let error = match self.ask(call, attempt).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        match (error, self.profile().missing.denied_tag) {
            (ClientError::Denied { upstream, answer }, DeniedTag::Missing) if reference.digest().is_none() => {
                match self.ping().await {
                    Ok(()) => Err(ClientError::NotFound { upstream, answer }),
                    Err(_) => Err(ClientError::Denied { upstream, answer }),
                }
            }
            (error, _) => Err(error),
        }
    }

    fn manifest_call(&self, method: Method, name: &RepositoryName, reference: &Reference) -> Call {
        let url = self.endpoint().content(name, &format!("manifests/{reference}"));
        let mut call = call(method, url, ExchangeKind::Manifest, Some(self.endpoint().pull_scope(name)));
        call.headers.insert(ACCEPT, HeaderValue::from_static(ACCEPTED));
        call
    }

    /// The digest of the bytes, after comparing it with the one asked for and the one announced. By tag, the announced
    /// digest's algorithm is used, so that the same manifest has the same digest in HEAD and GET.
    fn verified(&self, bytes: &Bytes, reference: &Reference, announced: Option<Digest>) -> Result<Digest, ClientError> {
        for expected in reference.digest().into_iter().chain(&announced) {
            let actual = Digest::of(expected.algorithm(), bytes);
            if actual != *expected {
                let (upstream, expected) = (self.upstream().clone(), *expected);
                return Err(ClientError::DigestMismatch { upstream, expected, actual });
            }
        }
        let verified = reference.digest().copied().or(announced);
        Ok(verified.unwrap_or_else(|| Digest::of(DigestAlgorithm::Sha256, bytes)))
    }
}

/// Reads the head of a manifest's answer. A digest that is there but malformed is an error, not an absent one.
fn head(answer: &Answer) -> Result<ManifestHead, ClientError> {
    if answer.status != StatusCode::OK {
        return Err(answer.protocol(format!("status {} for a manifest", answer.status.as_u16())));
    }
    Ok(ManifestHead {
        digest: answer.parsed(&DOCKER_CONTENT_DIGEST)?,
        media_type: stated_type(answer)?,
        size: answer.parsed(&CONTENT_LENGTH)?,
        etag: answer.single(&ETAG)?.map(str::to_owned),
    })
}

/// The `Content-Type`, where it says what the manifest is. Static file servers say `application/octet-stream`,
/// `application/json` or `text/plain`, which say nothing; what is clearly something else is refused.
fn stated_type(answer: &Answer) -> Result<Option<MediaType>, ClientError> {
    let Some(stated) = answer.parsed::<MediaType>(&CONTENT_TYPE)? else { return Ok(None) };
    if stated.names_json_document() || stated.is_schema1() {
        return Ok(Some(stated));
    }
    match stated.as_str() {
        "application/octet-stream" | "application/json" | "text/plain" if !is_page(answer) => Ok(None),
        other => Err(answer.protocol(format!("a manifest of Content-Type {other}"))),
    }
}

/// What the body says it is, or what its shape does: OCI documents may leave out their media type.
fn media_type_of(bytes: &[u8]) -> Option<MediaType> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Shape<'a> {
        media_type: Option<MediaType>,
        #[serde(borrow)]
        manifests: Option<&'a serde_json::value::RawValue>,
        #[serde(borrow)]
        layers: Option<&'a serde_json::value::RawValue>,
    }
    let shape: Shape<'_> = json_object::parse(bytes).ok()?;
    match (shape.media_type, shape.manifests, shape.layers) {
        (Some(stated), _, _) => Some(stated),
        (None, Some(_), None) => Some(MediaType::OCI_IMAGE_INDEX),
        (None, None, Some(_)) => Some(MediaType::OCI_IMAGE_MANIFEST),
        (None, Some(_), Some(_)) | (None, None, None) => None,
    }
}
