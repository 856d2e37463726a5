//! When manifests were last pulled: noted in memory, written in batches.
//!
//! Must not know why it matters. Invariants: a pull never waits for the database; what is noted is bounded; after a crash
//! the last few seconds are missing, and retention allows for that.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use metadata::{Metadata, MetadataError, Pull};
use oci::{Digest, RepoKey, RepositoryName};

/// Manifests noted between two writes.
const MOST: usize = 50_000;
/// Rows written at once: the writing connection is shared.
const BATCH: usize = 1000;

type Key = (RepoKey, RepositoryName, Digest);

/// The pulls that are not written yet.
#[derive(Default)]
pub(super) struct Pulls {
    noted: Mutex<HashMap<Key, SystemTime>>,
}

impl Pulls {
    /// Notes a pull now. When so many are noted that no more fit, it waits for the next one.
    pub(super) fn note(&self, (repo, name): (&RepoKey, &RepositoryName), digest: &Digest) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (repo.clone(), name.clone(), *digest);
        if noted.len() < MOST || noted.contains_key(&key) {
            noted.insert(key, SystemTime::now());
        }
    }

    /// Writes what is noted. What cannot be written is noted again.
    pub(super) async fn flush(&self, metadata: &Metadata) -> Result<(), MetadataError> {
        let taken = std::mem::take(&mut *self.noted.lock().unwrap_or_else(PoisonError::into_inner));
        let pulls: Vec<Pull> =
            taken.into_iter().map(|((repo, name, digest), at)| Pull { repo, name, digest, at }).collect();
        let mut batches = pulls.chunks(BATCH);
        while let Some(batch) = batches.next() {
            if let Err(error) = metadata.note_pulls(batch).await {
                self.keep(batch.iter().chain(batches.flatten()));
                return Err(error);
            }
        }
        Ok(())
    }

    fn keep<'a>(&self, pulls: impl Iterator<Item = &'a Pull>) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        for pull in pulls {
            let key = (pull.repo.clone(), pull.name.clone(), pull.digest);
            noted.entry(key).or_insert(pull.at);
        }
    }
}

impl super::Hosted {
    /// Writes when manifests were pulled.
    pub(crate) async fn flush_pulls(&self) -> Result<(), MetadataError> {
        self.pulls.flush(&self.metadata).await
    }
}
