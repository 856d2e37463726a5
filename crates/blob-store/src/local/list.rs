//! Which blobs are there: a walk over the folders.
//!
//! It must not know open files or staging.
//!
//! Invariants: a name is a blob only where the layout would put it; what is foreign is reported and left alone; files
//! that vanish during the walk are no error.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use oci::DigestAlgorithm;

use super::layout::{ALGORITHMS, Layout, TEMPORARY_PREFIX};
use crate::blob_store::StoredBlob;
use crate::error::StoreError;

/// A folder of blobs whose digests begin alike.
#[derive(Clone, Debug)]
pub struct Shard {
    algorithm: DigestAlgorithm,
    name: String,
    folder: PathBuf,
}

impl Shard {
    /// How the digests of its blobs begin: `sha256:ab`.
    pub fn prefix(&self) -> String {
        format!("{}:{}", self.algorithm.as_str(), self.name)
    }
}

/// Every blob. Blocking.
pub(super) fn blobs(layout: &Layout) -> Result<Vec<StoredBlob>, StoreError> {
    let mut blobs = Vec::new();
    for shard in shards(layout)? {
        blobs.append(&mut of_shard(&shard)?);
    }
    Ok(blobs)
}

/// Every folder of blobs. Blocking.
pub(super) fn shards(layout: &Layout) -> Result<Vec<Shard>, StoreError> {
    let mut shards = Vec::new();
    for algorithm in ALGORITHMS {
        for (name, folder) in entries(&layout.algorithm(algorithm))? {
            if folder.is_dir() && !folder.is_symlink() {
                shards.push(Shard { algorithm, name, folder });
            } else {
                tracing::warn!(file = %folder.display(), "a foreign file stands among the blobs");
            }
        }
    }
    Ok(shards)
}

/// The blobs of one folder. Blocking.
pub(super) fn of_shard(shard: &Shard) -> Result<Vec<StoredBlob>, StoreError> {
    let mut blobs = Vec::new();
    for (name, path) in entries(&shard.folder)? {
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            // Deleted while we walk.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(StoreError::io("stat", &path, error)),
        };
        let Some(digest) = Layout::parse(shard.algorithm, &shard.name, &name).filter(|_| metadata.is_file()) else {
            tracing::warn!(file = %path.display(), "a foreign file stands among the blobs");
            continue;
        };
        let modified = metadata.modified().map_err(|error| StoreError::io("stat", &path, error))?;
        blobs.push(StoredBlob { digest, size_bytes: metadata.len(), modified });
    }
    Ok(blobs)
}

/// Removes what an interrupted `put` left. Blocking.
pub(super) fn sweep(layout: &Layout) -> Result<(), StoreError> {
    for (name, path) in entries(layout.blobs())? {
        if name.starts_with(TEMPORARY_PREFIX) {
            fs::remove_file(&path).map_err(|error| StoreError::io("sweep", &path, error))?;
            tracing::info!(file = %path.display(), "an interrupted write is swept");
        }
    }
    Ok(())
}

/// The entries of a folder, each with its name. A missing folder is an error: a store that was emptied or unmounted
/// behind our back must not look like a store without blobs.
fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>, StoreError> {
    let failed = |error| StoreError::io("list", folder, error);
    let named = |entry: fs::DirEntry| (entry.file_name().to_string_lossy().into_owned(), entry.path());
    fs::read_dir(folder).map_err(failed)?.map(|entry| entry.map(named).map_err(failed)).collect()
}
