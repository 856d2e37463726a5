//! Where the bytes of one layer come from: its registry, or a file here that holds all of it.
//!
//! Must not know formats. Invariant: a position is one of the layer's blob, or of the tar in the file when the layer was
//! read whole; whoever opened the layer knows which.

use std::fs::File;
use std::os::unix::fs::FileExt;

use bytes::Bytes;
use client::{Backoff, BlobParts};
use oci::ByteRange;

use super::ranges::RangeReader;
use crate::error::StargetError;
use crate::patience::Patience;

/// Bytes read at a time from a file.
const PIECE: u64 = 128 * 1024;

/// The bytes of one layer.
pub(crate) enum LayerSource {
    /// In parts, from the registry.
    Remote(Remote),
    /// The decompressed tar, in a file without a name.
    Local(File),
}

/// A blob of a registry.
pub(crate) struct Remote {
    pub(super) parts: BlobParts,
    pub(super) registry: String,
    pub(super) size: u64,
    pub(super) max_retries: u32,
    pub(super) backoff: Backoff,
}

impl Remote {
    /// Reads one range.
    pub(super) fn read(&self, range: ByteRange) -> RangeReader<'_> {
        let patience = Patience::new(self.max_retries, self.backoff);
        RangeReader::new(&self.parts, &self.registry, self.size, range, patience)
    }
}

/// One range on its way.
pub(crate) enum SourceReader<'s> {
    Remote(Box<RangeReader<'s>>),
    Local { file: &'s File, left: Option<ByteRange> },
}

impl LayerSource {
    /// Reads one range.
    pub(crate) fn read(&self, range: ByteRange) -> SourceReader<'_> {
        match self {
            Self::Remote(remote) => SourceReader::Remote(Box::new(remote.read(range))),
            Self::Local(file) => SourceReader::Local { file, left: Some(range) },
        }
    }

    /// Whether reading from it asks anybody.
    pub(crate) fn is_remote(&self) -> bool {
        matches!(self, Self::Remote(_))
    }
}

impl SourceReader<'_> {
    /// The next bytes; none at the end of the range.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, StargetError> {
        match self {
            Self::Remote(reader) => reader.next().await,
            Self::Local { file, left } => {
                let Some(range) = *left else { return Ok(None) };
                let mut piece = vec![0; range.len().min(PIECE) as usize];
                let read = tokio::task::block_in_place(|| file.read_exact_at(&mut piece, range.start));
                read.map_err(|source| StargetError::Stream { doing: "read back a layer", source })?;
                *left = ByteRange::new(range.start + piece.len() as u64, range.end);
                Ok(Some(piece.into()))
            }
        }
    }
}
