//! Pushed manifests: taking them, and giving them back byte for byte.
//!
//! Must not know HTTP. Invariants: bytes are kept and served as they came; a manifest is visible only with everything it
//! lists; what is read hashes to the digest it is served under.

use std::sync::Arc;

use blob_store::{BlobRead, BlobStore};
use bytes::{Bytes, BytesMut};
use metadata::NewManifest;
use oci::{Digest, DigestAlgorithm, ManifestError, ManifestFacts, MediaType, Reference, Referrer, Tag};

use super::Hosted;
use super::access::Pusher;
use super::blobs::damaged;
use super::error::HostedError;
use super::repository::HostedRoute;
use super::spec::PushLimits;
use crate::core::Core;
use crate::error::PullError;
use crate::metrics::PullKind;
use crate::outcome::{Freshness, PullOutcome};
use crate::pull::{CachedManifest, ManifestAnswer, manifest_answer};

/// A manifest that a client pushes.
#[derive(Debug)]
pub struct ManifestPush {
    /// What it is pushed as: a tag, or its digest.
    pub reference: Reference,
    /// Further tags to point to it.
    pub tags: Vec<Tag>,
    /// What the request says it is.
    pub content_type: Option<MediaType>,
    /// The bytes.
    pub bytes: Bytes,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushedManifest {
    /// Its digest.
    pub digest: Digest,
    /// The manifest that it refers to: it is listed among that one's referrers.
    pub subject: Option<Digest>,
    /// The tags that point to it now.
    pub tags: Vec<Tag>,
}

impl Hosted {
    /// Takes a manifest.
    pub(crate) async fn push_manifest(
        self: &Arc<Self>,
        route: &HostedRoute,
        pusher: Pusher,
        push: ManifestPush,
    ) -> Result<PushedManifest, HostedError> {
        let (hosted, route) = (self.clone(), route.clone());
        // On its own: a client that leaves now must not leave bytes without their row.
        let task = tokio::spawn(async move { hosted.take_manifest(&route, pusher, push).await });
        task.await.unwrap_or_else(|error| Err(HostedError::storage(&error)))
    }

    async fn take_manifest(
        &self,
        route: &HostedRoute,
        pusher: Pusher,
        push: ManifestPush,
    ) -> Result<PushedManifest, HostedError> {
        let ManifestPush { reference, mut tags, content_type, bytes } = push;
        let digest = check_digest(&reference, &bytes)?;
        let facts = check(&bytes, content_type.as_ref())?;
        check_limits(&facts, bytes.len() as u64, &route.repo.spec().limits)?;
        let subject = facts.subject.as_ref().map(|subject| subject.digest);
        let referrer = match subject {
            Some(_) => Some(Referrer::describe(&bytes, digest, &facts)?),
            None => None,
        };
        let referrer = referrer.map(|one| (to_json(&one), one.artifact_type));
        if let Reference::Tag(tag) = reference {
            tags.insert(0, tag);
        }
        let (repo, name) = route.place();
        let manifest = NewManifest {
            repo,
            name,
            digest: &digest,
            size: bytes.len() as u64,
            facts: &facts,
            referrer,
            tags: &tags,
            principal: pusher.as_str(),
            leased_until: self.lease(),
        };
        let _lock = self.locks.lock(&digest).await;
        // What was here before is not this push's to remove.
        let fresh = self.uploads.store().stat(&digest).await?.is_none();
        self.uploads.store().put(&digest, bytes.clone()).await?;
        let taken = self.metadata.push_manifest(&manifest, route.repo.spec()).await;
        match taken {
            Ok(Ok(())) => {}
            Ok(Err(refused)) => {
                if fresh {
                    self.drop_unneeded_locked(&digest).await?;
                }
                return Err(refused.into());
            }
            Err(error) => {
                // What cannot be removed now goes with the next garbage collection.
                if fresh && let Err(error) = self.drop_unneeded_locked(&digest).await {
                    tracing::warn!(%digest, %error, "the bytes of a manifest that was not taken are left for now");
                }
                return Err(error.into());
            }
        }
        if !tags.is_empty() || subject.is_some() {
            self.moved.notify_one();
        }
        let manifest = CachedManifest::new(bytes, facts.media_type.clone(), digest);
        self.manifests.insert((digest, facts.media_type), Arc::new(manifest));
        Ok(PushedManifest { digest, subject, tags })
    }

