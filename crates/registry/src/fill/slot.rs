//! Slots: how many flows may move bytes at the same time.
//!
//! A flow that has bytes to move holds them several times over (the HTTP client's buffers, a batch being gathered,
//! another being written). With hundreds of fills under way, that is what fills the memory; a few at a time are as fast,
//! because they share one processor and one disk. Must not know what a flow fetches. Invariants: a slot is held only
//! while bytes come, so an upstream that stalls or trickles keeps nobody else waiting; slots are given in the order they
//! were asked for.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Slots there are.
const SLOTS: usize = 16;
/// Bytes after which a slot goes to whoever waits.
const SLOT_BYTES: u64 = 4 << 20;
/// How long the next bytes may take within a slot: the time the HTTP client needs to hand them over, not that of a
/// network.
const SOON: Duration = Duration::from_millis(10);

/// The slots of all flows.
#[derive(Clone)]
pub(super) struct Slots(Arc<Semaphore>);

impl Default for Slots {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(SLOTS)))
    }
}

impl Slots {
    /// How many flows share the memory for batches, of `flows` that there are.
    pub(super) fn sharing(flows: usize) -> usize {
        flows.clamp(1, SLOTS)
    }
}

/// One flow's place in the order.
pub(super) struct Slot {
    slots: Slots,
    held: Option<OwnedSemaphorePermit>,
    bytes: u64,
    /// Bytes came quickly enough last time for it to be worth waiting for the next.
    quick: bool,
}

impl Slot {
    pub(super) fn new(slots: &Slots) -> Self {
        Self { slots: slots.clone(), held: None, bytes: 0, quick: true }
    }

    /// Whether bytes may be moved now.
    pub(super) fn is_held(&self) -> bool {
        self.held.is_some() && self.bytes < SLOT_BYTES
    }

    /// Waits for a slot.
    pub(super) async fn begin(&mut self) {
        self.end();
        // The semaphore is never closed; without it, a flow would only be less polite.
        self.held = self.slots.0.clone().acquire_owned().await.ok();
    }

    /// Lets another flow have it.
    pub(super) fn end(&mut self) {
        self.held = None;
        self.bytes = 0;
    }

    /// How long to wait for the next bytes before the slot ends.
    pub(super) fn patience(&self) -> Duration {
        if self.quick { SOON } else { Duration::ZERO }
    }

    /// Notes that bytes came in time, or did not.
    pub(super) fn moved(&mut self, bytes: Option<u64>) {
        self.quick = bytes.is_some();
        self.bytes += bytes.unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn a_slot_ends_after_its_bytes_and_goes_to_who_asked_first() {
        let slots = Slots::default();
        let mut holders: Vec<Slot> = (0..SLOTS).map(|_| Slot::new(&slots)).collect();
        for holder in &mut holders {
            holder.begin().await;
            assert!(holder.is_held());
        }
        let (mut first, mut second) = (Slot::new(&slots), Slot::new(&slots));
        let mut first_waits = Box::pin(first.begin());
        let mut second_waits = Box::pin(second.begin());
        assert!(first_waits.as_mut().now_or_never().is_none() && second_waits.as_mut().now_or_never().is_none());
        holders[3].moved(Some(SLOT_BYTES - 1));
        assert!(holders[3].is_held());
        holders[3].moved(Some(1));
        assert!(!holders[3].is_held());
        holders[3].end();
        assert!(second_waits.as_mut().now_or_never().is_none(), "the first asked first");
        first_waits.await;
        holders[7].end();
        second_waits.await;
        assert!(first.is_held() && second.is_held());
    }

    #[test]
    fn bytes_that_come_late_are_not_waited_for_again() {
        let mut slot = Slot::new(&Slots::default());
        assert!(!slot.patience().is_zero());
        slot.moved(None);
        assert!(slot.patience().is_zero());
        slot.moved(Some(1));
        assert!(!slot.patience().is_zero());
    }
}
