//! From entries in the order of the list to packed records: every rule about a single entry or file is applied here.
//!
//! Must not know JSON or the other layers. Invariant: an entry that was pushed without error is in bounds, and the chunks of
//! each file tile it. Chunks belong to the file before them in the list: their own names are not looked at, as in the
//! reference implementation.

use std::collections::HashMap;

use oci::Digest;

use crate::entry::{EntryKind, Timestamp};
use crate::error::{Error, quoted};
use crate::fault::EntryFault;
use crate::format::Compression;
use crate::limits::{MAX_FILE_SIZE, MAX_INNER_OFFSET, MAX_PATH, MAX_TOC_ENTRIES, MAX_TOC_MEMORY};
use crate::toc::fields::{EntryFields, StatedTime, XattrFields};
use crate::toc::{ChunkRecord, DigestIndex, Record, Text, Toc, XattrIndex, normalise};

/// The size of a tar header.
const TAR_BLOCK: u64 = 512;

/// Collects the entries of one table.
pub(crate) struct Assembler {
    pub(super) toc: Toc,
    /// The first byte of the blob that is not data.
    pub(super) data_end: u64,
    pub(super) compression: Compression,
    /// Where members begin, of replaced entries too: each ends the one before.
    pub(super) starts: Vec<u64>,
    users: HashMap<u32, Text>,
    groups: HashMap<u32, Text>,
    open: Option<OpenFile>,
    spent: usize,
}

/// The file whose chunks are being listed.
struct OpenFile {
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
struct ListedChunk {
    offset: u64,
    inner_offset: u64,
    file_offset: u64,
    size: Option<u64>,
    digest: DigestIndex,
    is_hole: bool,
}

impl Assembler {
    /// A table of a layer whose data ends at `data_end` and whose members are compressed like this.
    pub(crate) fn new(data_end: u64, compression: Compression) -> Self {
        Self {
            toc: Toc::default(),
            data_end,
            compression,
            starts: Vec::new(),
            users: HashMap::new(),
            groups: HashMap::new(),
            open: None,
            spent: 0,
        }
    }

    /// Adds the next entry of the list.
    pub(crate) fn push(&mut self, fields: &mut EntryFields) -> Result<(), Error> {
        let index = self.toc.listed;
        if index >= MAX_TOC_ENTRIES {
            return Err(Error::TocLimit { what: "entries", limit: MAX_TOC_ENTRIES as u64 });
        }
        self.toc.listed += 1;
        if fields.kind == "chunk" {
            return self.chunk(fields).map_err(|fault| refused(index, &fields.name, fault));
        }
        self.close_file()?;
        self.entry(index, fields).map_err(|fault| refused(index, &fields.name, fault))?;
        self.spend(2 * (size_of::<Record>() + fields.name.len() + fields.link_name.len()))
    }

    /// Accounts for memory that the table takes; vectors grow by doubling, so twice the bytes.
    pub(super) fn spend(&mut self, bytes: usize) -> Result<(), Error> {
        self.spent += bytes;
        if self.spent > MAX_TOC_MEMORY {
            return Err(Error::TocLimit { what: "bytes in memory", limit: MAX_TOC_MEMORY as u64 });
        }
        Ok(())
    }

    fn entry(&mut self, index: usize, fields: &mut EntryFields) -> Result<(), EntryFault> {
        let kind = kind(&fields.kind)?;
        let path = self.path(&fields.name)?;
        if path.len == 0 && kind != EntryKind::Directory {
            return Err(EntryFault::RootNotDirectory);
        }
        let (uid, gid) = (small("uid", fields.uid)?, small("gid", fields.gid)?);
        let mut record = Record::implied_directory(path);
        record.implied = false;
        record.kind = kind;
        record.mode = u16::try_from(fields.mode & 0o7777).unwrap_or_default();
        record.modified = timestamp(fields.modified)?;
        record.uid = uid;
        record.gid = gid;
        record.user = name_of(&mut self.toc.texts, &mut self.users, uid, &fields.user_name);
        record.group = name_of(&mut self.toc.texts, &mut self.groups, gid, &fields.group_name);
        record.link = self.link(kind, &fields.link_name)?;
        record.xattrs = self.xattrs(fields.xattrs.take())?;
        if matches!(kind, EntryKind::CharDevice | EntryKind::BlockDevice) {
            record.first = small("devMajor", fields.dev_major)?;
            record.count = small("devMinor", fields.dev_minor)?;
        }
        if kind == EntryKind::File {
            record.size = large("size", fields.size)?;
            record.digest = self.digest("digest", &fields.digest)?;
            self.open_file(index, &record, fields)?;
        }
        self.toc.records.push(record);
        Ok(())
    }

