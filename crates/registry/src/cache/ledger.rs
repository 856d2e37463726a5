//! How much is used and who reads what: the budget's arithmetic, in memory.
//!
//! Must not know files or SQL. Invariants: `used` is the sum of stored and reserved room, both rounded up to whole
//! disk blocks; a condemned blob cannot be acquired, an acquired blob cannot be condemned.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use oci::Digest;

use crate::metrics::Metrics;

/// The file system's block: what a file's last bytes really take.
const BLOCK_BYTES: u64 = 4096;

/// Room that `size` bytes take on disk.
pub(super) const fn disk_bytes(size: u64) -> u64 {
    size.div_ceil(BLOCK_BYTES) * BLOCK_BYTES
}

/// What of a budget blobs may take: the rest is for the database, the maps of growing objects and folders.
const fn for_blobs(max: u64) -> u64 {
    max - max / 200
}

/// What stands in the way of evicting a blob.
enum Use {
    Readers(usize),
    Condemned,
}

/// A growing object that no fill owns at the moment.
struct IdleStaged {
    bytes: u64,
    last_used: SystemTime,
}

/// The arithmetic.
pub(super) struct Ledger {
    max: AtomicU64,
    used: AtomicU64,
    readers: AtomicUsize,
    uses: Mutex<HashMap<Digest, Use>>,
    idle_staged: Mutex<HashMap<Digest, IdleStaged>>,
    metrics: Metrics,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ledger {
    pub(super) fn new(max: u64, metrics: Metrics) -> Self {
        metrics.cache_max_bytes.set(max.cast_signed());
        Self {
            max: AtomicU64::new(for_blobs(max)),
            used: AtomicU64::new(0),
            readers: AtomicUsize::new(0),
            uses: Mutex::default(),
            idle_staged: Mutex::default(),
            metrics,
        }
    }

    pub(super) fn set_max(&self, max: u64) {
        self.max.store(for_blobs(max), Ordering::Relaxed);
        self.metrics.cache_max_bytes.set(max.cast_signed());
    }

    pub(super) fn max(&self) -> u64 {
        self.max.load(Ordering::Relaxed)
    }

    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Acquire)
    }

    pub(super) fn readers(&self) -> usize {
        self.readers.load(Ordering::Relaxed)
    }

    pub(super) fn begin_reading(&self) {
        self.readers.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn end_reading(&self) {
        self.readers.fetch_sub(1, Ordering::Relaxed);
    }

    fn note_used(&self, used: u64) {
        self.metrics.cache_bytes.set(used.cast_signed());
    }

    /// Takes `more` bytes if they fit.
    pub(super) fn try_take(&self, more: u64) -> bool {
        let max = self.max();
        let taken = self
            .used
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| used.checked_add(more).filter(|sum| *sum <= max));
        taken.inspect(|before| self.note_used(before + more)).is_ok()
    }

    /// Gives `bytes` back.
    pub(super) fn give_back(&self, bytes: u64) {
        let before = self
            .used
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| Some(used.saturating_sub(bytes)))
            .unwrap_or_default();
        self.note_used(before.saturating_sub(bytes));
    }

    /// Counts a blob found on disk, budget or not: it is there.
    pub(super) fn add_stored(&self, size: u64) {
        let room = disk_bytes(size);
        let before = self.used.fetch_add(room, Ordering::AcqRel);
        self.note_used(before + room);
    }

    pub(super) fn remove_stored(&self, size: u64) {
        self.give_back(disk_bytes(size));
    }

    /// Counts what a former process, or a fill that stopped, left in staging.
    pub(super) fn adopt_staged(&self, digest: Digest, bytes: u64, last_used: SystemTime) {
        self.add_stored(bytes);
        lock(&self.idle_staged).insert(digest, IdleStaged { bytes: disk_bytes(bytes), last_used });
    }

    /// Keeps `bytes` (already counted) as an idle growing object.
    pub(super) fn leave_staged(&self, digest: Digest, bytes: u64) {
        lock(&self.idle_staged).insert(digest, IdleStaged { bytes, last_used: SystemTime::now() });
    }

    /// Takes over an idle growing object: its bytes stay counted and are the caller's now.
    pub(super) fn take_staged(&self, digest: &Digest) -> u64 {
        lock(&self.idle_staged).remove(digest).map_or(0, |idle| idle.bytes)
    }

    /// The idle growing object used longest ago, if it was used before `before`.
    pub(super) fn oldest_staged(&self, before: SystemTime) -> Option<Digest> {
        let idle = lock(&self.idle_staged);
        idle.iter().filter(|(_, s)| s.last_used < before).min_by_key(|(_, s)| s.last_used).map(|(digest, _)| *digest)
    }

    /// Starts reading; false while the blob is being evicted.
    pub(super) fn acquire(&self, digest: &Digest) -> bool {
        match lock(&self.uses).entry(*digest).or_insert(Use::Readers(0)) {
            Use::Condemned => false,
            Use::Readers(count) => {
                *count += 1;
                true
            }
        }
    }

    /// Ends reading.
    pub(super) fn release(&self, digest: &Digest) {
        let mut uses = lock(&self.uses);
        if let Some(Use::Readers(count)) = uses.get_mut(digest) {
            *count -= 1;
            if *count == 0 {
                uses.remove(digest);
            }
        }
    }

    /// Marks a blob for eviction; false when somebody reads it.
    pub(super) fn condemn(&self, digest: &Digest) -> bool {
        let mut uses = lock(&self.uses);
        if uses.contains_key(digest) {
            return false;
        }
        uses.insert(*digest, Use::Condemned);
        true
    }

    /// The eviction is over, done or failed.
    pub(super) fn absolve(&self, digest: &Digest) {
        lock(&self.uses).remove(digest);
    }

    /// Blobs that somebody reads now.
    pub(super) fn in_use(&self) -> usize {
        lock(&self.uses).len()
    }
}
