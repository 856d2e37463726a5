//! Why images in files cannot be read or written.
//!
//! Must not know exit codes. Invariant: every message names the file, or the digest, that is wrong.

use std::io;
use std::path::{Path, PathBuf};

use oci::Digest;

/// Why images in files cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The file system says no.
    #[error("{}: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
    /// It is no layout and no archive.
    #[error("{}: {what}", path.display())]
    NotImages {
        /// What was looked at.
        path: PathBuf,
        /// What is missing.
        what: String,
    },
    /// It is one, and something in it is wrong.
    #[error("{}: {what}", path.display())]
    Broken {
        /// Where.
        path: PathBuf,
        /// What.
        what: String,
    },
    /// It refers to content that it does not have.
    #[error("{}: the content {digest} is missing", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
        /// Which.
        digest: Box<Digest>,
    },
    /// Bytes are not those of their digest.
    #[error("{}: the bytes hash to {actual}, not to {expected}", path.display())]
    Mismatch {
        /// Where.
        path: PathBuf,
        /// What they should be.
        expected: Box<Digest>,
        /// What they are.
        actual: Box<Digest>,
    },
    /// Bytes are fewer or more than their descriptor says.
    #[error("{}: {digest} has {actual} bytes, not {expected}", path.display())]
    WrongSize {
        /// Where.
        path: PathBuf,
        /// Of which content.
        digest: Box<Digest>,
        /// As the descriptor says.
        expected: u64,
        /// As it is.
        actual: u64,
    },
    /// Somebody else writes there.
    #[error("{}: another process writes to this layout; wait for it to end", path.display())]
    Busy {
        /// The layout.
        path: PathBuf,
    },
}

impl ArchiveError {
    /// Whether content is not what its digest or descriptor says.
    pub fn is_wrong_content(&self) -> bool {
        match self {
            Self::Mismatch { .. } | Self::WrongSize { .. } => true,
            Self::Io { .. }
            | Self::NotImages { .. }
            | Self::Broken { .. }
            | Self::Missing { .. }
            | Self::Busy { .. } => false,
        }
    }

    /// Whether something that was asked for is not there.
    pub fn is_missing(&self) -> bool {
        match self {
            Self::Missing { .. } | Self::NotImages { .. } => true,
            Self::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
            Self::Broken { .. } | Self::Mismatch { .. } | Self::WrongSize { .. } | Self::Busy { .. } => false,
        }
    }

    pub(crate) fn io(path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { path, source }
    }

    pub(crate) fn broken(path: &Path, what: impl Into<String>) -> Self {
        Self::Broken { path: path.to_owned(), what: what.into() }
    }
}
