//! Modes, owners, times and extended attributes, as far as they are wanted.
//!
//! Must not know paths. Invariants: set-id bits, capabilities and owners are given only when that was asked for; an attribute
//! that the file system refuses is left out and logged, for a file without it is better than none.

use std::os::fd::{AsFd, BorrowedFd};

use estargz::{Entry, Timestamp};
use rustix::fs::{AtFlags, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};

/// What is kept besides permissions and times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Preserve {
    /// Owner and group, by number.
    pub(crate) owner: bool,
    /// The set-user-id and set-group-id bits of files, and capabilities.
    pub(crate) set_id: bool,
    /// Character and block devices.
    pub(crate) devices: bool,
}

/// The attributes of one file, directory or link.
#[derive(Clone, Debug)]
pub(crate) struct Attributes {
    mode: u16,
    uid: u32,
    gid: u32,
    modified: Option<Timestamp>,
    xattrs: Vec<(String, Vec<u8>)>,
}

impl Attributes {
    /// As the image has them.
    pub(crate) fn of(entry: Entry<'_>) -> Self {
        Self {
            mode: entry.mode(),
            uid: entry.uid(),
            gid: entry.gid(),
            modified: entry.modified(),
            xattrs: entry.xattrs().map(|(name, value)| (name.to_owned(), value.to_vec())).collect(),
        }
    }

    /// Gives them to an open file or directory.
    pub(crate) fn apply(&self, file: BorrowedFd<'_>, preserve: Preserve) -> rustix::io::Result<()> {
        if preserve.owner {
            // Before the mode, because a change of owner takes set-id bits away.
            rustix::fs::fchown(file, Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)))?;
        }
        for (name, value) in self.xattrs.iter().filter(|(name, _)| is_allowed(name, preserve)) {
            if let Err(error) = rustix::fs::fsetxattr(file, name.as_str(), value, XattrFlags::empty()) {
                tracing::info!(name, %error, "the file system does not take the attribute");
            }
        }
        rustix::fs::fchmod(file, self.mode(preserve))?;
        rustix::fs::futimens(file, &self.times())
    }

    /// Gives a link its time and owner.
    pub(crate) fn apply_to_link(
        &self,
        directory: &impl AsFd,
        name: &str,
        preserve: Preserve,
    ) -> rustix::io::Result<()> {
        if preserve.owner {
            let (uid, gid) = (Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)));
            rustix::fs::chownat(directory, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        rustix::fs::utimensat(directory, name, &self.times(), AtFlags::SYMLINK_NOFOLLOW)
    }

    /// The permissions that are given.
    pub(crate) fn mode(&self, preserve: Preserve) -> Mode {
        let mask = if preserve.set_id { 0o7777 } else { 0o1777 };
        Mode::from_raw_mode(u32::from(self.mode & mask))
    }

    /// A time that the image does not state is that of 1970, as tar has it.
    fn times(&self) -> Timestamps {
        let Timestamp { seconds, nanoseconds } = self.modified.unwrap_or(Timestamp { seconds: 0, nanoseconds: 0 });
        let time = Timespec { tv_sec: seconds, tv_nsec: i64::from(nanoseconds) };
        Timestamps { last_access: time, last_modification: time }
    }
}

fn is_allowed(name: &str, preserve: Preserve) -> bool {
    name.starts_with("user.") || (preserve.set_id && name == "security.capability")
}
