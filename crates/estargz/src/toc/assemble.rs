//! From entries in the order of the list to packed records: every rule about a single entry is applied here.
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
use crate::limits::{MAX_FILE_SIZE, MAX_PATH, MAX_TOC_ENTRIES, MAX_TOC_MEMORY};
use crate::toc::chunks::{ListedChunk, OpenFile};
use crate::toc::fields::{EntryFields, StatedTime, XattrFields};
use crate::toc::{DigestIndex, Record, Text, Toc, XattrIndex, normalise};

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
    pub(super) open: Option<OpenFile>,
    /// The last digest that was stated, as text.
    last_digest: String,
    spent: usize,
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
            last_digest: String::new(),
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
            self.chunk(fields).map_err(|fault| refused(index, &fields.name, fault))?;
            return self.spend(2 * size_of::<ListedChunk>());
        }
        self.close_file()?;
        let text = self.toc.texts.len();
        self.entry(index, fields).map_err(|fault| refused(index, &fields.name, fault))?;
        self.spend(2 * (size_of::<Record>() + self.toc.texts.len() - text))
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

    pub(super) fn digest(&mut self, field: &'static str, text: &str) -> Result<DigestIndex, EntryFault> {
        if text.is_empty() {
            return Ok(DigestIndex::NONE);
        }
        // A file of one chunk states the same digest twice.
        if self.last_digest != text {
            let digest = text.parse().map_err(|source| EntryFault::InvalidDigest { field, source })?;
            self.spent += 2 * size_of::<Digest>();
            self.toc.digests.push(digest);
            text.clone_into(&mut self.last_digest);
        }
        Ok(DigestIndex::new(self.toc.digests.len() - 1))
    }
}

pub(super) fn refused(index: usize, name: &str, fault: EntryFault) -> Error {
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

pub(super) fn large(field: &'static str, value: i64) -> Result<u64, EntryFault> {
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
