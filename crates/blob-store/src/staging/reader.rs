//! Reads of a blob that still grows.
//!
//! It must not know who writes.
//!
//! Invariant: a byte that is not recorded as present is never returned: a hole in a sparse file reads as zeros, and
//! zeros are wrong bytes.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::blob::Inner;
use crate::blob_store::BlobRead;
use crate::buffer_pool::BufferPool;
use crate::file_read;

#[derive(Debug)]
pub(crate) struct StagedReader {
    staged: Arc<Inner>,
}

impl StagedReader {
    pub(crate) fn new(staged: Arc<Inner>) -> Self {
        Self { staged }
    }

    fn readable(&self, offset: u64, len: usize) -> io::Result<usize> {
        file_read::readable(offset, len, self.staged.contiguous_from(offset))
    }
}

#[async_trait]
impl BlobRead for StagedReader {
    fn size(&self) -> u64 {
        self.staged.size_so_far()
    }

    fn try_read_at(&self, offset: u64, len: usize, pool: &BufferPool) -> io::Result<Option<Bytes>> {
        let len = self.readable(offset, len)?;
        self.staged.page_cache.try_read(&self.staged.file, offset, len, pool)
    }

    async fn read_at(&self, offset: u64, len: usize, pool: &BufferPool) -> io::Result<Bytes> {
        let len = self.readable(offset, len)?;
        file_read::read(Arc::clone(&self.staged.file), offset, len, pool).await
    }
}
