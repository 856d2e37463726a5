//! A table of contents as it was fetched: compressed, with what is needed to read it again without the blob.
//!
//! Must not know where it is kept. Invariant: what comes out of [`RawToc::from_bytes`] is as untrusted as what comes from a
//! registry: it is verified when it is opened.

use std::fmt;

use crate::error::Error;
use crate::format::{LayerFormat, ZstdDialect};
use crate::limits::{MAX_TOC_COMPRESSED, MAX_TOC_RAW};
use crate::toc::TocPayload;

/// The first bytes of a kept table; the last of them is the version of the form.
const MAGIC: [u8; 8] = *b"esgztoc\x01";
const HEADER: usize = 40;

/// The compressed table of contents of one layer, for a cache. About 50 bytes an entry.
#[derive(Clone, PartialEq, Eq)]
pub struct RawToc {
    pub(crate) format: LayerFormat,
    pub(crate) blob_size: u64,
    pub(crate) data_end: u64,
    /// Of zstd:chunked: how many bytes of JSON. Else 0, and the tar header in the bytes says it.
    pub(crate) raw_len: u64,
    pub(crate) bytes: Vec<u8>,
}

impl RawToc {
    /// The format of the layer it belongs to.
    pub fn format(&self) -> LayerFormat {
        self.format
    }

    /// How many compressed bytes.
    pub fn compressed_len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The form for a cache: a header of 40 bytes and the compressed table.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER + self.bytes.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&u64::from(code(self.format)).to_le_bytes());
        for number in [self.blob_size, self.data_end, self.raw_len] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&self.bytes);
        bytes
    }

    /// Reads what [`RawToc::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`Error::RawToc`] when it is of another version or cannot be one.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let damaged = |reason| Error::RawToc { reason };
        let (header, payload) = bytes.split_first_chunk::<HEADER>().ok_or_else(|| damaged("it is too short"))?;
        let mut numbers = header.chunks_exact(8).filter_map(|bytes| bytes.try_into().ok());
        if numbers.next() != Some(MAGIC) {
            return Err(damaged("it was written by another version"));
        }
        let mut number = || numbers.next().map(u64::from_le_bytes).unwrap_or_default();
        let (code, blob_size, data_end, raw_len) = (number(), number(), number(), number());
        let format = format(code).ok_or_else(|| damaged("its format is unknown"))?;
        if data_end > blob_size || payload.len() as u64 > MAX_TOC_COMPRESSED || raw_len > MAX_TOC_RAW {
            return Err(damaged("its sizes cannot be"));
        }
        Ok(Self { format, blob_size, data_end, raw_len, bytes: payload.to_vec() })
    }

    pub(crate) fn payload(&self) -> TocPayload<'_> {
        match self.format {
            LayerFormat::ZstdChunked(_) => TocPayload::Zstd { frame: &self.bytes, raw_len: self.raw_len },
            LayerFormat::EStargz | LayerFormat::LegacyStargz | LayerFormat::ExternalToc | LayerFormat::IndexedTar => {
                TocPayload::GzipTar(&self.bytes)
            }
        }
    }
}

impl fmt::Debug for RawToc {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RawToc")
            .field("format", &self.format)
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

fn code(format: LayerFormat) -> u8 {
    match format {
        LayerFormat::EStargz => 1,
        LayerFormat::LegacyStargz => 2,
        LayerFormat::ExternalToc => 3,
        LayerFormat::ZstdChunked(ZstdDialect::Stargz) => 4,
        LayerFormat::ZstdChunked(ZstdDialect::Containers) => 5,
        // Has no table that was fetched; `from_bytes` refuses the code.
        LayerFormat::IndexedTar => 0,
    }
}

fn format(code: u64) -> Option<LayerFormat> {
    Some(match code {
        1 => LayerFormat::EStargz,
        2 => LayerFormat::LegacyStargz,
        3 => LayerFormat::ExternalToc,
        4 => LayerFormat::ZstdChunked(ZstdDialect::Stargz),
        5 => LayerFormat::ZstdChunked(ZstdDialect::Containers),
        _ => return None,
    })
}
