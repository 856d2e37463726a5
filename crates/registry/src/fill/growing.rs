//! A growing object: the shared state between one driver and many readers.
//!
//! Must not do I/O. Invariants: bytes are announced only after they are in the staging file; `Phase` moves once,
//! from `Filling` to one of its ends; announcing wakes every reader.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use blob_store::{RangeSet, StagedBlob};
use bytes::Bytes;
use oci::{ByteRange, Digester};
use tokio::sync::Notify;

use super::recent::{Recent, RecentBytes};
use super::{Demand, Origin};
use crate::access::Principal;
use crate::cache::Lease;
use crate::error::PullError;
use crate::metrics::Metrics;

/// Bytes kept back at the end of a whole body until the digest matches.
pub(super) const HOLD_BACK_BYTES: u64 = 256 << 10;

/// Where a fill stands.
#[derive(Clone)]
pub(super) enum Phase {
    /// Bytes are coming.
    Filling,
    /// All bytes are there and hash to the digest.
    Verified,
    /// It broke off.
    Failed(PullError),
    /// Another fill published the blob before this one began: it is in the store.
    Stored,
    /// There is no room: readers take what is there and fetch the rest for themselves.
    NoRoom(Arc<Unfinished>),
}

/// Why there is nothing to read from a growing object.
#[derive(Debug)]
pub(crate) enum NotGrowing {
    /// It broke off.
    Failed(PullError),
    /// Upstream refused the account it was fetched with, which is another caller's.
    OfAnother(PullError),
    /// The blob is in the store by now.
    Stored,
    /// There is no room, and not even its size is known.
    NoRoom,
}

impl From<PullError> for NotGrowing {
    fn from(error: PullError) -> Self {
        Self::Failed(error)
    }
}

/// What was hashed when room ran out.
pub(super) struct Unfinished {
    /// Bytes from the start that are in the staging file and in the hash.
    pub(super) hashed: u64,
    /// The hash over them.
    pub(super) digester: Digester,
}

impl Phase {
    /// How the fill ended, if it has.
    fn ended(&self) -> Option<Result<(), NotGrowing>> {
        match self {
            Self::Filling => None,
            Self::Verified | Self::NoRoom(_) => Some(Ok(())),
            Self::Stored => Some(Err(NotGrowing::Stored)),
            Self::Failed(error) => Some(Err(NotGrowing::Failed(error.clone()))),
        }
    }
}

/// What readers and driver share.
pub(super) struct State {
    pub(super) size: Option<u64>,
    pub(super) present: RangeSet,
    pub(super) wants: BTreeMap<u64, ByteRange>,
    pub(super) whole: bool,
    pub(super) phase: Phase,
    /// Whether any reader was given bytes that are not verified. Only changed under the lock.
    given: AtomicBool,
    /// Indices of the sources that bytes came from.
    sources: BTreeSet<usize>,
    readers: usize,
    next_want: u64,
}

/// One growing object.
pub(super) struct Growing {
    pub(super) origin: Origin,
    pub(super) staged: OnceLock<StagedBlob>,
    kept: OnceLock<Lease>,
    recent: Mutex<Recent>,
    state: Mutex<State>,
    changed: Notify,
    work: Notify,
    metrics: Metrics,
}

