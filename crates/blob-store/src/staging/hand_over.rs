//! The last step of a staged blob: a store takes its file over.
//!
//! It must not know what the store does with it.
//!
//! Invariant: while a store decides, and ever after, nobody can change the file: a writer that comes too late is
//! refused, and cannot reach a published blob through the handle it still holds.

use std::fs::File;
use std::path::Path;

use oci::ByteRange;

use super::blob::{Inner, Phase, StagedBlob};
use crate::error::StoreError;
use crate::locks::write;

/// Why a store could not take over a staged file.
#[derive(Debug)]
pub(crate) enum CommitError {
    /// The staged file is as good as before.
    Kept(StoreError),
    /// The staged file cannot be trusted any more.
    Ruined(StoreError),
}

impl From<CommitError> for StoreError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Kept(error) | CommitError::Ruined(error) => error,
        }
    }
}

/// A complete file, offered to a store while nobody can change it.
#[derive(Debug)]
pub(crate) struct SealedFile<'a> {
    pub(crate) file: &'a File,
    pub(crate) path: &'a Path,
    pub(crate) size: u64,
}

impl StagedBlob {
    /// Offers the complete file to `commit` while nobody can write, then removes what is left in the staging area.
    ///
    /// [`StoreError::Gone`] when that happened before.
    pub(crate) fn hand_over(
        &self,
        commit: impl FnOnce(&SealedFile<'_>) -> Result<(), CommitError>,
    ) -> Result<(), StoreError> {
        let inner = self.inner();
        let mut phase = write(&inner.phase);
        if *phase == Phase::Settled {
            return Err(StoreError::Gone { digest: inner.digest });
        }
        let size = complete_size(inner)?;
        let outcome = match commit(&SealedFile { file: &inner.file, path: &inner.paths.data, size }) {
            Err(CommitError::Kept(error)) => return Err(error),
            Err(CommitError::Ruined(error)) => Err(error),
            Ok(()) => Ok(()),
        };
        *phase = Phase::Settled;
        if let Err(error) = inner.paths.remove() {
            // The blob's own fate is decided; the next start sweeps a map without data.
            tracing::warn!(digest = %inner.digest, %error, "files are left in the staging area");
        }
        outcome
    }
}

/// The size, when every byte is present and the file has exactly that length.
fn complete_size(inner: &Inner) -> Result<u64, StoreError> {
    let facts = inner.facts();
    let incomplete = |present| StoreError::Incomplete { digest: inner.digest, present, size: facts.size };
    let Some(size) = facts.size else { return Err(incomplete(facts.present.total())) };
    if !facts.present.contains(ByteRange { start: 0, end: size }) || facts.present.end() > size {
        return Err(incomplete(facts.present.total()));
    }
    let metadata = inner.file.metadata().map_err(|error| StoreError::io("stat", &inner.paths.data, error))?;
    if metadata.len() == size { Ok(size) } else { Err(incomplete(metadata.len())) }
}
