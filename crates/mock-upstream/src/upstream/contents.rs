//! What an upstream holds: repositories with tags, manifests and blobs, in memory.
//!
//! Must not know: HTTP. Invariant: content is stored under the digest it was given with, which only the builders of
//! `image` compute; wrong bytes are the business of faults.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use oci::Digest;

/// Bytes with their media type, as a registry answers them.
#[derive(Clone, Debug)]
pub(crate) struct StoredManifest {
    /// `Content-Type` of the answer.
    pub(crate) media_type: String,
    /// The body.
    pub(crate) bytes: Bytes,
}

/// One repository's content.
#[derive(Debug, Default)]
pub(crate) struct Repository {
    pub(crate) tags: BTreeMap<String, Digest>,
    pub(crate) manifests: HashMap<Digest, StoredManifest>,
    pub(crate) blobs: HashMap<Digest, Bytes>,
}

/// All repositories of one upstream (and of the CDNs beside it).
#[derive(Debug, Default)]
pub(crate) struct Contents {
    repositories: BTreeMap<String, Repository>,
}

impl Contents {
    pub(crate) fn repository(&self, name: &str) -> Option<&Repository> {
        self.repositories.get(name)
    }

    pub(crate) fn repository_mut(&mut self, name: &str) -> &mut Repository {
        self.repositories.entry(name.to_owned()).or_default()
    }

    /// A blob of whichever repository holds it: what a CDN knows.
    pub(crate) fn any_blob(&self, digest: &Digest) -> Option<Bytes> {
        self.repositories.values().find_map(|repository| repository.blobs.get(digest).cloned())
    }
}

impl Repository {
    /// A manifest by tag or digest text, with the digest it is stored under.
    pub(crate) fn find_manifest(&self, reference: &str) -> Option<(Digest, StoredManifest)> {
        let digest = match reference.parse::<Digest>() {
            Ok(digest) => digest,
            Err(_) => *self.tags.get(reference)?,
        };
        self.manifests.get(&digest).map(|manifest| (digest, manifest.clone()))
    }
}
