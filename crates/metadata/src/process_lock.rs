//! The lock that keeps a second process away from a cache directory.
//!
//! Must not know the database. Invariant: the lock ends with the process, however it ends, so nothing is left to clean
//! up by hand. The lock file itself stays: removing it would let two processes lock two files of one name.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use crate::error::MetadataError;

/// A held lock on `<database>.lock`.
#[derive(Debug)]
pub(crate) struct ProcessLock {
    /// Open for as long as the lock is held: closing the file gives it up.
    _file: File,
}

impl ProcessLock {
    /// Takes the lock for the database at `path`, or says that another process has it. Does not wait.
    pub(crate) fn acquire(database: &Path) -> Result<Self, MetadataError> {
        let path = lock_path(database);
        let io = |op| {
            let path = path.clone();
            move |source| MetadataError::Io { path, op, source }
        };
        let file =
            File::options().create(true).truncate(false).write(true).open(&path).map_err(io("open the lock file"))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(MetadataError::InUse { path: database.to_owned() }),
            Err(TryLockError::Error(source)) => Err(io("lock")(source)),
        }
    }
}

fn lock_path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}
