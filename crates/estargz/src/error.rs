//! The errors of this crate: one enum, a variant for each thing a caller can do something about.
//!
//! Must not know how errors are shown. Invariant: text from a layer is escaped and shortened before it is quoted.

use oci::Digest;

use crate::fault::EntryFault;
use crate::format::NotLazy;
use crate::verification::VerificationError;

/// Why a layer, a file or a path could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An annotation of the layer in the manifest is malformed or contradicts another.
    #[error("annotation {key} of the layer: {reason}")]
    Annotation {
        /// The annotation's key.
        key: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The layer's files cannot be read one by one.
    #[error("the layer {layer} is not lazily readable: {reason}")]
    NotLazy {
        /// The layer.
        layer: Digest,
        /// Why.
        reason: NotLazy,
    },
    /// The footer is one of a known format, but what it says cannot be.
    #[error("the footer of the layer is invalid: {reason}")]
    Footer {
        /// What cannot be.
        reason: &'static str,
    },
    /// The caller gave other bytes than those asked for.
    #[error("expected {expected} bytes of the blob, got {found}")]
    WrongLength {
        /// How many bytes were asked for.
        expected: u64,
        /// How many came.
        found: u64,
    },
    /// The table of contents is larger than we accept.
    #[error("the table of contents has {what} beyond the limit of {limit}")]
    TocLimit {
        /// What is beyond the limit, with its unit.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// The table of contents cannot be decompressed, is not in its tar frame, or is not the JSON it should be.
    #[error("the table of contents is malformed: {reason}")]
    TocMalformed {
        /// What is wrong, shortened.
        reason: String,
    },
    /// An entry of the table of contents is refused.
    #[error("entry{} \"{name}\" of the table of contents is refused: {fault}", numbered(*.index))]
    Entry {
        /// The position in the list of entries, from 0; `None` when the fault shows only beside other entries.
        index: Option<usize>,
        /// The name as written, escaped and shortened.
        name: String,
        /// What is wrong with it.
        fault: EntryFault,
    },
    /// Bytes are not what was promised.
    #[error(transparent)]
    Verification(Box<VerificationError>),
    /// The manifest states no digest for the table of contents, and the caller requires one.
    #[error("the manifest states no digest for the table of contents of layer {layer}: its content cannot be verified")]
    NoTocDigest {
        /// The layer.
        layer: Digest,
    },
    /// The table of contents states no digest for a file, and the caller requires one.
    #[error("{path}: the table of contents states no digest, so the file cannot be verified")]
    Unverifiable {
        /// The file, escaped.
        path: String,
    },
    /// The bytes of a chunk cannot be turned into its payload.
    #[error("{path}: the chunk at byte {offset} cannot be decoded: {reason}")]
    Chunk {
        /// The file, escaped.
        path: String,
        /// Where the chunk begins in the file.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// A raw table of contents kept from earlier is damaged, or of another blob.
    #[error("the kept table of contents cannot be used: {reason}")]
    RawToc {
        /// What is wrong.
        reason: &'static str,
    },
    /// Nothing has this path.
    #[error("{path}: no such file or directory in the image")]
    NotFound {
        /// The path asked for, escaped.
        path: String,
    },
    /// The path goes on below something that is not a directory.
    #[error("{path}: not a directory")]
    NotADirectory {
        /// The path of what is not a directory, escaped.
        path: String,
    },
    /// The entry has no content to read.
    #[error("{path}: not a regular file")]
    NotAFile {
        /// The path, escaped.
        path: String,
    },
    /// More than [`crate::limits::MAX_LINKS`] symbolic links on the way.
    #[error("{path}: too many levels of symbolic links")]
    SymlinkLoop {
        /// The path asked for, escaped.
        path: String,
    },
    /// A hard link whose target is missing, not a file, or itself.
    #[error("{path}: the hard link to \"{target}\" leads nowhere")]
    BrokenHardlink {
        /// The link, escaped.
        path: String,
        /// Its target, escaped.
        target: String,
    },
    /// The tar given to [`crate::OpenLayer::index_tar`] is malformed.
    #[error("the tar is malformed: {reason}")]
    Tar {
        /// What is wrong, shortened.
        reason: String,
    },
    /// More layers than an image may have.
    #[error("the image has more than {limit} layers")]
    TooManyLayers {
        /// The limit.
        limit: usize,
    },
    /// Reading from the source or writing to the caller's sink failed.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

impl From<VerificationError> for Error {
    fn from(error: VerificationError) -> Self {
        Self::Verification(Box::new(error))
    }
}

fn numbered(index: Option<usize>) -> String {
    index.map(|index| format!(" {index},")).unwrap_or_default()
}

/// Quotes text from a layer: escaped, so that it cannot forge lines or colours, and short.
pub(crate) fn quoted(text: &str) -> String {
    const SHOWN: usize = 200;
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}
