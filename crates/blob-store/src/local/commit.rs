//! How a finished file becomes a blob: made read-only, synced, renamed into its shard, the shard synced.
//!
//! It must not know where the file came from or whether its bytes are right.
//!
//! Invariants: a name appears under `blobs` only after its bytes are durable; `Ok` only after the name is durable
//! too; a file whose sync failed is never given a name, and loses the one it has.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use oci::Digest;

use crate::error::StoreError;
use crate::local::layout::Layout;
use crate::locks::lock;
use crate::staging::blob::{CommitError, SealedFile};

const BLOB_MODE: u32 = 0o444;

/// Makes files durable. Its own type so that a test can let it fail.
pub(crate) type Sync = fn(&File) -> io::Result<()>;

/// The writing side of a local store.
#[derive(Debug)]
pub(crate) struct Committer {
    layout: Layout,
    sync: Sync,
    /// Shards whose own name is durable: a shard that merely exists may have been made just before a crash.
    durable_shards: Mutex<HashSet<PathBuf>>,
}

impl Committer {
    pub(crate) fn new(layout: Layout, sync: Sync) -> Self {
        Self { layout, sync, durable_shards: Mutex::default() }
    }

    /// Gives the file its name as a blob, unless the blob is here already. Then the file stays where it is.
    pub(crate) fn commit(&self, digest: &Digest, sealed: &SealedFile<'_>) -> Result<(), CommitError> {
        let target = self.layout.blob(digest);
        match size_of(&target).map_err(CommitError::Kept)? {
            Some(size) if size == sealed.size => return Ok(()),
            // Same digest, other length: what stands there is damaged, and the new bytes are verified.
            Some(size) => tracing::warn!(%digest, found = size, expected = sealed.size, "a damaged blob is replaced"),
            None => {}
        }
        self.make_durable(sealed)?;
        let shard = self.durable_shard(digest)?;
        fs::rename(sealed.path, &target)
            .map_err(|error| CommitError::Kept(StoreError::io("rename to", &target, error)))?;
        self.sync_folder(&shard).map_err(|error| {
            if let Err(left) = fs::remove_file(&target) {
                tracing::warn!(%digest, error = %left, "a blob that may not be durable could not be removed");
            }
            CommitError::Ruined(error)
        })
    }

    /// Syncs a folder, so that the names in it are durable.
    pub(crate) fn sync_folder(&self, folder: &Path) -> Result<(), StoreError> {
        File::open(folder)
            .and_then(|folder| (self.sync)(&folder))
            .map_err(|error| StoreError::io("sync", folder, error))
    }

    fn make_durable(&self, sealed: &SealedFile<'_>) -> Result<(), CommitError> {
        // Read-only before the sync, so that the mode is durable as well.
        sealed
            .file
            .set_permissions(fs::Permissions::from_mode(BLOB_MODE))
            .map_err(|error| CommitError::Kept(StoreError::io("make read-only", sealed.path, error)))?;
        (self.sync)(sealed.file).map_err(|error| CommitError::Ruined(StoreError::io("sync", sealed.path, error)))
    }

    fn durable_shard(&self, digest: &Digest) -> Result<PathBuf, CommitError> {
        let shard = self.layout.shard(digest);
        let created = match fs::create_dir(&shard) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(CommitError::Kept(StoreError::io("create", &shard, error))),
        };
        if created || !lock(&self.durable_shards).contains(&shard) {
            self.sync_folder(&self.layout.algorithm(digest.algorithm())).map_err(CommitError::Kept)?;
            lock(&self.durable_shards).insert(shard.clone());
        }
        Ok(shard)
    }
}

/// The size of a blob's file; `None` when nothing is there.
pub(crate) fn size_of(path: &Path) -> Result<Option<u64>, StoreError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(Some(metadata.len())),
        Ok(_) => Err(StoreError::NotAFile { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io("stat", path, error)),
    }
}
