//! The files of the staging area by name.
//!
//! It must not know what is in them.
//!
//! Invariant: a name made from a digest reads back as the same digest.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use oci::Digest;

use crate::error::StoreError;

/// Bytes in a block of `st_blocks`, whatever the filesystem's own block size is.
pub(crate) const STAT_BLOCK_BYTES: u64 = 512;

/// Where the files of one staged blob are.
#[derive(Clone, Debug)]
pub(crate) struct StagedPaths {
    pub(crate) data: PathBuf,
    pub(crate) map: PathBuf,
    pub(crate) temporary_map: PathBuf,
}

impl StagedPaths {
    pub(crate) fn new(folder: &Path, digest: &Digest) -> Self {
        let stem = format!("{}-{}", digest.algorithm().as_str(), digest.hex());
        Self {
            data: folder.join(format!("{stem}.data")),
            map: folder.join(format!("{stem}.map")),
            temporary_map: folder.join(format!("{stem}.map.tmp")),
        }
    }

    /// Unlinks everything of the staged blob that is there.
    pub(crate) fn remove(&self) -> io::Result<()> {
        // The map goes first: a data file alone claims nothing.
        for path in [&self.map, &self.temporary_map, &self.data] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }
}

/// The digests that have a file here, each with the time of its latest change.
pub(crate) fn staged_digests(folder: &Path) -> Result<HashMap<Digest, SystemTime>, StoreError> {
    let mut digests = HashMap::new();
    for (path, metadata) in entries(folder)? {
        let Some(digest) = path.file_name().and_then(|name| name.to_str()).and_then(digest_of) else {
            tracing::warn!(file = %path.display(), "a foreign file stands in the staging area");
            continue;
        };
        let modified = metadata.modified().map_err(|error| StoreError::io("stat", &path, error))?;
        let latest = digests.entry(digest).or_insert(modified);
        *latest = modified.max(*latest);
    }
    Ok(digests)
}

/// Bytes of disk that everything in the folder takes.
pub(crate) fn allocated_bytes(folder: &Path) -> Result<u64, StoreError> {
    Ok(entries(folder)?.iter().map(|(_, metadata)| metadata.blocks() * STAT_BLOCK_BYTES).sum())
}

fn entries(folder: &Path) -> Result<Vec<(PathBuf, fs::Metadata)>, StoreError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| StoreError::io("list", folder, error))? {
        let path = entry.map_err(|error| StoreError::io("list", folder, error))?.path();
        match fs::symlink_metadata(&path) {
            Ok(metadata) => found.push((path, metadata)),
            // Published or discarded while we walk.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(StoreError::io("stat", &path, error)),
        }
    }
    Ok(found)
}

fn digest_of(file_name: &str) -> Option<Digest> {
    let (stem, extension) = file_name.split_once('.')?;
    let (algorithm, hex) = stem.split_once('-')?;
    match extension {
        "data" | "map" | "map.tmp" => format!("{algorithm}:{hex}").parse().ok(),
        _ => None,
    }
}
