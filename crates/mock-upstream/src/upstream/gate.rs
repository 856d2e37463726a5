//! A gate: the place where a scripted answer waits until the test lets it go on.
//!
//! Must not know: HTTP. Invariant: once released a gate stays open, and every arrival is counted, so that a test can
//! wait for "all 200 clients are here" without sleeping.

use std::sync::Arc;

use tokio::sync::watch;

/// Shared by the test and the fault that stops at it.
#[derive(Clone, Debug)]
pub struct Gate {
    open: Arc<watch::Sender<bool>>,
    arrivals: Arc<watch::Sender<usize>>,
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self { open: Arc::new(watch::Sender::new(false)), arrivals: Arc::new(watch::Sender::new(0)) }
    }

    /// Opens the gate for good.
    pub fn release(&self) {
        self.open.send_replace(true);
    }

    /// How many answers have reached the gate so far.
    pub fn arrivals(&self) -> usize {
        *self.arrivals.borrow()
    }

    /// Waits until `count` answers have reached the gate.
    pub async fn wait_arrivals(&self, count: usize) {
        let mut arrivals = self.arrivals.subscribe();
        arrivals.wait_for(|arrived| *arrived >= count).await.expect("the gate holds its own sender");
    }

    /// Announces an arrival and waits for the release.
    pub(crate) async fn pass(&self) {
        self.arrivals.send_modify(|arrived| *arrived += 1);
        let mut open = self.open.subscribe();
        open.wait_for(|open| *open).await.expect("the gate holds its own sender");
    }
}
