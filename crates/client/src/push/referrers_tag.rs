//! The tag that lists referrers, for registries without the API (distribution-spec "Referrers Tag Schema").
//!
//! Must not know what refers. Invariant: what the tag lists already stays listed. Two who add at the same time may lose
//! one of their entries, which the spec accepts: there is no way to say "only if it is still that one".

use oci::{
    Digest, ManifestFacts, MediaType, Reference, Referrer, RepositoryName, Tag, parse_referrers, referrers_index,
};

use crate::error::ClientError;
use crate::manifests::ManifestFetch;
use crate::registry_client::RegistryClient;

impl RegistryClient {
    /// Lists a manifest that is there already, where the registry does not list it by itself: whoever pushed it may have been
    /// stopped before its tag was written.
    pub async fn list_if_registry_does_not(
        &self,
        name: &RepositoryName,
        digest: Digest,
        bytes: &[u8],
        facts: &ManifestFacts,
    ) -> Result<(), ClientError> {
        match &facts.subject {
            Some(subject) if !self.lists_referrers(name, &subject.digest).await? => {
                self.list_under_referrers_tag(name, digest, bytes, facts).await
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Lists a pushed manifest under the tag of its subject.
    pub async fn list_under_referrers_tag(
        &self,
        name: &RepositoryName,
        digest: Digest,
        bytes: &[u8],
        facts: &ManifestFacts,
    ) -> Result<(), ClientError> {
        let Some(subject) = &facts.subject else { return Ok(()) };
        let broken = |error: String| self.protocol(error);
        let referrer = Referrer::describe(bytes, digest, facts).map_err(|error| broken(error.to_string()))?;
        let subject = subject.digest;
        let tag = format!("{}-{}", subject.algorithm().as_str(), &subject.hex()[..64]);
        let tag: Tag = tag.parse().map_err(|error: oci::InvalidTag| broken(error.to_string()))?;
        let tag = Reference::Tag(tag);
        let mut listed = match self.get_manifest(name, &tag, None).await {
            Ok(ManifestFetch::Fetched { bytes, .. }) => {
                parse_referrers(&bytes).map_err(|error| broken(error.to_string()))?
            }
            Ok(ManifestFetch::NotModified) | Err(ClientError::NotFound { .. }) => Vec::new(),
            Err(error) => return Err(error),
        };
        if listed.iter().any(|known| known.digest == digest) {
            return Ok(());
        }
        listed.push(referrer);
        let index = referrers_index(&listed).into();
        self.push_manifest(name, &tag, &MediaType::OCI_IMAGE_INDEX, &index).await.map(|_| ())
    }
}
