//! Files that only their owner can read, complete or not there.
//!
//! Must not know what is inside. Invariant: a crash at any point leaves the former file or the new one, where the file system
//! can rename and link.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::error::StargetError;

/// Writes the text beside its place, then renames it there. A symbolic link stays one: what it leads to is replaced.
pub(crate) fn publish(path: &Path, text: &str) -> Result<(), StargetError> {
    let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    make_folder(&real)?;
    let beside = beside(&real);
    let written = write(&beside, text)
        .and_then(|()| std::fs::rename(&beside, &real))
        .and_then(|()| folder(&real).map_or(Ok(()), |folder| File::open(folder)?.sync_all()));
    written.map_err(|source| {
        // What is left of the attempt is of no use; that it cannot be removed changes nothing.
        let _ = std::fs::remove_file(&beside);
        StargetError::Io { doing: "write", path: real, source }
    })
}

/// Makes the file unless it is there; then it is left as it is, and the answer is false.
pub(super) fn create(path: &Path, text: &str) -> Result<bool, StargetError> {
    make_folder(path)?;
    let beside = beside(path);
    let made = write(&beside, text).and_then(|()| match std::fs::hard_link(&beside, path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => write_new(path, text),
        linked => linked,
    });
    // A second name of the file, or a half of it.
    let _ = std::fs::remove_file(&beside);
    match made {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(source) => Err(StargetError::Io { doing: "write", path: path.to_owned(), source }),
    }
}

/// Whether others than its owner can read the file.
pub(super) fn is_shared(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// For file systems without hard links: there a crash may leave half of the file.
fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}", std::process::id()))
}

fn folder(path: &Path) -> Option<&Path> {
    path.parent().filter(|folder| !folder.as_os_str().is_empty())
}

fn make_folder(path: &Path) -> Result<(), StargetError> {
    let Some(folder) = folder(path) else { return Ok(()) };
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|source| StargetError::Io { doing: "make the folder", path: folder.to_owned(), source })
}
