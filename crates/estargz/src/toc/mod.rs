//! The table of contents of one layer: packed, sorted by path, complete (every parent is there), without duplicates.
//!
//! Must not know blobs or JSON. Invariant: entries are unique and in path order (a directory before what lies in it), all
//! spans and indexes point into the table, and the chunks of each file tile it.

mod assemble;
mod chunks;
mod complete;
mod fields;
mod guard;
mod json;
mod path;
mod payload;
mod record;
mod special;
mod split;
mod tar_index;

use std::cmp::Ordering;
use std::fmt;

use oci::Digest;

pub(crate) use assemble::Assembler;
pub(crate) use path::{compare_paths, is_below, normalise};
pub(crate) use payload::{TocPayload, read_toc};
pub(crate) use record::{ChunkRecord, DigestIndex, Record, Text, XattrIndex};
pub(crate) use special::is_hidden;
pub use special::{Landmark, Whiteout};
pub(crate) use tar_index::index_tar;

use crate::entry::{Entry, EntryId, EntryKind};
use crate::error::{Error, quoted};
use crate::limits::MAX_LINKS;

/// Names and values of the extended attributes of one entry.
pub(crate) type Xattrs = Vec<(Box<str>, Box<[u8]>)>;

/// What a layer contains.
#[derive(Default)]
pub struct Toc {
    records: Vec<Record>,
    texts: String,
    digests: Vec<Digest>,
    chunks: Vec<ChunkRecord>,
    xattrs: Vec<Xattrs>,
    listed: usize,
}

impl Toc {
    /// How many entries the table lists as it was written, chunks and replaced entries included, implied ones not.
    pub fn listed(&self) -> usize {
        self.listed
    }

    /// All entries in path order, whiteouts, landmarks and implied directories included. The first is the root.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = Entry<'_>> {
        self.records.iter().enumerate().map(|(index, record)| Entry::new(self, EntryId(index as u32), record))
    }

    /// The entry at a place of this table.
    ///
    /// # Panics
    /// When `id` is of another, larger table.
    pub fn entry(&self, id: EntryId) -> Entry<'_> {
        Entry::new(self, id, &self.records[id.0 as usize])
    }

    /// The entry with this path, in the form of [`Entry::path`].
    pub fn get(&self, path: &str) -> Option<Entry<'_>> {
        let compare = |record: &Record| -> Ordering { compare_paths(self.text(record.path), path) };
        let index = self.records.binary_search_by(compare).ok()?;
        Some(self.entry(EntryId(u32::try_from(index).ok()?)))
    }

    /// The landmark of the layer, if it has one: up to where a runtime fetches ahead.
    pub fn landmark(&self) -> Option<Landmark> {
        Landmark::of(self)
    }

    /// The file that a hard link stands for, through other hard links of this layer; the entry itself when it is none.
    ///
    /// # Errors
    /// [`Error::BrokenHardlink`] for a cycle, a chain of more than [`MAX_LINKS`], or a target that is a directory or is not
    /// in this layer (it may be in a layer below: [`crate::ImageTree`] looks there).
    pub fn follow_hardlinks<'t>(&'t self, entry: Entry<'t>) -> Result<Entry<'t>, Error> {
        match self.hardlink_end(entry) {
            Some(Ok(end)) => Ok(end),
            Some(Err(missing)) => Err(broken(entry, missing)),
            None => Err(broken(entry, entry.link_target().unwrap_or_default())),
        }
    }

    /// Where the hard links from `entry` on end: at an entry, at a path that this layer does not have, or (`None`) nowhere.
    pub(crate) fn hardlink_end<'t>(&'t self, entry: Entry<'t>) -> Option<Result<Entry<'t>, &'t str>> {
        let mut found = entry;
        for _ in 0..=MAX_LINKS {
            let target = found.link_target().filter(|_| found.kind() == EntryKind::Hardlink);
            let Some(target) = target else {
                let is_directory = found.kind() == EntryKind::Directory && entry.kind() == EntryKind::Hardlink;
                return (!is_directory).then_some(Ok(found));
            };
            match self.get(target) {
                Some(next) => found = next,
                None => return Some(Err(target)),
            }
        }
        None
    }

    pub(crate) fn text(&self, text: Text) -> &str {
        &self.texts[text.range()]
    }

    pub(crate) fn digest(&self, index: DigestIndex) -> Option<Digest> {
        index.get().map(|index| self.digests[index])
    }

    pub(crate) fn xattrs(&self, index: XattrIndex) -> &[(Box<str>, Box<[u8]>)] {
        index.get().map_or(&[], |index| &self.xattrs[index])
    }

    pub(crate) fn chunks(&self, record: &Record) -> &[ChunkRecord] {
        if record.kind != EntryKind::File {
            return &[];
        }
        let first = record.first as usize;
        &self.chunks[first..first + record.count as usize]
    }
}

/// Sizes only: a table may have a million entries.
impl fmt::Debug for Toc {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Toc").field("entries", &self.records.len()).finish_non_exhaustive()
    }
}

fn broken(link: Entry<'_>, target: &str) -> Error {
    Error::BrokenHardlink { path: quoted(link.path()), target: quoted(target) }
}
