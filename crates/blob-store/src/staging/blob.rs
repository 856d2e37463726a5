//! A blob that still grows: a sparse file that is written in any order, and what of it is present.
//!
//! It must not know who writes, why, or whether the bytes are right: whoever publishes has verified them.
//!
//! Invariants: bytes are recorded after they are written; once publishing or discarding has begun no byte of the
//! file changes any more, whoever still holds a handle; readers keep the open file and outlive both.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::{Arc, Mutex, RwLock};

use oci::{ByteRange, Digest};

use super::boot::BootId;
use super::files::{STAT_BLOCK_BYTES, StagedPaths};
use super::map::{StagedMap, StagedNote};
use super::reader::StagedReader;
use crate::blob_store::BlobRead;
use crate::file_read::PageCacheReads;
use crate::locks::{lock, read, write};
use crate::range_set::RangeSet;

/// A blob in the staging area. Cheap to clone; clones are the same blob.
///
/// Dropping every clone keeps the files: what the last checkpoint recorded is resumed when it is opened again.
#[derive(Clone, Debug)]
pub struct StagedBlob {
    inner: Arc<Inner>,
}

/// The shared state of one staged blob.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(super) digest: Digest,
    pub(super) file: Arc<File>,
    pub(super) paths: StagedPaths,
    boot: Option<BootId>,
    pub(super) page_cache: PageCacheReads,
    facts: Mutex<Facts>,
    /// Writers share it; publishing and discarding own it, so no write is under way when the phase changes.
    pub(super) phase: RwLock<Phase>,
    /// One checkpoint at a time: they share the temporary file.
    checkpoint: Mutex<()>,
}

#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) size: Option<u64>,
    note: StagedNote,
    pub(super) present: RangeSet,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Growing,
    /// Published or discarded.
    Settled,
}

impl StagedBlob {
    pub(crate) fn new(file: File, paths: StagedPaths, map: StagedMap, page_cache: PageCacheReads) -> Self {
        let inner = Inner {
            digest: map.digest,
            file: Arc::new(file),
            paths,
            boot: map.boot,
            page_cache,
            facts: Mutex::new(Facts { size: map.size, note: map.note, present: map.present }),
            phase: RwLock::new(Phase::Growing),
            checkpoint: Mutex::new(()),
        };
        Self { inner: Arc::new(inner) }
    }

    pub(crate) fn from_inner(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// What the blob will be.
    pub fn digest(&self) -> &Digest {
        &self.inner.digest
    }

    /// The size of the complete blob in bytes, once known.
    pub fn size(&self) -> Option<u64> {
        self.inner.facts().size
    }

    /// States the size of the complete blob. `InvalidInput` when another size is known, or more is present.
    pub fn set_size(&self, size: u64) -> io::Result<()> {
        let mut facts = lock(&self.inner.facts);
        if facts.size.is_some_and(|known| known != size) || facts.present.end() > size {
            let what = format!("size {size}, but {:?} is known and {} is present", facts.size, facts.present.end());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        facts.size = Some(size);
        Ok(())
    }

    /// Who asked for the blob and from where.
    pub fn note(&self) -> StagedNote {
        self.inner.facts().note
    }

    /// Replaces the note. The next checkpoint keeps it.
    pub fn set_note(&self, note: StagedNote) {
        lock(&self.inner.facts).note = note;
    }

    /// Writes bytes at their place in the file, without recording them as present. Blocking.
    ///
    /// `InvalidInput` past a known size; `StaleNetworkFileHandle` once published or discarded; see
    /// [`is_no_space`](crate::is_no_space) for a full disk. After a failure the bytes of this range are undefined.
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let phase = read(&self.inner.phase);
        if *phase == Phase::Settled {
            let what = format!("staged blob {} takes no more writes", self.inner.digest);
            return Err(io::Error::new(io::ErrorKind::StaleNetworkFileHandle, what));
        }
        let end = offset.checked_add(bytes.len() as u64);
        let fits = match (end, self.size()) {
            (Some(end), Some(size)) => end <= size,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if !fits {
            let what = format!("{} bytes at {offset} of {:?}", bytes.len(), self.size());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        self.inner.file.write_all_at(bytes, offset)
    }

    /// Fills `buffer` from `offset`. Blocking; an error when not all of it is present.
    pub fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        if self.contiguous_from(offset) < offset + buffer.len() as u64 {
            let what = format!("{} bytes at {offset} are not all present", buffer.len());
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
        }
        self.inner.file.read_exact_at(buffer, offset)
    }

    /// Records bytes as present. The caller has written them with [`Self::write_at`].
    pub fn record(&self, range: ByteRange) {
        lock(&self.inner.facts).present.insert(range);
    }

    /// Takes nothing for present any more: all of it will be written again. Size and note stay. No write may be under way.
    pub fn start_over(&self) {
        lock(&self.inner.facts).present = RangeSet::default();
    }

    /// What is present now.
    pub fn present(&self) -> RangeSet {
        self.inner.facts().present
    }

    /// The end (exclusive) of the present run that holds the byte at `offset`; `offset` when that byte is missing.
    pub fn contiguous_from(&self, offset: u64) -> u64 {
        self.inner.contiguous_from(offset)
    }

    /// Keeps size, note and what is present for the next process. Blocking. Does nothing once published or discarded.
    pub fn checkpoint(&self) -> io::Result<()> {
        let _one_at_a_time = lock(&self.inner.checkpoint);
        let phase = read(&self.inner.phase);
        match *phase {
            Phase::Growing => self.inner.to_map().write(&self.inner.paths.map, &self.inner.paths.temporary_map),
            Phase::Settled => Ok(()),
        }
    }

    /// A handle that reads what is present, now and later, also after publishing and discarding.
    pub fn reader(&self) -> Arc<dyn BlobRead> {
        Arc::new(StagedReader::new(Arc::clone(&self.inner)))
    }

    /// Bytes of disk the data takes: gaps take none.
    pub fn allocated_bytes(&self) -> io::Result<u64> {
        Ok(self.inner.file.metadata()?.blocks() * STAT_BLOCK_BYTES)
    }

    /// Unlinks data and map. Blocking. Open readers go on; writes are refused from now on. Does nothing once
    /// published or discarded.
    pub fn discard(&self) -> io::Result<()> {
        let mut phase = write(&self.inner.phase);
        match *phase {
            Phase::Growing => {
                self.inner.paths.remove()?;
                *phase = Phase::Settled;
                Ok(())
            }
            Phase::Settled => Ok(()),
        }
    }
}

impl Inner {
    pub(crate) fn is_growing(&self) -> bool {
        *read(&self.phase) == Phase::Growing
    }

    pub(crate) fn contiguous_from(&self, offset: u64) -> u64 {
        lock(&self.facts).present.contiguous_from(offset)
    }

    /// The announced size, or the end of what is present.
    pub(crate) fn size_so_far(&self) -> u64 {
        let facts = lock(&self.facts);
        facts.size.unwrap_or_else(|| facts.present.end())
    }

    pub(crate) fn to_map(&self) -> StagedMap {
        let Facts { size, note, present } = self.facts();
        StagedMap { digest: self.digest, size, boot: self.boot.clone(), note, present }
    }

    pub(super) fn facts(&self) -> Facts {
        lock(&self.facts).clone()
    }
}