    pub(super) async fn read_manifest(
        &self,
        digest: &Digest,
        media_type: MediaType,
    ) -> Result<Arc<CachedManifest>, HostedError> {
        let key = (*digest, media_type);
        if let Some(manifest) = self.manifests.get(&key) {
            return Ok(manifest);
        }
        let handle = self.uploads.store().open(digest).await?.ok_or_else(|| damaged(digest))?;
        let bytes = read(&*handle).await.map_err(|error| HostedError::storage(&error))?;
        if Digest::of(digest.algorithm(), &bytes) != *digest {
            return Err(damaged(digest));
        }
        let manifest = Arc::new(CachedManifest::new(bytes, key.1.clone(), *digest));
        self.manifests.insert(key, manifest.clone());
        Ok(manifest)
    }
}

/// Answers a pull of a pushed manifest.
pub(crate) async fn pull(core: &Core, route: &HostedRoute, reference: &Reference) -> Result<ManifestAnswer, PullError> {
    let (hosted, (repo, name)) = (&core.hosted, route.place());
    let found = match reference {
        Reference::Digest(digest) => {
            let row = hosted.metadata.find_hosted_manifest(repo, name, digest).await.map_err(HostedError::from)?;
            row.map(|row| (row.digest, row.media_type, Freshness::Immutable))
        }
        Reference::Tag(tag) => {
            let row = hosted.metadata.find_hosted_tag(repo, name, tag).await.map_err(HostedError::from)?;
            row.map(|row| (row.digest, row.media_type, NOW))
        }
    };
    let unknown = || HostedError::ManifestUnknown(format!("{}:{reference}", route.name).into());
    let (digest, media_type, freshness) = found.ok_or_else(unknown)?;
    if reference.digest().is_some()
        && !Box::pin(hosted.hold_manifest(route, &digest)).await.map_err(HostedError::from)?
    {
        return Err(unknown().into());
    }
    let manifest = match hosted.read_manifest(&digest, media_type).await {
        Err(HostedError::Damaged(_)) if Box::pin(is_gone(hosted, route, &digest)).await? => {
            return Err(unknown().into());
        }
        read => read?,
    };
    hosted.pulls.note((repo, name), &digest);
    route.repo.counters().pulled(PullKind::Manifest, PullOutcome::Hit);
    Ok(manifest_answer(manifest, PullOutcome::Hit, freshness))
}

/// Whether a manifest was deleted since it was looked for: then nothing is damaged.
async fn is_gone(hosted: &Hosted, route: &HostedRoute, digest: &Digest) -> Result<bool, HostedError> {
    let (repo, name) = route.place();
    Ok(hosted.metadata.find_hosted_manifest(repo, name, digest).await?.is_none())
}

/// A tag may move with the next push: it is asked for each time.
pub(super) const NOW: Freshness =
    Freshness::Fresh { age: std::time::Duration::ZERO, remaining: std::time::Duration::ZERO };

/// The digest of a manifest, which is what it is pushed under if it is pushed by digest.
fn check_digest(reference: &Reference, bytes: &[u8]) -> Result<Digest, HostedError> {
    let Some(said) = reference.digest() else { return Ok(Digest::of(DigestAlgorithm::Sha256, bytes)) };
    let actual = Digest::of(said.algorithm(), bytes);
    if actual == *said {
        return Ok(actual);
    }
    Err(HostedError::DigestMismatch { said: Box::new(*said), actual: Box::new(actual) })
}

/// Reads what a manifest says; only kinds whose references can be followed are taken.
fn check(bytes: &[u8], content_type: Option<&MediaType>) -> Result<ManifestFacts, HostedError> {
    let facts = ManifestFacts::parse(bytes, content_type)?;
    if facts.media_type.is_manifest() || facts.media_type.is_index() {
        return Ok(facts);
    }
    let kind = &facts.media_type;
    let message = format!(
        "manifests of type {kind} are not taken; push OCI image manifests and indexes, or Docker's (version 2, schema 2)"
    );
    Err(HostedError::ManifestInvalid(message.into()))
}

/// Holds the repository's own limits against a manifest.
fn check_limits(facts: &ManifestFacts, bytes: u64, limits: &PushLimits) -> Result<(), HostedError> {
    if bytes > limits.manifest_bytes {
        return Err(HostedError::TooLarge { what: "the manifest", limit: limits.manifest_bytes });
    }
    for (what, count, limit) in
        [("layers", facts.layers.len(), limits.layers), ("manifests", facts.manifests.len(), limits.children)]
    {
        if count > limit as usize {
            let message = format!("{count} {what} are listed, {limit} is the most that this repository takes");
            return Err(HostedError::ManifestInvalid(message.into()));
        }
    }
    Ok(())
}

fn to_json(referrer: &Referrer) -> String {
    serde_json::to_string(referrer).expect("text and numbers can be written")
}

/// Reads a small blob whole.
pub(super) async fn read(handle: &dyn BlobRead) -> std::io::Result<Bytes> {
    let size = handle.size();
    let most = oci::limits::MAX_MANIFEST_BYTES;
    if size > most as u64 {
        return Err(std::io::Error::other(ManifestError::TooLarge { actual: most + 1 }));
    }
    let pool = blob_store::BufferPool::default();
    let mut bytes = BytesMut::with_capacity(size as usize);
    while (bytes.len() as u64) < size {
        let (at, left) = (bytes.len() as u64, size as usize - bytes.len());
        bytes.extend_from_slice(&handle.read_at(at, left, &pool).await?);
    }
    Ok(bytes.freeze())
}
