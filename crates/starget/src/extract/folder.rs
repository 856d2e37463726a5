//! The folder that is written into, and the way to any place below it.
//!
//! Every path is walked component by component from an open handle, each opened without following links and as a directory:
//! what `openat2` does with `RESOLVE_BENEATH` and `RESOLVE_NO_SYMLINKS`, on every kernel. Must not know images. Invariant: no
//! call here takes a path with a slash or `..` to the system, so none can lead out of the folder.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::error::StargetError;

/// Directories kept open: some for each worker, few for a process that may not have many.
const MOST_OPEN: usize = 8;

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The folder.
pub(crate) struct Folder {
    root: Arc<OwnedFd>,
    /// Whether it was made for this run.
    made: bool,
    /// The directories used last, the latest first: files come directory by directory, to each worker.
    last: Mutex<VecDeque<(String, Arc<OwnedFd>)>>,
}

/// A name in an open directory.
pub(crate) struct Place<'p> {
    pub(crate) directory: Arc<OwnedFd>,
    pub(crate) name: &'p str,
    path: &'p str,
}

impl Folder {
    /// Opens the folder, and makes it unless it is there.
    pub(crate) fn open(path: &Path) -> Result<Self, StargetError> {
        let failed = |source| StargetError::Io { doing: "open the folder", path: path.to_owned(), source };
        let made = !path.exists();
        if made {
            std::fs::DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(failed)?;
        }
        // Whoever names the folder may name it through links; below it none is followed.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| failed(error.into()))?;
        Ok(Self { root: Arc::new(root), made, last: Mutex::default() })
    }

    /// Whether it was made for this run.
    pub(crate) fn is_made(&self) -> bool {
        self.made
    }

    /// Takes the folder away again when it was made for this run and nothing is in it. Answers whether all is as it was before.
    pub(crate) fn unmake(&self, path: &Path) -> bool {
        !self.made || std::fs::remove_dir(path).is_ok()
    }

    /// The directory at a path; `""` is the folder. What is missing on the way is made.
    pub(crate) fn directory(&self, path: &str) -> Result<Arc<OwnedFd>, StargetError> {
        if path.is_empty() {
            return Ok(self.root.clone());
        }
        if let Some(known) = self.known(path) {
            return Ok(known);
        }
        // From the nearest one above that is open.
        let above = path.rmatch_indices('/').find_map(|(end, _)| Some((end + 1, self.known(&path[..end])?)));
        let (begin, mut directory) = above.unwrap_or_else(|| (0, self.root.clone()));
        for component in path[begin..].split('/') {
            directory = Arc::new(step(&directory, component, path)?);
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.push_front((path.to_owned(), directory.clone()));
        last.truncate(MOST_OPEN);
        Ok(directory)
    }

    fn known(&self, path: &str) -> Option<Arc<OwnedFd>> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.iter().find(|(known, _)| known == path).map(|(_, directory)| directory.clone())
    }

    /// The place of a path: the directory it is in, made when it is missing, and its name there.
    pub(crate) fn place<'p>(&self, path: &'p str) -> Result<Place<'p>, StargetError> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        if !is_name(name) {
            return Err(refused(path, "its name is none"));
        }
        Ok(Place { directory: self.directory(parent)?, name, path })
    }
}

impl Place<'_> {
    /// The place of another path in the same directory; none when it is in another.
    pub(crate) fn beside<'o>(&self, path: &'o str) -> Option<Place<'o>> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let own = self.path.rsplit_once('/').map_or("", |(parent, _)| parent);
        (parent == own && is_name(name)).then(|| Place { directory: self.directory.clone(), name, path })
    }
    /// What is there; links are not followed.
    pub(crate) fn kind(&self) -> Result<Option<FileType>, StargetError> {
        match rustix::fs::statat(&*self.directory, self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(failed("look at", self.path, error)),
        }
    }

    /// Makes room for something that is no directory: removes what is there, unless it is a directory.
    pub(crate) fn clear(&self) -> Result<(), StargetError> {
        match self.kind()? {
            None => Ok(()),
            Some(FileType::Directory) => Err(refused(self.path, "a directory is in the way")),
            Some(_) => match rustix::fs::unlinkat(&*self.directory, self.name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => Ok(()),
                Err(error) => Err(failed("remove", self.path, error)),
            },
        }
    }

    /// Removes what is there, if that is a file; what cannot be removed stays.
    pub(crate) fn discard(&self) {
        if let Err(error) = rustix::fs::unlinkat(&*self.directory, self.name, AtFlags::empty()) {
            tracing::info!(path = self.path, %error, "cannot be removed");
        }
    }

    /// A new file here, which replaces what was there.
    pub(crate) fn create(&self) -> Result<OwnedFd, StargetError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let create = || rustix::fs::openat(&*self.directory, self.name, flags, Mode::RUSR | Mode::WUSR);
        let created = match create() {
            Err(Errno::EXIST) => {
                self.clear()?;
                create()
            }
            other => other,
        };
        created.map_err(|error| failed("make", self.path, error))
    }

    /// The file that is here, if it is one and has no other name.
    pub(crate) fn reopen(&self) -> Result<Option<OwnedFd>, StargetError> {
        if self.kind()? != Some(FileType::RegularFile) {
            return Ok(None);
        }
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&*self.directory, self.name, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT | Errno::LOOP) => return Ok(None),
            Err(error) => return Err(failed("open", self.path, error)),
        };
        let stat = rustix::fs::fstat(&file).map_err(|error| failed("look at", self.path, error))?;
        let alone = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_nlink == 1;
        Ok(alone.then_some(file))
    }

    /// A file that is here, for reading; none when it is something else.
    pub(crate) fn read(&self) -> Option<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&*self.directory, self.name, flags, Mode::empty()).ok()?;
        let stat = rustix::fs::fstat(&file).ok()?;
        (FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile).then_some(file)
    }

    /// Gives what is at `from` the name `self`, in place of what had it.
    pub(crate) fn take(&self, from: &Place<'_>) -> Result<(), StargetError> {
        match rustix::fs::renameat(&*from.directory, from.name, &*self.directory, self.name) {
            Ok(()) => Ok(()),
            Err(Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST) => Err(refused(self.path, "a directory is in the way")),
            Err(error) => Err(failed("rename", self.path, error)),
        }
    }
}

