//! When blobs were last used: noted in memory on a hit, written to the database in batches.
//!
//! Must not know SQL. Invariant: noting never blocks on I/O, and the map holds at most one entry a blob.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use oci::Digest;

/// Access times that are not in the database yet.
#[derive(Default)]
pub(super) struct AccessTimes {
    pending: Mutex<HashMap<Digest, SystemTime>>,
}

impl AccessTimes {
    /// Notes a use.
    pub(super) fn note(&self, digest: Digest, at: SystemTime) {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).insert(digest, at);
    }

    /// Takes what was noted since the last call.
    pub(super) fn take(&self) -> Vec<(Digest, SystemTime)> {
        std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner)).into_iter().collect()
    }
}