impl Growing {
    pub(super) fn new(origin: Origin, metrics: Metrics, recent: RecentBytes) -> Self {
        metrics.fills_in_flight.inc();
        let state = State {
            size: None,
            present: RangeSet::default(),
            wants: BTreeMap::new(),
            whole: false,
            phase: Phase::Filling,
            given: AtomicBool::new(false),
            sources: BTreeSet::new(),
            readers: 0,
            next_want: 0,
        };
        Self {
            origin,
            staged: OnceLock::new(),
            kept: OnceLock::new(),
            recent: Mutex::new(Recent::new(recent)),
            state: Mutex::new(state),
            changed: Notify::new(),
            work: Notify::new(),
            metrics,
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ranges are unverified until the whole is: only callers of the same repository may have them from here. What comes
    /// from an address in a manifest is for readers of the same name.
    pub(super) fn may_share_ranges(&self, origin: &Origin) -> bool {
        let from_one_place = match self.origin.foreign {
            None => self.origin.repo.key() == origin.repo.key(),
            Some(_) => self.origin.is_same_place(origin),
        };
        from_one_place || matches!(self.state().phase, Phase::Verified)
    }

    /// Adds a reader. Called under the lock of the map of fills, so that an idle driver cannot leave meanwhile.
    pub(super) fn attach(growing: &Arc<Self>, demand: Demand<'_>) -> Attached {
        let mut state = growing.state();
        state.readers += 1;
        let mut wants = Vec::new();
        match demand {
            Demand::Whole => state.whole = true,
            Demand::Ranges { size, ranges } => {
                state.size.get_or_insert(size);
                for range in ranges {
                    let id = state.next_want;
                    state.next_want += 1;
                    state.wants.insert(id, *range);
                    wants.push(id);
                }
            }
        }
        drop(state);
        growing.metrics.fill_followers.inc();
        growing.work.notify_one();
        Attached { growing: growing.clone(), wants }
    }

    /// Announces bytes that are in the staging file.
    pub(super) fn announce(&self, range: ByteRange) {
        self.state().present.insert(range);
        self.changed.notify_waiters();
    }

    /// Notes which source bytes come from; true when it is not the one they came from before.
    pub(super) fn comes_from(&self, source: usize) -> bool {
        self.state().sources.insert(source)
    }

    /// The sources that bytes came from.
    pub(super) fn sources(&self) -> BTreeSet<usize> {
        self.state().sources.clone()
    }

    /// Forgets all bytes, unless a reader was given some: what a client has cannot be taken back.
    pub(super) fn start_over(&self) -> bool {
        let mut state = self.state();
        if state.given.load(Ordering::Relaxed) {
            return false;
        }
        state.present = RangeSet::default();
        state.sources.clear();
        drop(state);
        self.window().clear();
        true
    }

    /// Keeps pieces that were just written for readers close behind.
    pub(super) fn keep_recent(&self, offset: u64, pieces: &[Bytes]) {
        let fills = usize::try_from(self.metrics.fills_in_flight.get()).unwrap_or(1);
        self.window().push(offset, pieces, fills);
    }

    /// Bytes from `at` that are still in memory.
    pub(super) fn recent(&self, at: u64, most: usize) -> Option<Bytes> {
        self.window().get(at, most)
    }

    fn window(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the size; false when it contradicts what was known.
    pub(super) fn learn_size(&self, size: u64) -> bool {
        let mut state = self.state();
        let agreed = *state.size.get_or_insert(size) == size;
        drop(state);
        self.changed.notify_waiters();
        agreed
    }

    /// Ends the fill for lack of room, telling the size in the same moment: nobody takes it for a cached one.
    pub(super) fn finish_without_room(&self, size: Option<u64>, unfinished: Unfinished) {
        let mut state = self.state();
        state.size = state.size.or(size);
        state.phase = Phase::NoRoom(Arc::new(unfinished));
        drop(state);
        self.window().clear();
        self.changed.notify_waiters();
    }

    /// Ends the fill. Its readers may take long to read what is left: that is in the file, and needs no memory.
    pub(super) fn finish(&self, phase: Phase) {
        let ends = !matches!(phase, Phase::Filling);
        self.state().phase = phase;
        if ends {
            self.window().clear();
        }
        self.changed.notify_waiters();
    }

    /// Keeps the published blob from being evicted while this object has readers.
    pub(super) fn keep(&self, lease: Lease) {
        self.kept.get_or_init(|| lease);
    }

    /// Wakes the driver.
    pub(super) fn wake_driver(&self) {
        self.work.notify_one();
    }

    /// Waits for something new to do.
    pub(super) async fn work(&self) {
        self.work.notified().await;
    }

    pub(super) fn has_readers(&self) -> bool {
        self.state().readers > 0
    }

    /// Waits until `look` finds something in the state. `look` runs under the lock and must be quick.
    pub(super) async fn wait_for<T>(&self, mut look: impl FnMut(&State) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Registered before looking: a change between look and await still wakes us.
            changed.as_mut().enable();
            if let Some(found) = look(&self.state()) {
                return found;
            }
            changed.await;
        }
    }
}

impl State {
    /// How many ranges were ever asked for.
    pub(super) fn wants_ever(&self) -> u64 {
        self.next_want
    }

    /// Notes that a reader is given unverified bytes. Called under the lock.
    pub(super) fn give(&self) {
        self.given.store(true, Ordering::Relaxed);
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        self.metrics.fills_in_flight.dec();
    }
}

/// A reader's hold on a growing object. While it lives, its ranges are wanted; dropping it changes nothing else.
pub(crate) struct Attached {
    pub(super) growing: Arc<Growing>,
    wants: Vec<u64>,
}

impl Attached {
    /// Waits until the size is known or the fill has failed.
    pub(crate) async fn size(&self, within: Duration) -> Result<u64, NotGrowing> {
        let found = self.growing.wait_for(|state| match state.phase.ended() {
            Some(Err(ended)) => Some(Err(ended)),
            Some(Ok(())) => Some(state.size.ok_or(NotGrowing::NoRoom)),
            None => state.size.map(Ok),
        });
        self.or_timeout(within, found).await?
    }

    /// Waits until the first byte of `range` can be read, so that an upstream's refusal becomes an answer.
    pub(crate) async fn first_byte(&self, range: ByteRange, within: Duration) -> Result<(), NotGrowing> {
        let found = self.growing.wait_for(|state| match state.phase.ended() {
            Some(ended) => Some(ended),
            None => (state.present.contiguous_from(range.start) > range.start).then_some(Ok(())),
        });
        self.or_timeout(within, found).await?
    }

    /// Waits until all is verified, failed, or `within` has passed. A failure becomes an answer instead of a cut.
    pub(crate) async fn settled(&self, within: Duration) -> Result<(), NotGrowing> {
        tokio::time::timeout(within, self.ended()).await.unwrap_or(Ok(()))
    }

    /// Waits until the fill is over.
    pub(crate) async fn ended(&self) -> Result<(), NotGrowing> {
        self.growing.wait_for(|state| state.phase.ended()).await
    }

    /// Says of a failure whether it was `caller` whom upstream refused, or the caller who had begun the fill.
    pub(crate) fn blame(&self, caller: Principal, failure: NotGrowing) -> NotGrowing {
        let of_another = self.growing.origin.admission.principal() != caller;
        match failure {
            NotGrowing::Failed(error @ (PullError::Unauthorized { .. } | PullError::BlobUnknown { .. }))
                if of_another && self.growing.origin.admission.is_per_caller() =>
            {
                NotGrowing::OfAnother(error)
            }
            other => other,
        }
    }

    /// Whether every byte of `ranges` is here already.
    pub(crate) fn holds(&self, ranges: &[ByteRange]) -> bool {
        let state = self.growing.state();
        ranges.iter().all(|range| state.present.contains(*range))
    }

    /// Whether the object is whole and verified.
    pub(crate) fn is_verified(&self) -> bool {
        matches!(self.growing.state().phase, Phase::Verified)
    }

    /// Whether there is no room for it.
    pub(crate) fn is_without_room(&self) -> bool {
        matches!(self.growing.state().phase, Phase::NoRoom(_))
    }

    async fn or_timeout<T>(&self, within: Duration, found: impl Future<Output = T>) -> Result<T, PullError> {
        tokio::time::timeout(within, found).await.map_err(|_| PullError::UpstreamTimeout {
            said: self.growing.origin.said(format!("nothing came within {} s; the fill goes on", within.as_secs())),
        })
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let mut state = self.growing.state();
        state.readers -= 1;
        for id in &self.wants {
            state.wants.remove(id);
        }
        drop(state);
        self.growing.metrics.fill_followers.dec();
        self.growing.wake_driver();
    }
}