    fn path(&mut self, name: &str) -> Result<Text, EntryFault> {
        let start = self.toc.texts.len();
        normalise(name, &mut self.toc.texts)?;
        Ok(span(start, self.toc.texts.len()))
    }

    fn link(&mut self, kind: EntryKind, target: &str) -> Result<Text, EntryFault> {
        match kind {
            EntryKind::Hardlink | EntryKind::Symlink if target.is_empty() => Err(EntryFault::NoLinkTarget),
            EntryKind::Hardlink => self.path(target),
            EntryKind::Symlink if target.len() > MAX_PATH => Err(EntryFault::NameTooLong),
            EntryKind::Symlink if target.contains('\0') => Err(EntryFault::Nul),
            EntryKind::Symlink => Ok(append(&mut self.toc.texts, target)),
            EntryKind::Directory
            | EntryKind::File
            | EntryKind::CharDevice
            | EntryKind::BlockDevice
            | EntryKind::Fifo => Ok(Text::default()),
        }
    }

    fn xattrs(&mut self, fields: Option<XattrFields>) -> Result<XattrIndex, EntryFault> {
        let Some(fields) = fields else { return Ok(XattrIndex::NONE) };
        let list = fields.0.ok_or(EntryFault::InvalidXattrs)?;
        if list.is_empty() {
            return Ok(XattrIndex::NONE);
        }
        self.spent += list.iter().map(|(name, value)| 64 + name.len() + value.len()).sum::<usize>();
        self.toc.xattrs.push(list);
        Ok(XattrIndex::new(self.toc.xattrs.len() - 1))
    }

    fn digest(&mut self, field: &'static str, text: &str) -> Result<DigestIndex, EntryFault> {
        if text.is_empty() {
            return Ok(DigestIndex::NONE);
        }
        let digest = text.parse().map_err(|source| EntryFault::InvalidDigest { field, source })?;
        // A file of one chunk states the same digest twice.
        if self.toc.digests.last() != Some(&digest) {
            self.spent += 2 * size_of::<Digest>();
            self.toc.digests.push(digest);
        }
        Ok(DigestIndex::new(self.toc.digests.len() - 1))
    }

    fn open_file(&mut self, index: usize, record: &Record, fields: &EntryFields) -> Result<(), EntryFault> {
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

    fn chunk(&mut self, fields: &EntryFields) -> Result<(), EntryFault> {
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

fn refused(index: usize, name: &str, fault: EntryFault) -> Error {
    Error::Entry { index: Some(index), name: quoted(name), fault }
}

fn kind(text: &str) -> Result<EntryKind, EntryFault> {
    Ok(match text {
        "dir" => EntryKind::Directory,
        "reg" => EntryKind::File,
        "symlink" => EntryKind::Symlink,
        "hardlink" => EntryKind::Hardlink,
        "char" => EntryKind::CharDevice,
        "block" => EntryKind::BlockDevice,
        "fifo" => EntryKind::Fifo,
        other => return Err(EntryFault::UnknownType { found: quoted(other) }),
    })
}

fn small(field: &'static str, value: i64) -> Result<u32, EntryFault> {
    u32::try_from(value).map_err(|_| EntryFault::OutOfRange { field })
}

fn large(field: &'static str, value: i64) -> Result<u64, EntryFault> {
    u64::try_from(value).ok().filter(|value| *value <= MAX_FILE_SIZE).ok_or(EntryFault::OutOfRange { field })
}

fn timestamp(stated: StatedTime) -> Result<Option<Timestamp>, EntryFault> {
    match stated {
        StatedTime::Unknown => Ok(None),
        StatedTime::At(time) => Ok(Some(time)),
        StatedTime::Invalid => Err(EntryFault::InvalidTime),
    }
}

fn append(texts: &mut String, text: &str) -> Text {
    let start = texts.len();
    texts.push_str(text);
    span(start, texts.len())
}

fn span(start: usize, end: usize) -> Text {
    Text { start: start as u32, len: (end - start) as u32 }
}

/// The name that goes with a number: the one stated here, else the one stated with this number before.
fn name_of(texts: &mut String, known: &mut HashMap<u32, Text>, number: u32, stated: &str) -> Text {
    if stated.is_empty() {
        return known.get(&number).copied().unwrap_or_default();
    }
    if let Some(name) = known.get(&number).filter(|name| texts[name.range()] == *stated) {
        return *name;
    }
    let name = append(texts, stated);
    known.insert(number, name);
    name
}
