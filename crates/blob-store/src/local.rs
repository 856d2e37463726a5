//! Blobs as files of a local filesystem: `blobs/<alg>/<ab>/<hex>`, read-only, published by rename.
//!
//! It must not know how blobs are filled, who may read them, or when they are evicted.
//!
//! Invariants: see [`BlobStore`]; besides, no call runs blocking work on the runtime's own threads, except reads that
//! the page cache answers.

mod commit;
mod layout;
mod list;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use oci::Digest;
use rustix::fs::OFlags;

use self::commit::{Committer, Existing, Sync, size_of};
use self::layout::{ALGORITHMS, Layout};
pub use self::list::Shard;
use crate::blob_store::{BlobRead, BlobStore, StoredBlob};
use crate::buffer_pool::BufferPool;
use crate::error::StoreError;
use crate::file_piece::FilePiece;
use crate::file_read::{self, PageCacheReads};
use crate::staging::blob::StagedBlob;
use crate::staging::hand_over::{CommitError, SealedFile};

/// Blobs in a local folder. Cheap to clone; clones are the same store. One process at a time owns the folder.
#[derive(Clone, Debug)]
pub struct LocalStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    layout: Layout,
    committer: Committer,
    page_cache: PageCacheReads,
}

impl LocalStore {
    /// Opens the store under `root`, creates its folders where missing, and sweeps what an interrupted `put` left.
    /// Blocking.
    ///
    /// The staging area whose blobs are published here must be on the same filesystem.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        Self::open_with(root, File::sync_all)
    }

    fn open_with(root: &Path, sync: Sync) -> Result<Self, StoreError> {
        let layout = Layout::new(root);
        let committer = Committer::new(layout.clone(), sync);
        for algorithm in ALGORITHMS {
            committer.create_folder(&layout.algorithm(algorithm))?;
        }
        committer.sync_folder(layout.blobs())?;
        let inner = Inner { layout, committer, page_cache: PageCacheReads::default() };
        list::sweep(&inner.layout)?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Makes a complete file a blob, also in the place of one that is here; its caller has verified the digest. Blocking.
    pub(crate) fn take_over(&self, digest: &Digest, sealed: &SealedFile<'_>) -> Result<(), CommitError> {
        self.inner.committer.commit(digest, sealed, Existing::Replaced)
    }

    /// The folders that hold blobs; of each, its blobs can be listed by themselves.
    pub async fn shards(&self) -> Result<Vec<Shard>, StoreError> {
        self.blocking(|store| list::shards(&store.layout)).await
    }

    /// The blobs in one of them.
    pub async fn list_shard(&self, shard: &Shard) -> Result<Vec<StoredBlob>, StoreError> {
        let shard = shard.clone();
        self.blocking(move |_| list::of_shard(&shard)).await
    }

    /// Syncs a folder beside the blobs, so that the names in it are durable. Blocking.
    pub(crate) fn sync_folder(&self, folder: &Path) -> Result<(), StoreError> {
        self.inner.committer.sync_folder(folder)
    }

    /// Creates a folder beside the blobs where it is missing, with a durable name. Blocking.
    pub(crate) fn create_folder(&self, folder: &Path) -> Result<(), StoreError> {
        self.inner.committer.create_folder(folder)
    }

    async fn blocking<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Inner) -> Result<T, StoreError> + Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        let task = tokio::task::spawn_blocking(move || work(&inner));
        task.await.map_err(|source| StoreError::Unfinished { source })?
    }
}

#[async_trait]
impl BlobStore for LocalStore {
    async fn stat(&self, digest: &Digest) -> Result<Option<u64>, StoreError> {
        let digest = *digest;
        self.blocking(move |store| store.stat(&digest)).await
    }

    async fn open(&self, digest: &Digest) -> Result<Option<Arc<dyn BlobRead>>, StoreError> {
        let digest = *digest;
        let blob = self.blocking(move |store| store.open_blob(&digest)).await?;
        Ok(blob.map(|blob| Arc::new(blob) as Arc<dyn BlobRead>))
    }

    async fn publish(&self, staged: &StagedBlob) -> Result<(), StoreError> {
        let staged = staged.clone();
        self.blocking(move |store| store.publish(&staged)).await
    }

    async fn put(&self, digest: &Digest, bytes: Bytes) -> Result<(), StoreError> {
        let digest = *digest;
        self.blocking(move |store| store.put(&digest, &bytes)).await
    }

    async fn delete(&self, digest: &Digest) -> Result<Option<u64>, StoreError> {
        let digest = *digest;
        self.blocking(move |store| store.delete(&digest)).await
    }

    async fn list(&self) -> Result<Vec<StoredBlob>, StoreError> {
        self.blocking(|store| list::blobs(&store.layout)).await
    }
}

