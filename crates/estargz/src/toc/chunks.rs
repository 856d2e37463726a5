//! The chunks of a file, while they are listed and when they are complete.
//!
//! Must not know names. Invariant: packed chunks tile their file in order, and each begins inside of the data.

use crate::error::Error;
use crate::fault::EntryFault;
use crate::limits::MAX_INNER_OFFSET;
use crate::toc::assemble::{large, refused};
use crate::toc::fields::EntryFields;
use crate::toc::{Assembler, ChunkRecord, DigestIndex, Record, Toc};

/// The size of a tar header.
const TAR_BLOCK: u64 = 512;

/// The file whose chunks are being listed.
pub(super) struct OpenFile {
    /// Its position in the list, for errors.
    index: usize,
    /// Its place among the records.
    record: usize,
    size: u64,
    /// Where its data ends, when that is stated.
    end: Option<u64>,
    /// The digest of the whole file: that of the chunk, if there is only one.
    digest: DigestIndex,
    chunks: Vec<ListedChunk>,
}

/// A chunk as listed: its size may be left to be "up to the next one".
pub(super) struct ListedChunk {
    offset: u64,
    inner_offset: u64,
    file_offset: u64,
    size: Option<u64>,
    digest: DigestIndex,
    is_hole: bool,
}

impl Assembler {
    pub(super) fn open_file(&mut self, index: usize, record: &Record, fields: &EntryFields) -> Result<(), EntryFault> {
        let mut file = OpenFile {
            index,
            record: self.toc.records.len(),
            size: record.size,
            end: None,
            digest: record.digest,
            chunks: Vec::new(),
        };
        if record.size > 0 {
            let chunk = self.listed_chunk(fields)?;
            if fields.end_offset != 0 {
                let end = large("endOffset", fields.end_offset)?;
                if end < chunk.offset || end > self.data_end || (end == chunk.offset && !chunk.is_hole) {
                    return Err(EntryFault::EndOffsetOutside { found: end });
                }
                file.end = Some(end);
            }
            file.chunks.push(chunk);
        }
        self.open = Some(file);
        Ok(())
    }

    pub(super) fn chunk(&mut self, fields: &EntryFields) -> Result<(), EntryFault> {
        if self.open.as_ref().is_none_or(|file| file.chunks.is_empty()) {
            return Err(EntryFault::StrayChunk);
        }
        let chunk = self.listed_chunk(fields)?;
        let Some(file) = &mut self.open else { return Err(EntryFault::StrayChunk) };
        file.chunks.push(chunk);
        Ok(())
    }

    fn listed_chunk(&mut self, fields: &EntryFields) -> Result<ListedChunk, EntryFault> {
        let offset = large("offset", fields.offset)?;
        let is_hole = match fields.chunk_type.as_str() {
            "" => false,
            "zeros" => true,
            _ => return Err(EntryFault::UnknownChunkType),
        };
        let inner_offset = large("innerOffset", fields.inner_offset)?;
        // A member at the very beginning has a tar header before any payload.
        let is_after_header = offset > 0 || inner_offset >= TAR_BLOCK;
        let is_inside = offset < self.data_end || (is_hole && offset == self.data_end);
        if !(is_after_header && is_inside) {
            return Err(EntryFault::OffsetOutside { offset, data_end: self.data_end });
        }
        if inner_offset > MAX_INNER_OFFSET {
            return Err(EntryFault::InnerOffsetTooLarge { found: inner_offset });
        }
        let size = large("chunkSize", fields.chunk_size)?;
        Ok(ListedChunk {
            offset,
            inner_offset,
            file_offset: large("chunkOffset", fields.chunk_offset)?,
            size: (size > 0).then_some(size),
            digest: self.digest("chunkDigest", &fields.chunk_digest)?,
            is_hole,
        })
    }

    /// Checks the chunks of the file that was listed last, and packs them.
    pub(super) fn close_file(&mut self) -> Result<(), Error> {
        let Some(file) = self.open.take() else { return Ok(()) };
        let (index, record) = (file.index, file.record);
        let count = file.chunks.len();
        let result = self.pack(&file);
        let name = |toc: &Toc| toc.text(toc.records[record].path).to_owned();
        result.map_err(|fault| refused(index, &name(&self.toc), fault))?;
        self.spend(count * 2 * (size_of::<ChunkRecord>() + size_of::<u64>()))
    }

    fn pack(&mut self, file: &OpenFile) -> Result<(), EntryFault> {
        let first = self.toc.chunks.len() as u32;
        let is_alone = file.chunks.len() == 1;
        let (mut expected, mut previous) = (0_u64, None);
        let nexts = file.chunks.iter().skip(1).map(|next| next.file_offset).chain([file.size]);
        for (chunk, next) in file.chunks.iter().zip(nexts) {
            if chunk.file_offset != expected {
                return Err(EntryFault::ChunksDoNotTile { expected, found: chunk.file_offset });
            }
            let end = match chunk.size {
                Some(size) => chunk.file_offset.checked_add(size),
                None => Some(next),
            };
            let end = end.filter(|end| *end > expected && *end <= file.size);
            let end = end.ok_or(EntryFault::ChunksDoNotTile { expected: file.size, found: next })?;
            if let Some(end) = file.end.filter(|end| !chunk.is_hole && chunk.offset >= *end) {
                return Err(EntryFault::EndOffsetOutside { found: end });
            }
            let place = (chunk.offset, chunk.inner_offset);
            if !chunk.is_hole && previous.is_some_and(|previous| place <= previous) {
                return Err(EntryFault::ChunksOutOfOrder);
            }
            if !chunk.is_hole {
                previous = Some(place);
            }
            self.starts.push(chunk.offset);
            self.toc.chunks.push(ChunkRecord {
                offset: chunk.offset,
                end: if chunk.is_hole { chunk.offset } else { file.end.unwrap_or(self.data_end) },
                inner_offset: chunk.inner_offset,
                file_offset: chunk.file_offset,
                size: end - expected,
                digest: if is_alone && chunk.digest == DigestIndex::NONE { file.digest } else { chunk.digest },
                is_hole: chunk.is_hole,
            });
            expected = end;
        }
        if expected != file.size {
            return Err(EntryFault::ChunksDoNotTile { expected: file.size, found: expected });
        }
        let record = &mut self.toc.records[file.record];
        record.first = first;
        record.count = self.toc.chunks.len() as u32 - first;
        Ok(())
    }
}
