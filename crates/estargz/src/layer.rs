//! A layer whose table of contents was read: what is in it, and which bytes of the blob hold a file.
//!
//! Must not fetch. Invariant: the table was verified as far as [`OpenLayer::trust`] says, and a plan under
//! [`Verification::Required`] has a digest for every byte.

use std::io::Read;

use oci::{ByteRange, Digest};

use crate::chunk::{Chunk, ChunkSource};
use crate::decoder::ChunkDecoder;
use crate::entry::{Entry, EntryKind};
use crate::error::{Error, quoted};
use crate::format::LayerFormat;
use crate::hints::LayerHints;
use crate::raw_toc::RawToc;
use crate::toc::{Toc, index_tar, read_toc};
use crate::verification::{Checked, FileCheck, Trust, Verification, VerificationError};

/// An open layer.
#[derive(Debug)]
pub struct OpenLayer {
    hints: LayerHints,
    format: LayerFormat,
    trust: Trust,
    verification: Verification,
    toc: Toc,
    toc_len: u64,
    data_end: u64,
}

impl OpenLayer {
    /// Indexes a plain layer that was fetched whole: `tar` is its decompressed content. Chunks then refer to positions in `tar`,
    /// which is where the bytes must be read from. That the blob has its digest is for the caller to check; the tar states no
    /// digests of files, so nothing is verified here.
    ///
    /// # Errors
    /// [`Error::Tar`] when it is malformed, and the rules for entries.
    pub fn index_tar(hints: LayerHints, tar: impl Read) -> Result<Self, Error> {
        let (toc, data_end) = index_tar(tar)?;
        let (format, trust, verification) = (LayerFormat::IndexedTar, Trust::Unchecked, Verification::Off);
        Ok(Self { hints, format, trust, verification, toc, toc_len: 0, data_end })
    }

    pub(crate) fn read(hints: LayerHints, verification: Verification, raw: &RawToc) -> Result<Self, Error> {
        let expected = Expected::of(&hints, verification, raw)?;
        if let Some(checksum) = expected.compressed {
            let found = Digest::of(checksum.algorithm(), &raw.bytes);
            mismatch(&hints, Checked::CompressedToc, raw, checksum, found)?;
        }
        let (toc, found) = read_toc(raw.payload(), raw.data_end, expected.json.map(|digest| digest.algorithm()));
        // A wrong table often does not parse either: that it is the wrong one is the better answer.
        if let (Some(expected), Some(found)) = (expected.json, found) {
            mismatch(&hints, Checked::Toc, raw, expected, found)?;
        }
        let toc = toc?;
        let (format, toc_len, data_end) = (raw.format, raw.compressed_len(), raw.data_end);
        Ok(Self { hints, format, trust: expected.trust, verification, toc, toc_len, data_end })
    }

    /// The layer's digest.
    pub fn digest(&self) -> Digest {
        self.hints.digest
    }

    /// What the manifest says of it.
    pub fn hints(&self) -> &LayerHints {
        &self.hints
    }

    /// Its format.
    pub fn format(&self) -> LayerFormat {
        self.format
    }

    /// What its table rests on.
    pub fn trust(&self) -> Trust {
        self.trust
    }

    /// What is in it.
    pub fn toc(&self) -> &Toc {
        &self.toc
    }

    /// How many compressed bytes its table has; 0 for an indexed tar.
    pub fn toc_len(&self) -> u64 {
        self.toc_len
    }

    /// The part of the blob that holds the files; `None` when it is empty.
    pub fn data(&self) -> Option<ByteRange> {
        ByteRange::new(0, self.data_end)
    }

    /// Whether this layer has a say in what `path` is: it has it, or hides what is below. `""` is decided by every layer.
    pub fn decides(&self, path: &str) -> bool {
        self.toc.get(path).is_some() || self.hides(path)
    }

