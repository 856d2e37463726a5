//! What can go wrong with stored bytes: one variant per thing a caller can do about it.

use std::io;
use std::path::{Path, PathBuf};

use oci::Digest;
use rustix::io::Errno;

/// Why a store or the staging area could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk, quota or file size limit is exhausted. Nothing of the refused blob is left; reads go on.
    #[error("no space left: {op} {}", path.display())]
    NoSpace {
        /// The file that could not grow.
        path: PathBuf,
        /// What was tried.
        op: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// The bytes are not those of the digest. Nothing was stored.
    #[error("the bytes have digest {actual}, expected {expected}")]
    DigestMismatch {
        /// What the caller asked to store.
        expected: Box<Digest>,
        /// What the bytes are.
        actual: Box<Digest>,
    },
    /// A staged blob was to be published before all of its bytes were there. It stays staged.
    #[error("staged blob {digest} has {present} bytes of {}", size.map_or_else(|| "an unknown size".to_owned(), |size| size.to_string()))]
    Incomplete {
        /// The staged blob.
        digest: Digest,
        /// Bytes present, or the length of its file where that is what disagrees.
        present: u64,
        /// The size it should have, where known.
        size: Option<u64>,
    },
    /// A staged blob was discarded, or published and deleted since: its bytes are gone.
    #[error("staged blob {digest} is gone")]
    Gone {
        /// The staged blob.
        digest: Digest,
    },
    /// Something that is not a plain file stands where a blob belongs.
    #[error("not a plain file: {}", path.display())]
    NotAFile {
        /// Where.
        path: PathBuf,
    },
    /// The system refused an operation.
    #[error("cannot {op} {}", path.display())]
    Io {
        /// On what.
        path: PathBuf,
        /// What was tried.
        op: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// The runtime is shutting down, or the operation panicked: whether it took effect is unknown.
    #[error("the storage operation did not finish")]
    Unfinished {
        /// The runtime's error.
        source: tokio::task::JoinError,
    },
}

impl StoreError {
    pub(crate) fn mismatch(expected: Digest, actual: Digest) -> Self {
        Self::DigestMismatch { expected: Box::new(expected), actual: Box::new(actual) }
    }

    /// Adds to a system error what was tried and where.
    pub(crate) fn io(op: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        if is_no_space(&source) { Self::NoSpace { path, op, source } } else { Self::Io { path, op, source } }
    }
}

/// Whether an error says that the disk, the quota or the file size limit is exhausted.
pub fn is_no_space(error: &io::Error) -> bool {
    let Some(errno) = Errno::from_io_error(error) else {
        return matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        );
    };
    errno == Errno::NOSPC || errno == Errno::DQUOT || errno == Errno::FBIG
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_a_spent_quota_and_a_file_limit_are_no_space_and_nothing_else_is() {
        for errno in [Errno::NOSPC, Errno::DQUOT, Errno::FBIG] {
            assert!(is_no_space(&errno.into()), "{errno}");
            let error = StoreError::io("write", Path::new("blob"), errno.into());
            assert!(matches!(error, StoreError::NoSpace { .. }), "{error}");
        }
        for errno in [Errno::IO, Errno::ROFS, Errno::MFILE, Errno::NOENT, Errno::ACCESS] {
            assert!(!is_no_space(&errno.into()), "{errno}");
            let error = StoreError::io("write", Path::new("blob"), errno.into());
            assert!(matches!(error, StoreError::Io { .. }), "{error}");
        }
        assert!(is_no_space(&io::Error::new(io::ErrorKind::StorageFull, "of our own making")));
    }
}
