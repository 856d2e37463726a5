//! A layout that grows in a folder.
//!
//! Must not know what is put in. Invariants: one process writes at a time; a file under `blobs/` is whole, verified and on
//! disk, so that a run after a crash may trust it; the index is replaced in one step, and last.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use oci::{Descriptor, Digest};
use rustix::fs::{FlockOperation, flock};

use super::partial::Partial;
use crate::error::ArchiveError;
use crate::index::{self, Entry};
use crate::{INDEX, LAYOUT, blob_name};

/// The folder of blobs that are not whole yet.
const PARTIAL: &str = ".partial";

/// A layout open for writing.
#[derive(Debug)]
pub struct LayoutWriter {
    folder: PathBuf,
    /// Holds the lock; the end of the process releases it, however it ends.
    _lock: File,
}

impl LayoutWriter {
    /// Opens the layout in `folder`, or begins one in a folder that is not there or empty.
    pub fn open(folder: &Path) -> Result<Self, ArchiveError> {
        fs::create_dir_all(folder).map_err(ArchiveError::io(folder))?;
        let lock = File::open(folder).map_err(ArchiveError::io(folder))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(ArchiveError::Busy { path: folder.to_owned() }),
            Err(error) => return Err(ArchiveError::io(folder)(error.into())),
        }
        let writer = Self { folder: folder.to_owned(), _lock: lock };
        if !folder.join(LAYOUT).exists() {
            // A run that was stopped right at its beginning left this one.
            let left = format!(".{LAYOUT}.new");
            let mut found = folder.read_dir().map_err(ArchiveError::io(folder))?.flatten();
            if found.any(|found| found.file_name() != left.as_str()) {
                let what = "the folder is neither empty nor an OCI image layout".to_owned();
                return Err(ArchiveError::NotImages { path: folder.to_owned(), what });
            }
            writer.replace(LAYOUT, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        }
        Ok(writer)
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether a blob is there, whole.
    pub fn has(&self, descriptor: &Descriptor) -> bool {
        let file = self.folder.join(blob_name(&descriptor.digest));
        file.symlink_metadata().is_ok_and(|found| found.is_file() && found.len() == descriptor.size)
    }

    /// Goes on with a blob, where an earlier run left it.
    pub fn partial(&self, digest: &Digest) -> Result<Partial, ArchiveError> {
        let folder = self.made(PARTIAL)?;
        let target = self.folder.join(blob_name(digest));
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(ArchiveError::io(parent))?;
        }
        Partial::open(folder.join(format!("{}-{}", digest.algorithm(), digest.hex())), target, *digest)
    }

    /// Puts a manifest in.
    pub fn put_manifest(&self, digest: &Digest, bytes: &[u8]) -> Result<(), ArchiveError> {
        let mut partial = self.partial(digest)?;
        partial.restart()?;
        partial.write(bytes)?;
        partial.finish(bytes.len() as u64)
    }

    /// The images it has so far.
    pub fn entries(&self) -> Result<Vec<Entry>, ArchiveError> {
        let file = self.folder.join(INDEX);
        match fs::read(&file) {
            Ok(bytes) => index::read(&file, &bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(ArchiveError::io(&file)(error)),
        }
    }

    /// Replaces the list of images, and ends the layout: what was partial goes.
    pub fn finish(&self, entries: &[Entry]) -> Result<(), ArchiveError> {
        self.replace(INDEX, &index::write(entries))?;
        let partial = self.folder.join(PARTIAL);
        match fs::remove_dir_all(&partial) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(ArchiveError::io(&partial)(error)),
        }
    }

    fn made(&self, name: &str) -> Result<PathBuf, ArchiveError> {
        let folder = self.folder.join(name);
        fs::create_dir_all(&folder).map_err(ArchiveError::io(&folder))?;
        Ok(folder)
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), ArchiveError> {
        let (file, new) = (self.folder.join(name), self.folder.join(format!(".{name}.new")));
        let write = || {
            let mut out = File::create(&new)?;
            out.write_all(bytes)?;
            out.sync_all()?;
            fs::rename(&new, &file)?;
            File::open(&self.folder)?.sync_all()
        };
        write().map_err(ArchiveError::io(&file))
    }
}
