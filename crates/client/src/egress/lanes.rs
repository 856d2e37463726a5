//! Several sets of connections to the same hosts, used in turn.
//!
//! The HTTP library keeps one HTTP/2 connection for a host, and with it one congestion window for everything under way. A set of its own is
//! a connection of its own. Must not know hosts. Invariant: there is at least one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::network::Connections;

/// The sets. Clones take turns together.
#[derive(Clone)]
pub(super) struct Lanes {
    first: reqwest::Client,
    more: Arc<[reqwest::Client]>,
    turn: Arc<AtomicUsize>,
}

impl Lanes {
    /// So many sets as are wished, each made anew.
    pub(super) fn new(
        connections: Connections,
        make: impl Fn() -> Result<reqwest::Client, String>,
    ) -> Result<Self, String> {
        let more = (1..connections.count()).map(|_| make()).collect::<Result<_, _>>()?;
        Ok(Self { first: make()?, more, turn: Arc::default() })
    }

    /// One of them, always the same.
    pub(super) fn first(&self) -> &reqwest::Client {
        &self.first
    }

    /// The next in turn.
    pub(super) fn next(&self) -> &reqwest::Client {
        if self.more.is_empty() {
            return &self.first;
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % (self.more.len() + 1);
        self.more.get(turn).unwrap_or(&self.first)
    }
}
