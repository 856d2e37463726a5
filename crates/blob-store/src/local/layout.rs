//! Where a blob's file is: `blobs/<alg>/<first two hex digits>/<hex>`.
//!
//! It must not read or write files.
//!
//! Invariant: a path made from a digest reads back as the same digest, and nothing else does.

use std::path::{Path, PathBuf};

use oci::{Digest, DigestAlgorithm};

/// Every folder directly under `blobs`.
pub(crate) const ALGORITHMS: [DigestAlgorithm; 2] = [DigestAlgorithm::Sha256, DigestAlgorithm::Sha512];

/// Beginning of the names of files that are being written; they stand directly under `blobs`.
pub(crate) const TEMPORARY_PREFIX: &str = ".tmp-";

/// The names under one store's root.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    blobs: PathBuf,
}

impl Layout {
    pub(crate) fn new(root: &Path) -> Self {
        Self { blobs: root.join("blobs") }
    }

    /// The folder that holds everything.
    pub(crate) fn blobs(&self) -> &Path {
        &self.blobs
    }

    /// The folder of one algorithm.
    pub(crate) fn algorithm(&self, algorithm: DigestAlgorithm) -> PathBuf {
        self.blobs.join(algorithm.as_str())
    }

    /// The folder that holds the blob's file.
    pub(crate) fn shard(&self, digest: &Digest) -> PathBuf {
        self.algorithm(digest.algorithm()).join(&digest.hex()[..2])
    }

    /// The blob's file.
    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        self.shard(digest).join(digest.hex())
    }

    /// A new name for a file that is being written.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.blobs.join(format!("{TEMPORARY_PREFIX}{}", uuid::Uuid::new_v4()))
    }

    /// The digest whose file has this name in this shard.
    pub(crate) fn parse(algorithm: DigestAlgorithm, shard: &str, name: &str) -> Option<Digest> {
        let digest: Digest = format!("{}:{name}", algorithm.as_str()).parse().ok()?;
        (digest.algorithm() == algorithm && name.starts_with(shard) && shard.len() == 2).then_some(digest)
    }
}