/// One component down.
fn step(directory: &OwnedFd, component: &str, path: &str) -> Result<OwnedFd, StargetError> {
    if !is_name(component) {
        return Err(refused(path, "a part of its path is no name"));
    }
    let open = || rustix::fs::openat(directory.as_fd(), component, DIRECTORY, Mode::empty());
    let opened = match open() {
        Err(Errno::NOENT) => match rustix::fs::mkdirat(directory, component, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => open(),
            Err(error) => Err(error),
        },
        other => other,
    };
    opened.map_err(|error| match error {
        Errno::NOTDIR | Errno::LOOP => refused(path, &format!("'{component}' on the way is no directory")),
        error => failed("open the directory of", path, error),
    })
}

fn is_name(component: &str) -> bool {
    !matches!(component, "" | "." | "..") && !component.contains(['/', '\0'])
}

fn refused(path: &str, why: &str) -> StargetError {
    StargetError::InTheWay { path: path.to_owned(), why: why.to_owned() }
}

pub(super) fn failed(doing: &'static str, path: &str, error: Errno) -> StargetError {
    StargetError::Io { doing, path: path.into(), source: error.into() }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn nothing_is_made_outside_whatever_stands_in_the_folder() {
        let outer = tempfile::tempdir().unwrap();
        let (out, victim) = (outer.path().join("out"), outer.path().join("victim"));
        fs::create_dir(&victim).unwrap();
        let folder = Folder::open(&out).unwrap();
        symlink(&victim, out.join("pwn")).unwrap();
        symlink("../victim", out.join("relative")).unwrap();
        fs::create_dir(out.join("real")).unwrap();
        symlink(&victim, out.join("real/deep")).unwrap();
        for path in [
            "pwn/x",
            "relative/x",
            "real/deep/x",
            "../victim/x",
            "real/../../victim/x",
            "/etc/x",
            "..",
            "a//b",
            "real/\0",
        ] {
            let made = folder.place(path).and_then(|place| place.create());
            assert!(matches!(made, Err(StargetError::InTheWay { .. })), "{path:?}");
        }
        assert_eq!(fs::read_dir(&victim).unwrap().count(), 0);
        assert_eq!(fs::read_dir(outer.path()).unwrap().count(), 2);
    }

    #[test]
    fn links_at_the_end_are_replaced_and_not_written_through() {
        let outer = tempfile::tempdir().unwrap();
        let victim = outer.path().join("victim");
        fs::write(&victim, "kept").unwrap();
        let folder = Folder::open(&outer.path().join("out")).unwrap();
        symlink(&victim, outer.path().join("out/file")).unwrap();
        fs::hard_link(&victim, outer.path().join("out/hard")).unwrap();
        assert!(folder.place("file").unwrap().reopen().unwrap().is_none(), "a link");
        assert!(folder.place("hard").unwrap().reopen().unwrap().is_none(), "it has another name");
        for name in ["file", "hard"] {
            let file = folder.place(name).unwrap().create().unwrap();
            rustix::io::write(&file, b"new").unwrap();
        }
        assert_eq!(fs::read_to_string(&victim).unwrap(), "kept");
        assert_eq!(fs::read_to_string(outer.path().join("out/file")).unwrap(), "new");
    }

    #[test]
    fn directories_are_made_on_the_way_and_never_replaced() {
        let outer = tempfile::tempdir().unwrap();
        let folder = Folder::open(outer.path()).unwrap();
        assert!(!folder.is_made());
        folder.place("a/b/c").unwrap().create().unwrap();
        assert!(outer.path().join("a/b/c").is_file());
        assert!(matches!(folder.place("a/b").unwrap().create(), Err(StargetError::InTheWay { .. })));
        assert!(matches!(folder.place("a/b/c/d"), Err(StargetError::InTheWay { .. })), "a file on the way");
    }
}
