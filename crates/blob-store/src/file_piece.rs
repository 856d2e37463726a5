//! A piece of a file that goes out without passing through our memory.
//!
//! It must not know sockets or digests. Invariants: a piece is never longer than
//! [`FilePiece::MAX_BYTES`]; it keeps its file open, so that it stays readable after a delete.

use std::fs::File;
use std::sync::Arc;

/// Bytes of a file, named instead of read.
#[derive(Clone, Debug)]
pub struct FilePiece {
    file: Arc<File>,
    offset: u64,
    len: usize,
}

impl FilePiece {
    /// The longest piece, in bytes. A piece holds no memory; the bound is how long one takes to be asked about.
    pub const MAX_BYTES: usize = 1024 * 1024;

    /// The `len` bytes of `file` from `offset`, cut to [`Self::MAX_BYTES`].
    pub fn new(file: Arc<File>, offset: u64, len: usize) -> Self {
        Self { file, offset, len: len.min(Self::MAX_BYTES) }
    }

    /// The file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Where in the file the next byte is.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes left.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no byte is left.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes `count` bytes, at most all that are left, off the front.
    pub fn advance(&mut self, count: usize) {
        let count = count.min(self.len);
        self.offset += count as u64;
        self.len -= count;
    }
}
