//! Chunks: the pieces in which a file lies in its layer.
//!
//! Must not know how bytes are fetched or decompressed. Invariant: the chunks of a file, in order, cover it exactly once.

use oci::{ByteRange, Digest};

/// One piece of a file: where its bytes are, and what they must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Where it begins in the file.
    pub file_offset: u64,
    /// How many bytes of the file it is; at least one.
    pub size: u64,
    /// Where the bytes come from.
    pub source: ChunkSource,
    /// The digest of exactly these bytes, if stated. Without one only the whole file can be checked ([`crate::FileCheck`]).
    pub digest: Option<Digest>,
}

/// Where the bytes of a chunk come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkSource {
    /// A compressed member of the blob. Several chunks may share one (`innerOffset`): fetch it once, feed it to each.
    Member {
        /// The bytes of the blob to fetch. They may go on past the payload (padding, headers of the next files).
        range: ByteRange,
        /// How many decompressed bytes come before the payload.
        inner_offset: u64,
    },
    /// A hole: zeros, for which nothing is fetched.
    Zeros,
}

impl Chunk {
    /// The bytes of the blob to fetch; `None` for a hole.
    pub fn range(&self) -> Option<ByteRange> {
        match self.source {
            ChunkSource::Member { range, .. } => Some(range),
            ChunkSource::Zeros => None,
        }
    }
}
