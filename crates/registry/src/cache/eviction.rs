//! What leaves first when the budget is short.
//!
//! Must not know why room is wanted. Invariants: one evictor at a time; a blob in use is passed over; the database
//! row goes before the file, so that a crash between leaves a file that the next start adopts, never a row without
//! bytes.

use std::time::{Duration, SystemTime};

use metadata::BlobRow;
use oci::Digest;

use super::{Cache, Reservation};
use crate::error::PullError;

/// Which blob goes first. The seam for other policies: one variant, one order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EvictionPolicy {
    /// What was used longest ago.
    LeastRecentlyUsed,
}

/// Candidates asked for at a time.
const BATCH: u32 = 64;
/// An idle growing object this old goes before any blob: nobody came back for it.
const FORGOTTEN: Duration = Duration::from_hours(1);

impl Cache {
    /// Evicts until `room` can grow to `bytes`. The caller holds the evictor's lock.
    pub(super) async fn make_room(&self, room: &mut Reservation, bytes: u64) -> bool {
        loop {
            if room.try_grow(bytes) {
                return true;
            }
            if bytes > self.ledger.max() {
                return false;
            }
            match self.evict_some().await {
                Ok(true) => {}
                Ok(false) => return false,
                Err(error) => {
                    tracing::error!(%error, "eviction failed; the cache takes nothing new until it works again");
                    return false;
                }
            }
        }
    }

    /// Evicts what the policy names next; false when everything left is in use.
    async fn evict_some(&self) -> Result<bool, PullError> {
        let now = SystemTime::now();
        let forgotten = now.checked_sub(FORGOTTEN).unwrap_or(SystemTime::UNIX_EPOCH);
        if let Some(digest) = self.ledger.oldest_staged(forgotten) {
            return self.drop_staged(&digest).map(|()| true);
        }
        for row in self.candidates().await? {
            if self.evict(&row).await? {
                return Ok(true);
            }
        }
        match self.ledger.oldest_staged(now + FORGOTTEN) {
            Some(digest) => self.drop_staged(&digest).map(|()| true),
            None => Ok(false),
        }
    }

    async fn candidates(&self) -> Result<Vec<BlobRow>, PullError> {
        match self.policy {
            EvictionPolicy::LeastRecentlyUsed => {
                self.flush_access_times().await?;
                let limit = BATCH + u32::try_from(self.ledger.in_use()).unwrap_or(BATCH);
                self.metadata.oldest_blobs(limit).await.map_err(|e| PullError::storage(&e))
            }
        }
    }

    /// Evicts one blob unless somebody reads it.
    async fn evict(&self, row: &BlobRow) -> Result<bool, PullError> {
        let digest = &row.digest;
        if !self.ledger.condemn(digest) {
            return Ok(false);
        }
        self.open_files.forget(digest);
        let gone = self.remove(row).await;
        self.ledger.absolve(digest);
        let freed = gone?;
        self.metrics.evicted_blobs.inc();
        self.metrics.evicted_bytes.inc_by(freed);
        tracing::debug!(%digest, bytes = freed, "evicted");
        Ok(true)
    }

    async fn remove(&self, row: &BlobRow) -> Result<u64, PullError> {
        self.metadata.delete_blob(&row.digest).await.map_err(|e| PullError::storage(&e))?;
        let freed = self.store.delete(&row.digest).await.map_err(|e| PullError::storage(&e))?.unwrap_or(row.size_bytes);
        self.ledger.remove_stored(freed);
        Ok(freed)
    }

    fn drop_staged(&self, digest: &Digest) -> Result<(), PullError> {
        let bytes = self.ledger.take_staged(digest);
        self.staging.remove(digest).map_err(|e| PullError::storage(&e))?;
        self.ledger.give_back(bytes);
        self.metrics.evicted_bytes.inc_by(bytes);
        tracing::debug!(%digest, bytes, "dropped an idle growing object");
        Ok(())
    }
}