impl Inner {
    fn stat(&self, digest: &Digest) -> Result<Option<u64>, StoreError> {
        match size_of(&self.layout.blob(digest))? {
            Some(size) => Ok(Some(size)),
            None => self.absent(digest),
        }
    }

    /// "Not here" is an answer only while the store itself is: one that was unmounted or emptied behind our back must
    /// not look like one without blobs.
    fn absent<T>(&self, digest: &Digest) -> Result<Option<T>, StoreError> {
        let folder = self.layout.algorithm(digest.algorithm());
        fs::symlink_metadata(&folder).map(|_| None).map_err(|error| StoreError::io("find", &folder, error))
    }

    fn open_blob(&self, digest: &Digest) -> Result<Option<LocalBlob>, StoreError> {
        let path = self.layout.blob(digest);
        // Neither follow a link out of the store nor wait for the other end of a pipe.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let file = match OpenOptions::new().read(true).custom_flags(flags).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.absent(digest),
            Err(error) => return Err(StoreError::io("open", &path, error)),
        };
        let metadata = file.metadata().map_err(|error| StoreError::io("stat", &path, error))?;
        if !metadata.is_file() {
            return Err(StoreError::NotAFile { path });
        }
        Ok(Some(LocalBlob { file: Arc::new(file), size: metadata.len(), page_cache: self.page_cache.clone() }))
    }

    fn publish(&self, staged: &StagedBlob) -> Result<(), StoreError> {
        let digest = staged.digest();
        match staged.hand_over(|sealed| self.committer.commit(digest, sealed, Existing::Kept)) {
            // Somebody published it before us.
            Err(StoreError::Gone { .. }) if size_of(&self.layout.blob(digest))?.is_some() => Ok(()),
            outcome => outcome,
        }
    }

    fn put(&self, digest: &Digest, bytes: &[u8]) -> Result<(), StoreError> {
        let actual = Digest::of(digest.algorithm(), bytes);
        if actual != *digest {
            return Err(StoreError::mismatch(*digest, actual));
        }
        if self.holds(digest, bytes)? {
            return self.committer.keep_name(digest);
        }
        let temporary = self.layout.temporary();
        let written = self.write_and_commit(digest, bytes, &temporary);
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(file = %temporary.display(), %error, "a temporary file is left until the next start");
            }
            Ok(()) | Err(_) => {}
        }
        written
    }

    /// Whether exactly these bytes are here. What is damaged, or cannot be read, is not.
    fn holds(&self, digest: &Digest, bytes: &[u8]) -> Result<bool, StoreError> {
        let path = self.layout.blob(digest);
        if size_of(&path)? != Some(bytes.len() as u64) {
            return Ok(false);
        }
        let same = fs::read(&path).is_ok_and(|stored| stored == bytes);
        if !same {
            tracing::warn!(%digest, "a damaged blob is replaced");
        }
        Ok(same)
    }

    fn write_and_commit(&self, digest: &Digest, bytes: &[u8], temporary: &Path) -> Result<(), StoreError> {
        let failed = |error| StoreError::io("write", temporary, error);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(temporary).map_err(failed)?;
        file.write_all(bytes).map_err(failed)?;
        let sealed = SealedFile { file: &file, path: temporary, size: bytes.len() as u64 };
        Ok(self.committer.commit(digest, &sealed, Existing::Replaced)?)
    }

    fn delete(&self, digest: &Digest) -> Result<Option<u64>, StoreError> {
        let path = self.layout.blob(digest);
        let Some(size) = self.stat(digest)? else { return Ok(None) };
        match fs::remove_file(&path) {
            Ok(()) => Ok(Some(size)),
            // Somebody deleted it before us, and has counted its bytes.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io("delete", &path, error)),
        }
    }
}

/// An open blob's file.
#[derive(Debug)]
struct LocalBlob {
    file: Arc<File>,
    size: u64,
    page_cache: PageCacheReads,
}

#[async_trait]
impl BlobRead for LocalBlob {
    fn size(&self) -> u64 {
        self.size
    }

    fn try_read_at(&self, offset: u64, len: usize, pool: &BufferPool) -> io::Result<Option<Bytes>> {
        let len = file_read::readable(offset, len, self.size)?;
        self.page_cache.try_read(&self.file, offset, len, pool)
    }

    async fn read_at(&self, offset: u64, len: usize, pool: &BufferPool) -> io::Result<Bytes> {
        let len = file_read::readable(offset, len, self.size)?;
        file_read::read(Arc::clone(&self.file), offset, len, pool).await
    }

    fn try_piece_at(&self, offset: u64, len: usize) -> io::Result<Option<FilePiece>> {
        let len = file_read::readable(offset, len, self.size)?.min(FilePiece::MAX_BYTES);
        let resident = self.page_cache.resident(&self.file, offset, len)?;
        Ok((resident > 0).then(|| FilePiece::new(Arc::clone(&self.file), offset, resident)))
    }
}

#[cfg(test)]
mod tests;
