//! The contract of a place that keeps blobs; `conformance` (feature) is the same contract as tests.
//!
//! It must not know where the bytes are.

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use oci::Digest;

use crate::buffer_pool::BufferPool;
use crate::error::StoreError;
use crate::file_piece::FilePiece;
use crate::staging::blob::StagedBlob;

/// An open blob. It stays readable after the blob is deleted.
///
/// Reads carry their own offset, so one handle serves any number of readers.
#[async_trait]
pub trait BlobRead: Send + Sync {
    /// Bytes in the blob. Of a blob that still grows: its announced size, or the end of what is present.
    fn size(&self) -> u64;

    /// Reads what can be had without waiting for a disk; `None` when that is nothing. Never blocks.
    ///
    /// Returns 1 to `len` bytes, fewer than asked also when only the beginning is in memory.
    /// An offset at or past the end, or a `len` of 0, is `InvalidInput`.
    fn try_read_at(&self, offset: u64, len: usize, pool: &BufferPool) -> io::Result<Option<Bytes>>;

    /// Reads 1 to `len` bytes, fewer only at the end of the blob (of a growing blob: at the end of what is present).
    ///
    /// An offset at or past the end, or a `len` of 0, is `InvalidInput`; a file that lost bytes since it was opened
    /// is `UnexpectedEof`.
    async fn read_at(&self, offset: u64, len: usize, pool: &BufferPool) -> io::Result<Bytes>;

    /// Names what can be had without waiting for a disk as a piece of a file, for a socket that takes it from there;
    /// `None` when nothing is in memory, or when these bytes are in no file that stays as it is. Never blocks.
    ///
    /// Returns 1 to `len` bytes. That they are in memory is sampled, not promised: a page in the middle may be gone,
    /// and whoever reads the piece then waits for the disk. Errors are those of [`Self::try_read_at`].
    fn try_piece_at(&self, offset: u64, len: usize) -> io::Result<Option<FilePiece>> {
        let (_, _) = (offset, len);
        Ok(None)
    }
}

/// A blob found by [`BlobStore::list`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredBlob {
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size_bytes: u64,
    /// When its bytes were written.
    pub modified: SystemTime,
}

/// A place that keeps complete, verified, immutable blobs by digest.
#[async_trait]
pub trait BlobStore: Send + Sync + 'static {
    /// The size of a blob in bytes; `None` when it is not here.
    async fn stat(&self, digest: &Digest) -> Result<Option<u64>, StoreError>;

    /// Opens a blob; `None` when it is not here.
    async fn open(&self, digest: &Digest) -> Result<Option<Arc<dyn BlobRead>>, StoreError>;

    /// Makes a complete staged blob, whose digest the caller has verified, visible at once and durably.
    ///
    /// Afterwards the staged blob takes no more writes, its files are gone from the staging area, and its readers go
    /// on. A blob that is already here is kept. Publishing again is `Ok` as long as the blob is here.
    /// A staged blob that could not be made durable is discarded, never tried again: what a failed fsync left in the
    /// page cache cannot be trusted.
    async fn publish(&self, staged: &StagedBlob) -> Result<(), StoreError>;

    /// Stores a small blob at once and durably, after it has verified the digest. A blob that is already here is kept
    /// unless its bytes are damaged.
    async fn put(&self, digest: &Digest, bytes: Bytes) -> Result<(), StoreError>;

    /// Deletes a blob: the bytes freed, or `None` when it was not here. Open handles stay readable.
    async fn delete(&self, digest: &Digest) -> Result<Option<u64>, StoreError>;

    /// Every blob, in no particular order.
    async fn list(&self) -> Result<Vec<StoredBlob>, StoreError>;
}
