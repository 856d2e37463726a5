//! Putting content into an upstream, moving tags, deleting.
//!
//! Must not know: connections. Invariant: a change is seen by the next request that is answered, also by one that is
//! held at a gate.

use bytes::Bytes;
use oci::Digest;

use super::contents::StoredManifest;
use super::fake_upstream::FakeUpstream;
use crate::image::{Image, Manifest};

impl FakeUpstream {
    /// Puts a blob into a repository under its sha256 digest.
    pub fn add_blob(&self, repository: &str, bytes: impl Into<Bytes>) -> Digest {
        let bytes = bytes.into();
        let digest = Digest::sha256_of(&bytes);
        self.state.contents().repository_mut(repository).blobs.insert(digest, bytes);
        digest
    }

    /// Puts a manifest into a repository, reachable by digest.
    pub fn add_manifest(&self, repository: &str, manifest: &Manifest) -> Digest {
        let stored = StoredManifest { media_type: manifest.media_type.clone(), bytes: manifest.bytes.clone() };
        self.state.contents().repository_mut(repository).manifests.insert(manifest.digest, stored);
        manifest.digest
    }

    /// Puts an image with all its blobs and children into a repository and tags it.
    pub fn add_image(&self, repository: &str, tag: &str, image: &Image) -> Digest {
        self.add_untagged(repository, image);
        self.set_tag(repository, tag, &image.manifest.digest);
        image.manifest.digest
    }

    /// Puts an image with all its blobs and children into a repository, reachable by digest.
    pub fn add_untagged(&self, repository: &str, image: &Image) -> Digest {
        for blob in &image.blobs {
            self.state.contents().repository_mut(repository).blobs.insert(blob.digest, blob.bytes.clone());
        }
        image.children.iter().for_each(|child| {
            self.add_untagged(repository, child);
        });
        self.add_manifest(repository, &image.manifest)
    }

    /// Points a tag at a digest: sets it, or moves it.
    pub fn set_tag(&self, repository: &str, tag: &str, digest: &Digest) {
        self.state.contents().repository_mut(repository).tags.insert(tag.to_owned(), *digest);
    }

    /// Deletes a tag; the manifest stays reachable by digest.
    pub fn delete_tag(&self, repository: &str, tag: &str) {
        self.state.contents().repository_mut(repository).tags.remove(tag);
    }

    /// Deletes a blob from a repository.
    pub fn delete_blob(&self, repository: &str, digest: &Digest) {
        self.state.contents().repository_mut(repository).blobs.remove(digest);
    }

    /// Deletes a manifest from a repository; tags that point at it dangle.
    pub fn delete_manifest(&self, repository: &str, digest: &Digest) {
        self.state.contents().repository_mut(repository).manifests.remove(digest);
    }
}
