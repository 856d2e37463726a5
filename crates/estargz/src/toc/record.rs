//! How entries, chunks and text are packed: a table of 50,000 entries takes a few megabytes.
//!
//! Must not know what entries mean. Invariant: indexes of 32 bits suffice, because a table has at most a million entries and
//! 150 MiB of text.

use std::num::NonZeroU32;
use std::ops::Range;

use crate::entry::{EntryKind, Timestamp};

/// A span of the table's text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) start: u32,
    pub(crate) len: u32,
}

impl Text {
    pub(crate) fn range(self) -> Range<usize> {
        let start = self.start as usize;
        start..start + self.len as usize
    }
}

/// An index that may be absent, in four bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OptionalIndex(Option<NonZeroU32>);

impl OptionalIndex {
    pub(crate) const NONE: Self = Self(None);

    pub(crate) fn new(index: usize) -> Self {
        Self(u32::try_from(index).ok().and_then(|index| index.checked_add(1)).and_then(NonZeroU32::new))
    }

    pub(crate) fn get(self) -> Option<usize> {
        self.0.map(|index| index.get() as usize - 1)
    }
}

/// A place in the list of digests.
pub(crate) type DigestIndex = OptionalIndex;
/// A place in the list of extended attributes.
pub(crate) type XattrIndex = OptionalIndex;

/// One entry.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) path: Text,
    pub(crate) link: Text,
    pub(crate) user: Text,
    pub(crate) group: Text,
    pub(crate) size: u64,
    pub(crate) modified: Option<Timestamp>,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) digest: DigestIndex,
    pub(crate) xattrs: XattrIndex,
    /// Of a file: its first chunk. Of a device: the major number.
    pub(crate) first: u32,
    /// Of a file: how many chunks. Of a device: the minor number.
    pub(crate) count: u32,
    pub(crate) mode: u16,
    pub(crate) kind: EntryKind,
    pub(crate) implied: bool,
}

impl Record {
    /// A directory that is there because something lies in it.
    pub(crate) fn implied_directory(path: Text) -> Self {
        Self {
            path,
            link: Text::default(),
            user: Text::default(),
            group: Text::default(),
            size: 0,
            modified: None,
            uid: 0,
            gid: 0,
            digest: DigestIndex::NONE,
            xattrs: XattrIndex::NONE,
            first: 0,
            count: 0,
            mode: 0o755,
            kind: EntryKind::Directory,
            implied: true,
        }
    }
}

/// One chunk of a file.
#[derive(Clone, Debug)]
pub(crate) struct ChunkRecord {
    /// Where its member begins in the blob.
    pub(crate) offset: u64,
    /// Where its member ends at the latest; equal to `offset` for a hole.
    pub(crate) end: u64,
    /// Where the payload begins in the decompressed member.
    pub(crate) inner_offset: u64,
    /// Where it begins in the file.
    pub(crate) file_offset: u64,
    pub(crate) size: u64,
    pub(crate) digest: DigestIndex,
    pub(crate) is_hole: bool,
}
