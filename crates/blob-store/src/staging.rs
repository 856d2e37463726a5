//! The folder of blobs that still grow: `<alg>-<hex>.data` (sparse) and `<alg>-<hex>.map` for each.
//!
//! It must not know what a fill is or where complete blobs go.
//!
//! Invariants: within this process a digest has at most one staged blob that takes writes; opening the folder leaves
//! no file in it that a later `open_blob` would not use; bytes of another boot are never trusted.

pub(crate) mod blob;
mod boot;
mod files;
pub(crate) mod hand_over;
pub(crate) mod map;
mod reader;
mod resume;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::SystemTime;

use oci::Digest;

use self::blob::{Inner, StagedBlob};
use self::boot::BootId;
use self::files::StagedPaths;
use self::map::{MapError, StagedMap, StagedNote};
use crate::error::StoreError;
use crate::file_read::PageCacheReads;
use crate::locks::lock;

/// What the staging area knows of one blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StagedSummary {
    /// What the blob will be.
    pub digest: Digest,
    /// Its complete size in bytes, where known.
    pub size: Option<u64>,
    /// Bytes that need not be fetched again.
    pub present_bytes: u64,
    /// Who asked for it and from where.
    pub note: StagedNote,
    /// When its data, or else its map, was written last.
    pub modified: SystemTime,
}

/// The staging area. One process at a time owns the folder. Every method blocks.
#[derive(Debug)]
pub struct Staging {
    folder: PathBuf,
    boot: Option<BootId>,
    page_cache: PageCacheReads,
    /// Staged blobs somebody holds. An entry whose blob is settled or dropped is replaced by the next `open_blob`.
    live: Mutex<Live>,
}

type Live = HashMap<Digest, Weak<Inner>>;

/// A staged blob that takes writes, or the right to decide about the files of that digest.
enum Claim<'a> {
    Growing(Arc<Inner>),
    Free(MutexGuard<'a, Live>),
}

impl Staging {
    /// Opens the folder, creates it where missing, and sweeps what a crash left and nobody can use.
    ///
    /// A staged blob whose bytes cannot be trusted (another boot, data shorter than claimed) keeps its note and loses
    /// its bytes; one without a readable map is removed.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(folder).map_err(|error| StoreError::io("create", folder, error))?;
        let staging = Self {
            folder: folder.to_owned(),
            boot: BootId::current(),
            page_cache: PageCacheReads::default(),
            live: Mutex::default(),
        };
        staging.sweep()?;
        Ok(staging)
    }

    /// Every staged blob, in no particular order.
    pub fn list(&self) -> Result<Vec<StagedSummary>, StoreError> {
        let mut summaries = Vec::new();
        for (digest, modified) in files::staged_digests(&self.folder)? {
            let Some(map) = self.known(&digest)? else { continue };
            let present_bytes = map.present.total();
            summaries.push(StagedSummary { digest, size: map.size, present_bytes, note: map.note, modified });
        }
        Ok(summaries)
    }

    /// Opens the staged blob of a digest: the one somebody holds already, else what an earlier process left and can be
    /// trusted, else an empty one.
    pub fn open_blob(&self, digest: &Digest) -> Result<StagedBlob, StoreError> {
        let mut live = match self.claim(digest) {
            Claim::Growing(inner) => return Ok(StagedBlob::from_inner(inner)),
            Claim::Free(live) => live,
        };
        live.retain(|_, held| held.strong_count() > 0);
        let paths = self.paths(digest);
        let (file, map) = resume::open(digest, &paths, self.boot.as_ref())
            .map_err(|error| StoreError::io("open", &paths.data, error))?;
        let staged = StagedBlob::new(file, paths, map, self.page_cache.clone());
        live.insert(*digest, Arc::downgrade(staged.inner()));
        Ok(staged)
    }

    /// Discards the staged blob of a digest, whoever holds it. `Ok` when there is none.
    pub fn remove(&self, digest: &Digest) -> Result<(), StoreError> {
        let paths = self.paths(digest);
        let removed = match self.claim(digest) {
            Claim::Growing(inner) => StagedBlob::from_inner(inner).discard(),
            Claim::Free(_live) => paths.remove(),
        };
        removed.map_err(|error| StoreError::io("remove", &paths.data, error))
    }

    /// Bytes of disk that all staged blobs take together.
    pub fn total_bytes(&self) -> Result<u64, StoreError> {
        files::allocated_bytes(&self.folder)
    }

    /// Waits for a publish or discard under way, without holding up other digests meanwhile.
    fn claim(&self, digest: &Digest) -> Claim<'_> {
        loop {
            let seen = self.live_blob(digest);
            if let Some(inner) = &seen
                && inner.is_growing()
            {
                return Claim::Growing(Arc::clone(inner));
            }
            let live = lock(&self.live);
            let now = live.get(digest).and_then(Weak::upgrade);
            if now.as_ref().is_none_or(|now| seen.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, now))) {
                return Claim::Free(live);
            }
        }
    }

    /// What is known of a staged blob; `None` when that is nothing of use any more.
    fn known(&self, digest: &Digest) -> Result<Option<StagedMap>, StoreError> {
        if let Some(inner) = self.live_blob(digest) {
            return Ok(inner.is_growing().then(|| inner.to_map()));
        }
        let path = self.paths(digest).map;
        match StagedMap::read(&path) {
            Ok(map) => Ok(Some(map)),
            Err(MapError::Io(error)) => Err(StoreError::io("read", &path, error)),
            // `open_blob` would start over, and says so.
            Err(
                MapError::Missing | MapError::TooLarge(_) | MapError::Version(_) | MapError::Json(_) | MapError::Ranges,
            ) => Ok(None),
        }
    }

    fn live_blob(&self, digest: &Digest) -> Option<Arc<Inner>> {
        lock(&self.live).get(digest).and_then(Weak::upgrade)
    }

    fn sweep(&self) -> Result<(), StoreError> {
        for digest in files::staged_digests(&self.folder)?.into_keys() {
            let paths = self.paths(&digest);
            resume::sweep(&digest, &paths, self.boot.as_ref())
                .map_err(|error| StoreError::io("sweep", &paths.data, error))?;
        }
        Ok(())
    }

    fn paths(&self, digest: &Digest) -> StagedPaths {
        StagedPaths::new(&self.folder, digest)
    }
}

#[cfg(test)]
mod tests;
