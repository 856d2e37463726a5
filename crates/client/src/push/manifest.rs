//! A manifest to a registry: its bytes as they are, by digest or under a tag.
//!
//! Must not know what a manifest says. Invariant: success means that the registry did not name another digest for it.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, Method, StatusCode};
use oci::{Digest, MediaType, Reference, RepositoryName, Tag};

use crate::error::ClientError;
use crate::exchange::ExchangeKind;
use crate::handshake::Call;
use crate::registry_client::{RegistryClient, header_value};
use crate::transport::Attempt;
use crate::upstream_error::read_start;

const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");
const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

/// Whether the registry lists a manifest among the referrers of its subject by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectListed {
    /// It says so.
    Yes,
    /// It does not: the manifest has no subject, or the registry no such list, and whoever pushes keeps one.
    No,
}

/// What the registry said of a pushed manifest.
struct Put {
    listed: SubjectListed,
    /// The tags it gave it, of those in the query.
    tags: Vec<String>,
}

impl RegistryClient {
    /// Whether `reference` is this very manifest already, asked under a token that may push it.
    pub async fn has_manifest(
        &self,
        name: &RepositoryName,
        reference: &Reference,
        digest: &Digest,
    ) -> Result<bool, ClientError> {
        let call = &self.put_call(Method::HEAD, name, reference);
        let look = |attempt| async move {
            let answer = self.ask(call, attempt).await?;
            let found: Option<Digest> = answer.parsed(&DOCKER_CONTENT_DIGEST)?;
            read_start(answer).await;
            Ok(found)
        };
        match self.retry().run(look).await {
            Ok(found) => Ok(found.as_ref() == Some(digest)),
            Err(ClientError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Pushes a manifest. Doing so twice is the same as once, so it is tried again as a pull would be.
    pub async fn push_manifest(
        &self,
        name: &RepositoryName,
        reference: &Reference,
        media_type: &MediaType,
        bytes: &Bytes,
    ) -> Result<SubjectListed, ClientError> {
        let mut call = self.put_call(Method::PUT, name, reference);
        call.headers.insert(CONTENT_TYPE, header_value(media_type.as_str()));
        call.body = bytes.clone().into();
        let call = &call;
        self.retry().run(|attempt| self.put_manifest(call, bytes, attempt)).await.map(|put| put.listed)
    }

    /// Pushes a manifest under its digest and gives it a tag, so that the registry knows it by this digest and no other. In one
    /// request where the registry can do that (distribution-spec "Pushing Manifests", `?tag=`), else in two.
    pub async fn push_tagged_manifest(
        &self,
        name: &RepositoryName,
        (digest, tag): (&Digest, &Tag),
        media_type: &MediaType,
        bytes: &Bytes,
    ) -> Result<SubjectListed, ClientError> {
        let mut call = self.put_call(Method::PUT, name, &(*digest).into());
        call.url.query_pairs_mut().append_pair("tag", tag.as_str());
        call.headers.insert(CONTENT_TYPE, header_value(media_type.as_str()));
        call.body = bytes.clone().into();
        let call = &call;
        let put = self.retry().run(|attempt| self.put_manifest(call, bytes, attempt)).await?;
        if !put.tags.iter().any(|given| given == tag.as_str()) {
            self.push_manifest(name, &tag.clone().into(), media_type, bytes).await?;
        }
        Ok(put.listed)
    }

    async fn put_manifest(&self, call: &Call, bytes: &Bytes, attempt: Attempt) -> Result<Put, ClientError> {
        let answer = self.ask(call, attempt).await?;
        if !matches!(answer.status, StatusCode::CREATED | StatusCode::OK | StatusCode::ACCEPTED) {
            return Err(self.protocol(format!("status {} for a pushed manifest", answer.status.as_u16())));
        }
        if let Some(named) = answer.parsed::<Digest>(&DOCKER_CONTENT_DIGEST)? {
            let expected = Digest::of(named.algorithm(), bytes);
            if named != expected {
                return Err(ClientError::DigestMismatch { upstream: self.upstream().clone(), expected, actual: named });
            }
        }
        let listed = if answer.headers.contains_key(OCI_SUBJECT) { SubjectListed::Yes } else { SubjectListed::No };
        let tags = answer.headers.get_all(OCI_TAG).iter().filter_map(|tag| tag.to_str().ok().map(str::to_owned));
        let tags = tags.collect();
        read_start(answer).await;
        Ok(Put { listed, tags })
    }

    fn put_call(&self, method: Method, name: &RepositoryName, reference: &Reference) -> Call {
        let url = self.endpoint().content(name, &format!("manifests/{reference}"));
        let mut call = self.push_call(method, url, ExchangeKind::Manifest, name);
        if call.method == Method::HEAD {
            call.headers.insert(http::header::ACCEPT, http::HeaderValue::from_static(crate::manifests::ACCEPTED));
        }
        call
    }
}
