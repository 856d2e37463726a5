//! Room in the budget that a growing object has taken.
//!
//! Must not know files. Invariant: room taken is given back exactly once: by drop, by becoming stored, or by being
//! left to an idle growing object.

use std::sync::Arc;

use oci::Digest;

use super::ledger::{Ledger, disk_bytes};

/// Room taken from the budget; dropping it gives the room back.
pub(crate) struct Reservation {
    digest: Digest,
    bytes: u64,
    ledger: Arc<Ledger>,
}

impl Reservation {
    /// Takes over what an idle growing object of this digest holds already, or nothing.
    pub(super) fn empty(digest: Digest, ledger: Arc<Ledger>) -> Self {
        let bytes = ledger.take_staged(&digest);
        Self { digest, bytes, ledger }
    }

    /// Grows to `bytes` if they fit into the budget as it is.
    pub(super) fn try_grow(&mut self, bytes: u64) -> bool {
        let wanted = disk_bytes(bytes);
        if wanted <= self.bytes && self.ledger.used() <= self.ledger.max() {
            return true;
        }
        let more = wanted.saturating_sub(self.bytes);
        let fits = self.ledger.try_take(more);
        if fits {
            self.bytes += more;
        }
        fits
    }

    /// Hands the room over, leaving none here.
    pub(crate) fn take(&mut self) -> Self {
        Self { digest: self.digest, bytes: std::mem::take(&mut self.bytes), ledger: self.ledger.clone() }
    }

    /// The object is stored with `size` bytes: they stay counted, the rest is given back.
    pub(crate) fn into_stored(mut self, size: u64) {
        let stored = disk_bytes(size);
        if stored > self.bytes {
            self.ledger.add_stored(stored - self.bytes);
        } else {
            self.ledger.give_back(self.bytes - stored);
        }
        self.bytes = 0;
    }

    /// The fill stops and leaves `present` bytes in staging for a later one.
    pub(crate) fn into_idle(mut self, present: u64) {
        let kept = disk_bytes(present).min(self.bytes);
        self.ledger.give_back(self.bytes - kept);
        self.ledger.leave_staged(self.digest, kept);
        self.bytes = 0;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.ledger.give_back(self.bytes);
        }
    }
}
