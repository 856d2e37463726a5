//! The folder of blobs that still grow: `<alg>-<hex>.data` (sparse) and `<alg>-<hex>.map` for each.
//!
//! It must not know what a fill is or where complete blobs go.
//!
//! Invariants: within this process a digest has at most one staged blob that takes writes; opening the folder leaves
//! no file in it that a later `open_blob` would not use; bytes of another boot are never trusted.

pub(crate) mod blob;
mod boot;
pub(crate) mod map;
mod reader;

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::SystemTime;

use oci::Digest;

use self::blob::{Inner, StagedBlob, StagedPaths};
use self::boot::BootId;
use self::map::{MapError, StagedMap, StagedNote};
use crate::error::StoreError;
use crate::file_read::PageCacheReads;
use crate::locks::lock;
use crate::range_set::RangeSet;

/// Private until published.
const STAGED_MODE: u32 = 0o600;

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
        for (digest, modified) in self.files()? {
            let known = match self.live_blob(&digest) {
                Some(inner) => Some(inner.to_map()),
                None => StagedMap::read(&self.paths(&digest).map).ok(),
            };
            // Without a map there is only data that its writer has not recorded yet.
            let Some(map) = known else { continue };
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
        let (file, map) =
            self.open_files(digest, &paths).map_err(|error| StoreError::io("open", &paths.data, error))?;
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
        let mut blocks = 0;
        for entry in self.entries()? {
            match fs::symlink_metadata(&entry) {
                Ok(metadata) => blocks += metadata.blocks(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(StoreError::io("stat", &entry, error)),
            }
        }
        Ok(blocks * 512)
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

    fn live_blob(&self, digest: &Digest) -> Option<Arc<Inner>> {
        lock(&self.live).get(digest).and_then(Weak::upgrade)
    }

    fn open_files(&self, digest: &Digest, paths: &StagedPaths) -> io::Result<(File, StagedMap)> {
        let found = self.judge(digest, paths)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(STAGED_MODE);
        match found {
            Found::Resumable(map) if !map.present.is_empty() => {
                // A crash just before its publishing has left the file read-only.
                fs::set_permissions(&paths.data, fs::Permissions::from_mode(STAGED_MODE))?;
                Ok((options.open(&paths.data)?, map))
            }
            Found::Resumable(map) | Found::Untrusted(map) => {
                paths.remove()?;
                Ok((options.create_new(true).open(&paths.data)?, map))
            }
            Found::Nothing => {
                paths.remove()?;
                let map = StagedMap {
                    digest: *digest,
                    size: None,
                    boot: self.boot.clone(),
                    note: StagedNote::default(),
                    present: RangeSet::new(),
                };
                Ok((options.create_new(true).open(&paths.data)?, map))
            }
        }
    }

    /// Decides what the files of a digest are worth.
    fn judge(&self, digest: &Digest, paths: &StagedPaths) -> io::Result<Found> {
        let mut map = match StagedMap::read(&paths.map) {
            Ok(map) => map,
            Err(MapError::Io(error)) => return Err(error),
            Err(MapError::Missing) => return Ok(Found::Nothing),
            Err(error) => {
                tracing::warn!(map = %paths.map.display(), %error, "a staged blob starts over: its map is unusable");
                return Ok(Found::Nothing);
            }
        };
        if map.digest != *digest {
            tracing::warn!(map = %paths.map.display(), claimed = %map.digest, "a map of another blob is dropped");
            return Ok(Found::Nothing);
        }
        let length = match fs::symlink_metadata(&paths.data) {
            Ok(metadata) if metadata.is_file() => metadata.len(),
            Ok(_) => return Ok(Found::Nothing),
            // The data went to the store, and the process died before it removed the map.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !map.present.is_empty() => {
                return Ok(Found::Nothing);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        let same_boot = self.boot.is_some() && map.boot == self.boot;
        let agrees = map.present.end() <= length && map.size.is_none_or(|size| length <= size);
        map.boot.clone_from(&self.boot);
        if same_boot && agrees {
            return Ok(Found::Resumable(map));
        }
        tracing::info!(%digest, same_boot, agrees, "a staged blob starts over: its bytes cannot be trusted");
        map.present = RangeSet::new();
        Ok(Found::Untrusted(map))
    }

    fn sweep(&self) -> Result<(), StoreError> {
        for (digest, _) in self.files()? {
            let paths = self.paths(&digest);
            let swept = self.judge(&digest, &paths).and_then(|found| match found {
                Found::Resumable(_) => Ok(()),
                Found::Untrusted(map) => paths.remove().and_then(|()| map.write(&paths.map, &paths.temporary_map)),
                Found::Nothing => paths.remove(),
            });
            swept.map_err(|error| StoreError::io("sweep", &paths.data, error))?;
        }
        Ok(())
    }

    /// The digests that have a file here, each with its latest change.
    fn files(&self) -> Result<HashMap<Digest, SystemTime>, StoreError> {
        let mut digests = HashMap::new();
        for path in self.entries()? {
            let Some(digest) = path.file_name().and_then(|name| name.to_str()).and_then(digest_of) else {
                tracing::warn!(file = %path.display(), "a foreign file stands in the staging area");
                continue;
            };
            let modified = match fs::symlink_metadata(&path).and_then(|metadata| metadata.modified()) {
                Ok(modified) => modified,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(StoreError::io("stat", &path, error)),
            };
            let latest = digests.entry(digest).or_insert(modified);
            *latest = modified.max(*latest);
        }
        Ok(digests)
    }

    fn entries(&self) -> Result<Vec<PathBuf>, StoreError> {
        let failed = |error| StoreError::io("list", &self.folder, error);
        fs::read_dir(&self.folder)
            .map_err(failed)?
            .map(|entry| entry.map(|entry| entry.path()).map_err(failed))
            .collect()
    }

    fn paths(&self, digest: &Digest) -> StagedPaths {
        let stem = format!("{}-{}", digest.algorithm().as_str(), digest.hex());
        StagedPaths {
            data: self.folder.join(format!("{stem}.data")),
            map: self.folder.join(format!("{stem}.map")),
            temporary_map: self.folder.join(format!("{stem}.map.tmp")),
        }
    }
}

/// What the files of a digest are worth.
enum Found {
    /// The bytes that the map claims are there.
    Resumable(StagedMap),
    /// Only size and note are worth keeping; the map claims no bytes any more.
    Untrusted(StagedMap),
    /// Nothing.
    Nothing,
}

fn digest_of(file_name: &str) -> Option<Digest> {
    let (stem, extension) = file_name.split_once('.')?;
    let (algorithm, hex) = stem.split_once('-')?;
    match extension {
        "data" | "map" | "map.tmp" => format!("{algorithm}:{hex}").parse().ok(),
        _ => None,
    }
}
