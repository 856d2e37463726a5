//! Blobs in memory: for tests and demonstrations. Nothing outlives the process.
//!
//! Invariants: see [`BlobStore`]; durability is the one promise it cannot make.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use oci::Digest;

use crate::blob_store::{BlobRead, BlobStore, StoredBlob};
use crate::buffer_pool::BufferPool;
use crate::error::StoreError;
use crate::file_read;
use crate::locks::lock;
use crate::staging::blob::StagedBlob;
use crate::staging::hand_over::CommitError;

/// Blobs in memory. Cheap to clone; clones are the same store.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    blobs: Arc<Mutex<HashMap<Digest, Entry>>>,
}

#[derive(Clone, Debug)]
struct Entry {
    bytes: Bytes,
    modified: SystemTime,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn keep(&self, digest: &Digest, bytes: Bytes) {
        lock(&self.blobs).entry(*digest).or_insert_with(|| Entry { bytes, modified: SystemTime::now() });
    }

    fn publish_now(&self, staged: &StagedBlob) -> Result<(), StoreError> {
        let outcome = staged.hand_over(|sealed| {
            let failed = |error| CommitError::Kept(StoreError::io("read", sealed.path, error));
            let size = usize::try_from(sealed.size).map_err(|error| failed(io::Error::other(error)))?;
            let mut bytes = vec![0; size];
            sealed.file.read_exact_at(&mut bytes, 0).map_err(failed)?;
            self.keep(staged.digest(), Bytes::from(bytes));
            Ok(())
        });
        match outcome {
            Err(StoreError::Gone { .. }) if lock(&self.blobs).contains_key(staged.digest()) => Ok(()),
            outcome => outcome,
        }
    }
}

#[async_trait]
impl BlobStore for MemoryStore {
    async fn stat(&self, digest: &Digest) -> Result<Option<u64>, StoreError> {
        Ok(lock(&self.blobs).get(digest).map(|entry| entry.bytes.len() as u64))
    }

    async fn open(&self, digest: &Digest) -> Result<Option<Arc<dyn BlobRead>>, StoreError> {
        let entry = lock(&self.blobs).get(digest).cloned();
        Ok(entry.map(|entry| Arc::new(MemoryBlob { bytes: entry.bytes }) as Arc<dyn BlobRead>))
    }

    async fn publish(&self, staged: &StagedBlob) -> Result<(), StoreError> {
        let (store, staged) = (self.clone(), staged.clone());
        let task = tokio::task::spawn_blocking(move || store.publish_now(&staged));
        task.await.map_err(|source| StoreError::Unfinished { source })?
    }

    async fn put(&self, digest: &Digest, bytes: Bytes) -> Result<(), StoreError> {
        let actual = Digest::of(digest.algorithm(), &bytes);
        if actual != *digest {
            return Err(StoreError::mismatch(*digest, actual));
        }
        self.keep(digest, bytes);
        Ok(())
    }

    async fn delete(&self, digest: &Digest) -> Result<Option<u64>, StoreError> {
        Ok(lock(&self.blobs).remove(digest).map(|entry| entry.bytes.len() as u64))
    }

    async fn list(&self) -> Result<Vec<StoredBlob>, StoreError> {
        let blobs = lock(&self.blobs);
        let stored = blobs.iter().map(|(digest, entry)| StoredBlob {
            digest: *digest,
            size_bytes: entry.bytes.len() as u64,
            modified: entry.modified,
        });
        Ok(stored.collect())
    }
}

#[derive(Debug)]
struct MemoryBlob {
    bytes: Bytes,
}

impl MemoryBlob {
    fn slice(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        let len = file_read::readable(offset, len, self.bytes.len() as u64)?;
        let start = offset as usize;
        Ok(self.bytes.slice(start..start + len))
    }
}

#[async_trait]
impl BlobRead for MemoryBlob {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn try_read_at(&self, offset: u64, len: usize, _pool: &BufferPool) -> io::Result<Option<Bytes>> {
        self.slice(offset, len).map(Some)
    }

    async fn read_at(&self, offset: u64, len: usize, _pool: &BufferPool) -> io::Result<Bytes> {
        self.slice(offset, len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::Fixture;

    fn fixture() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        Fixture::new(Arc::new(MemoryStore::new()), &folder.path().join("staging"), folder)
    }

    crate::conformance_tests!(fixture);
}
