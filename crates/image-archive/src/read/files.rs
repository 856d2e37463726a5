//! A folder or a tar file as named files.
//!
//! Must not know what the files are. Invariant: of a folder only regular files below it are taken, whatever links say.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use super::{Members, tar_index};
use crate::error::ArchiveError;

/// Bytes inside a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// Where they begin.
    pub offset: u64,
    /// How many there are.
    pub size: u64,
}

impl Place {
    /// The bytes, from the first.
    pub fn open(&self) -> io::Result<impl Read + use<>> {
        let mut file = File::open(&self.file)?;
        file.seek(SeekFrom::Start(self.offset))?;
        Ok(file.take(self.size))
    }
}

/// Where the files are.
#[derive(Debug)]
pub(super) enum Files {
    Folder(PathBuf),
    Tar(PathBuf, Members),
}

impl Files {
    pub(super) fn open(path: &Path) -> Result<Self, ArchiveError> {
        let found = path.metadata().map_err(ArchiveError::io(path))?;
        if found.is_dir() {
            return Ok(Self::Folder(path.to_owned()));
        }
        Ok(Self::Tar(path.to_owned(), tar_index::members(path)?))
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Folder(path) | Self::Tar(path, _) => path,
        }
    }

    /// The file of this name. `name` is made of a digest, is a constant, or was taken from the archive's own list.
    pub(super) fn find(&self, name: &str) -> Result<Option<Place>, ArchiveError> {
        match self {
            Self::Tar(path, members) => {
                Ok(members.get(name).map(|&(offset, size)| Place { file: path.clone(), offset, size }))
            }
            Self::Folder(folder) => {
                if !tar_index::is_inside(name) {
                    return Ok(None);
                }
                below(folder, name)
            }
        }
    }
}

/// A regular file below a folder; on the way to it no link is followed either.
fn below(folder: &Path, name: &str) -> Result<Option<Place>, ArchiveError> {
    let mut file = folder.to_owned();
    let mut parts = name.split('/').peekable();
    while let Some(part) = parts.next() {
        file.push(part);
        let found = match file.symlink_metadata() {
            Ok(found) => found,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(ArchiveError::io(&file)(error)),
        };
        match parts.peek() {
            None if found.is_file() => return Ok(Some(Place { file, offset: 0, size: found.len() })),
            None => return Err(ArchiveError::broken(&file, "it is not a regular file")),
            Some(_) if found.is_symlink() => return Err(ArchiveError::broken(&file, "it is a link, and no folder")),
            Some(_) => {}
        }
    }
    Ok(None)
}
