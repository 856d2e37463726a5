//! The chain of trust: manifest → digest of the TOC → digest of each chunk → digest of the file.
//!
//! Must not know where bytes come from. Invariant: a check is left out only where the caller said [`Verification::Off`], or
//! where nothing was stated and the caller said [`Verification::IfStated`].

use std::fmt;

use oci::{Digest, Digester};

use crate::entry::Entry;
use crate::error::Error;

/// How much must be proven. Chosen by the caller, for a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Verification {
    /// The manifest must state the TOC's digest, and the TOC a digest for every byte that is read. The default.
    #[default]
    Required,
    /// Check what is stated, accept what is not: [`crate::OpenLayer::trust`] says which it was.
    IfStated,
    /// Check nothing.
    Off,
}

/// What the table of contents of an open layer rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It matched the digest in the manifest.
    Verified,
    /// The manifest states no digest for it: whoever serves the blob can change what is in it.
    Unstated,
    /// Checking was switched off.
    Unchecked,
}

/// What was compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// The table of contents: its JSON.
    Toc,
    /// The table of contents as compressed (zstd:chunked's `manifest-checksum`).
    CompressedToc,
    /// One chunk of a file.
    Chunk,
    /// A whole file.
    File,
}

impl fmt::Display for Checked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Toc => "the table of contents",
            Self::CompressedToc => "the compressed table of contents",
            Self::Chunk => "the chunk",
            Self::File => "the file",
        })
    }
}

/// Bytes that are not what was promised.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct VerificationError {
    /// What was compared.
    pub checked: Checked,
    /// The layer that the bytes are from.
    pub layer: Digest,
    /// The path of the file in the layer; `None` for a table of contents.
    pub path: Option<String>,
    /// Where the bytes begin: in the file for a chunk (0 for the whole file), in the blob for a table of contents.
    pub offset: u64,
    /// The digest that was promised.
    pub expected: Digest,
    /// The digest that the bytes have.
    pub found: Digest,
}

impl fmt::Display for VerificationError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(formatter, "{}: ", path.escape_debug())?;
        }
        write!(
            formatter,
            "{} at byte {} (layer {}) does not match its digest: expected {}, found {}",
            self.checked, self.offset, self.layer, self.expected, self.found
        )
    }
}

/// The digest of a whole file, taken while it is put together in order.
#[derive(Debug)]
pub struct FileCheck {
    digester: Option<(Digester, Digest)>,
    layer: Digest,
    path: String,
}

impl FileCheck {
    /// A check of the file that `entry` of `layer` describes; checks nothing when the entry states no digest.
    pub fn new(layer: Digest, entry: Entry<'_>) -> Self {
        let expected = entry.digest();
        let digester = expected.map(|expected| (Digester::new(expected.algorithm()), expected));
        Self { digester, layer, path: entry.path().to_owned() }
    }

    /// A check that checks nothing.
    pub(crate) fn nothing(layer: Digest, entry: Entry<'_>) -> Self {
        Self { digester: None, layer, path: entry.path().to_owned() }
    }

    /// Whether there is a digest to compare with.
    pub fn is_stated(&self) -> bool {
        self.digester.is_some()
    }

    /// Adds the bytes that follow those seen so far.
    pub fn update(&mut self, bytes: &[u8]) {
        if let Some((digester, _)) = &mut self.digester {
            digester.update(bytes);
        }
    }

    /// Compares, after the last byte.
    ///
    /// # Errors
    /// [`Error::Verification`].
    pub fn finish(self) -> Result<(), Error> {
        let Some((digester, expected)) = self.digester else { return Ok(()) };
        let found = digester.finish();
        if found == expected {
            return Ok(());
        }
        let path = Some(self.path);
        Err(VerificationError { checked: Checked::File, layer: self.layer, path, offset: 0, expected, found }.into())
    }
}
