//! One entry of a table of contents, as a view into the packed table.
//!
//! Must not know how the table is stored beyond asking it. Invariant: every value was checked when the table was read.

use std::fmt;

use oci::Digest;

use crate::toc::{Record, Toc, Whiteout};

/// The place of an entry in its [`Toc`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(pub(crate) u32);

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link; [`Entry::link_target`] is its text.
    Symlink,
    /// Another name for a file; [`Entry::link_target`] is that file's path, normalised.
    Hardlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
}

impl EntryKind {
    /// The name in a table of contents: `dir`, `reg`, `symlink`, `hardlink`, `char`, `block`, `fifo`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Directory => "dir",
            Self::File => "reg",
            Self::Symlink => "symlink",
            Self::Hardlink => "hardlink",
            Self::CharDevice => "char",
            Self::BlockDevice => "block",
            Self::Fifo => "fifo",
        }
    }
}

/// A point in time, as seconds since 1970 (negative before) and nanoseconds after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Whole seconds since 1970-01-01T00:00:00Z, rounded down.
    pub seconds: i64,
    /// Nanoseconds after `seconds`; below a billion.
    pub nanoseconds: u32,
}

/// The number of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DeviceNumber {
    /// The driver.
    pub major: u32,
    /// The device among the driver's.
    pub minor: u32,
}

/// A file, directory, link or device of one layer.
#[derive(Clone, Copy)]
pub struct Entry<'t> {
    toc: &'t Toc,
    id: EntryId,
    record: &'t Record,
}

impl<'t> Entry<'t> {
    pub(crate) fn new(toc: &'t Toc, id: EntryId, record: &'t Record) -> Self {
        Self { toc, id, record }
    }

    /// Its place in the table.
    pub fn id(&self) -> EntryId {
        self.id
    }

    /// Its path: components with `/` between them, none of them empty, `.` or `..`; `""` is the root.
    pub fn path(&self) -> &'t str {
        self.toc.text(self.record.path)
    }

    /// The last component of its path; `""` for the root.
    pub fn name(&self) -> &'t str {
        let path = self.path();
        path.rsplit_once('/').map_or(path, |(_, name)| name)
    }

    /// What it is.
    pub fn kind(&self) -> EntryKind {
        self.record.kind
    }

    /// How many bytes of content; 0 for everything but files.
    pub fn size(&self) -> u64 {
        self.record.size
    }

    /// Permission bits with set-id and sticky bits: at most `0o7777`.
    pub fn mode(&self) -> u16 {
        self.record.mode
    }

    /// When it was changed, if stated.
    pub fn modified(&self) -> Option<Timestamp> {
        self.record.modified
    }

    /// The owner's number.
    pub fn uid(&self) -> u32 {
        self.record.uid
    }

    /// The group's number.
    pub fn gid(&self) -> u32 {
        self.record.gid
    }

    /// The owner's name; `""` when unknown. Tables state it once for each number, and it is carried forward here.
    pub fn user_name(&self) -> &'t str {
        self.toc.text(self.record.user)
    }

    /// The group's name; `""` when unknown.
    pub fn group_name(&self) -> &'t str {
        self.toc.text(self.record.group)
    }

    /// Where a link points: the text of a symbolic link as written, the normalised path of a hard link's target.
    pub fn link_target(&self) -> Option<&'t str> {
        matches!(self.kind(), EntryKind::Symlink | EntryKind::Hardlink).then(|| self.toc.text(self.record.link))
    }

    /// The number of a device.
    pub fn device(&self) -> Option<DeviceNumber> {
        matches!(self.kind(), EntryKind::CharDevice | EntryKind::BlockDevice)
            .then_some(DeviceNumber { major: self.record.first, minor: self.record.count })
    }

    /// The digest of the whole content, if stated.
    pub fn digest(&self) -> Option<Digest> {
        self.toc.digest(self.record.digest)
    }

    /// Extended attributes: names and values, in the order of their names.
    pub fn xattrs(&self) -> impl Iterator<Item = (&'t str, &'t [u8])> + use<'t> {
        self.toc.xattrs(self.record.xattrs).iter().map(|(name, value)| (&**name, &**value))
    }

    /// Whether the table does not list it: a directory that exists because something lies in it (mode 0755, owner 0).
    pub fn is_implied(&self) -> bool {
        self.record.implied
    }

    /// What this entry removes from the layers below, when it is a whiteout (image-spec "Whiteouts").
    pub fn whiteout(&self) -> Option<Whiteout<'t>> {
        Whiteout::read(self.path())
    }

    pub(crate) fn record(&self) -> &'t Record {
        self.record
    }
}

impl fmt::Debug for Entry<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Entry")
            .field("path", &self.path())
            .field("kind", &self.kind())
            .field("size", &self.size())
            .finish_non_exhaustive()
    }
}
