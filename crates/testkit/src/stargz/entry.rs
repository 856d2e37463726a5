//! The entries that a test wants in a layer.
//!
//! Must not know formats. Invariant: names fit a tar header (100 bytes); longer ones are for the table alone, by its hook.

use tar::EntryType;

/// One entry of a layer.
#[derive(Clone, Debug)]
pub struct TarEntry {
    pub(super) name: String,
    pub(super) kind: EntryType,
    pub(super) content: Vec<u8>,
    pub(super) link: String,
    pub(super) mode: u32,
    pub(super) owner: (u64, u64),
    pub(super) names: (String, String),
    pub(super) seconds: u64,
    pub(super) xattrs: Vec<(String, Vec<u8>)>,
}

impl TarEntry {
    fn new(name: &str, kind: EntryType, mode: u32) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            content: Vec::new(),
            link: String::new(),
            mode,
            owner: (0, 0),
            names: (String::new(), String::new()),
            seconds: 1_700_000_000,
            xattrs: Vec::new(),
        }
    }

    /// A regular file.
    pub fn file(name: &str, content: impl AsRef<[u8]>) -> Self {
        Self { content: content.as_ref().to_vec(), ..Self::new(name, EntryType::Regular, 0o644) }
    }

    /// A directory.
    pub fn directory(name: &str) -> Self {
        Self::new(name, EntryType::Directory, 0o755)
    }

    /// A symbolic link.
    pub fn symlink(name: &str, target: &str) -> Self {
        Self { link: target.to_owned(), ..Self::new(name, EntryType::Symlink, 0o777) }
    }

    /// A hard link.
    pub fn hardlink(name: &str, target: &str) -> Self {
        Self { link: target.to_owned(), ..Self::new(name, EntryType::Link, 0o644) }
    }

    /// A character device with the number 1:3.
    pub fn char_device(name: &str) -> Self {
        Self::new(name, EntryType::Char, 0o666)
    }

    /// A named pipe.
    pub fn fifo(name: &str) -> Self {
        Self::new(name, EntryType::Fifo, 0o600)
    }

    /// With these permission bits.
    #[must_use]
    pub fn mode(self, mode: u32) -> Self {
        Self { mode, ..self }
    }

    /// With this owner and group, by number and name.
    #[must_use]
    pub fn owner(self, uid: u64, gid: u64, user: &str, group: &str) -> Self {
        Self { owner: (uid, gid), names: (user.to_owned(), group.to_owned()), ..self }
    }

    /// Changed at this second.
    #[must_use]
    pub fn modified(self, seconds: u64) -> Self {
        Self { seconds, ..self }
    }

    /// With one more extended attribute (only in the table).
    #[must_use]
    pub fn xattr(mut self, name: &str, value: &[u8]) -> Self {
        self.xattrs.push((name.to_owned(), value.to_vec()));
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn header(&self) -> Vec<u8> {
        let mut header = tar::Header::new_ustar();
        let name = self.name.as_bytes();
        // As it is: `set_path` would tidy it up.
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        if !self.link.is_empty() {
            header.set_link_name_literal(&self.link).unwrap_or_else(|error| panic!("{}: {error}", self.link));
        }
        header.set_entry_type(self.kind);
        header.set_mode(self.mode);
        header.set_uid(self.owner.0);
        header.set_gid(self.owner.1);
        header.set_username(&self.names.0).expect("a short name");
        header.set_groupname(&self.names.1).expect("a short name");
        header.set_mtime(self.seconds);
        header.set_size(self.content.len() as u64);
        if self.kind == EntryType::Char {
            header.set_device_major(1).expect("a ustar header");
            header.set_device_minor(3).expect("a ustar header");
        }
        header.set_cksum();
        header.as_bytes().to_vec()
    }
}