    /// Whether nothing shows at `path` from the layers below this one.
    pub(crate) fn hides(&self, path: &str) -> bool {
        self.toc.hides(path)
    }

    /// The chunks of a file, in order; none for an empty one. `entry` must be of this layer's table and a file itself: follow hard
    /// links first ([`crate::Node::content`], [`Toc::follow_hardlinks`]).
    ///
    /// # Errors
    /// [`Error::NotAFile`], and [`Error::Unverifiable`] under [`Verification::Required`] when a chunk and the file
    /// have no digest.
    pub fn plan(&self, entry: Entry<'_>) -> Result<Vec<Chunk>, Error> {
        if entry.kind() != EntryKind::File {
            return Err(Error::NotAFile { path: quoted(entry.path()) });
        }
        let chunks: Vec<Chunk> = self.chunks(entry).collect();
        let has_digests = entry.digest().is_some() || chunks.iter().all(|chunk| chunk.digest.is_some());
        if self.verification == Verification::Required && !has_digests {
            return Err(Error::Unverifiable { path: quoted(entry.path()) });
        }
        Ok(chunks)
    }

    /// The same, one after the other, as they are in the table; none for what is no file.
    pub fn chunks<'l>(&'l self, entry: Entry<'l>) -> impl ExactSizeIterator<Item = Chunk> + use<'l> {
        self.toc.chunks(entry.record()).iter().map(|record| self.chunk(record))
    }

    /// A decoder for one chunk of a plan for `entry`.
    pub fn decoder(&self, entry: Entry<'_>, chunk: &Chunk) -> Result<ChunkDecoder, Error> {
        let check = self.verification != Verification::Off;
        let digest = chunk.digest.filter(|_| check);
        ChunkDecoder::new(self.format.compression(), self.digest(), entry.path(), Chunk { digest, ..*chunk })
    }

    /// A check of the whole file that `entry` describes; checks nothing when verification is off.
    pub fn file_check(&self, entry: Entry<'_>) -> FileCheck {
        match self.verification {
            Verification::Required | Verification::IfStated => FileCheck::new(self.digest(), entry),
            Verification::Off => FileCheck::nothing(self.digest(), entry),
        }
    }

    fn chunk(&self, record: &crate::toc::ChunkRecord) -> Chunk {
        // The table made sure that members are not empty.
        let range = ByteRange { start: record.offset, end: record.end };
        let member = ChunkSource::Member { range, inner_offset: record.inner_offset };
        Chunk {
            file_offset: record.file_offset,
            size: record.size,
            source: if record.is_hole { ChunkSource::Zeros } else { member },
            digest: self.toc.digest(record.digest),
        }
    }
}

/// The digests that the manifest states for a table.
struct Expected {
    json: Option<Digest>,
    compressed: Option<Digest>,
    trust: Trust,
}

impl Expected {
    fn of(hints: &LayerHints, verification: Verification, raw: &RawToc) -> Result<Self, Error> {
        if verification == Verification::Off {
            return Ok(Self { json: None, compressed: None, trust: Trust::Unchecked });
        }
        let is_zstd = matches!(raw.format, LayerFormat::ZstdChunked(_));
        let compressed = hints.toc_position.filter(|_| is_zstd).and_then(|position| position.checksum);
        let json = hints.toc_digest;
        match (json.or(compressed), verification) {
            (Some(_), _) => Ok(Self { json, compressed, trust: Trust::Verified }),
            (None, Verification::Required) => Err(Error::NoTocDigest { layer: hints.digest }),
            (None, Verification::IfStated | Verification::Off) => Ok(Self { json, compressed, trust: Trust::Unstated }),
        }
    }
}

fn mismatch(hints: &LayerHints, checked: Checked, raw: &RawToc, expected: Digest, found: Digest) -> Result<(), Error> {
    if expected == found {
        return Ok(());
    }
    Err(VerificationError { checked, layer: hints.digest, path: None, offset: raw.data_end, expected, found }.into())
}
