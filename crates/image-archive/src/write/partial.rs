//! A blob that is still coming.
//!
//! Must not know from where. Invariants: every byte in the file went through the hash, those of an earlier run too; the
//! final name is given after the digest was found right and the bytes are on disk.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;

use oci::{Digest, Digester};

use crate::error::ArchiveError;

const PIECE: usize = 256 * 1024;

/// A blob that is still coming.
#[derive(Debug)]
pub struct Partial {
    file: File,
    path: PathBuf,
    target: PathBuf,
    digest: Digest,
    digester: Digester,
    len: u64,
}

impl Partial {
    pub(super) fn open(path: PathBuf, target: PathBuf, digest: Digest) -> Result<Self, ArchiveError> {
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = open.map_err(ArchiveError::io(&path))?;
        let (mut digester, mut len, mut piece) = (Digester::new(digest.algorithm()), 0, vec![0; PIECE]);
        loop {
            match file.read(&mut piece).map_err(ArchiveError::io(&path))? {
                0 => break,
                count => {
                    digester.update(&piece[..count]);
                    len += count as u64;
                }
            }
        }
        Ok(Self { file, path, target, digest, digester, len })
    }

    /// How many bytes are here.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether none is here yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Forgets the bytes that are here.
    pub fn restart(&mut self) -> Result<(), ArchiveError> {
        let cut = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        cut.map_err(ArchiveError::io(&self.path))?;
        (self.digester, self.len) = (Digester::new(self.digest.algorithm()), 0);
        Ok(())
    }

    /// Adds the bytes that follow.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.file.write_all(bytes).map_err(ArchiveError::io(&self.path))?;
        self.digester.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Gives the blob its name. When it is not the blob, nothing of it stays.
    pub fn finish(self, size: u64) -> Result<(), ArchiveError> {
        let Self { file, path, target, digest, digester, len } = self;
        let actual = digester.finish();
        if len != size || actual != digest {
            fs::remove_file(&path).map_err(ArchiveError::io(&path))?;
            let (expected, digest) = (Box::new(digest), Box::new(digest));
            return Err(if len == size {
                ArchiveError::Mismatch { path: target, expected, actual: Box::new(actual) }
            } else {
                ArchiveError::WrongSize { path: target, digest, expected: size, actual: len }
            });
        }
        let publish = || {
            file.sync_all()?;
            fs::rename(&path, &target)?;
            target.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
        };
        publish().map_err(ArchiveError::io(&target))
    }
}
