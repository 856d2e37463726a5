//! The counters of one repository, each looked up once: counting a hit finds its series ready.
//!
//! Must not know what a pull is. Invariant: a series appears with its first count, as it would without this.

use std::sync::{Arc, OnceLock};

use prometheus_client::metrics::counter::Counter;

use crate::metrics::{Metrics, PullKind};
use crate::outcome::PullOutcome;

/// The last of them and one more; a new one does not compile until it has its place here.
const KINDS: usize = match PullKind::Referrers {
    last @ (PullKind::Manifest | PullKind::Blob | PullKind::Tags | PullKind::Referrers) => last as usize + 1,
};
const OUTCOMES: usize = match PullOutcome::Bypassed {
    last @ (PullOutcome::Hit
    | PullOutcome::Miss
    | PullOutcome::Stale
    | PullOutcome::Revalidated
    | PullOutcome::Bypassed) => last as usize + 1,
};

/// Counters under one repository key.
#[derive(Debug)]
pub struct Counters {
    repo_key: Arc<str>,
    metrics: Metrics,
    pulled: [[OnceLock<Counter>; OUTCOMES]; KINDS],
    served: [OnceLock<Counter>; OUTCOMES],
}

impl Counters {
    pub(crate) fn new(repo_key: Arc<str>, metrics: Metrics) -> Self {
        Self { repo_key, metrics, pulled: Default::default(), served: Default::default() }
    }

    /// The repository's key.
    pub(crate) fn repo_key(&self) -> &Arc<str> {
        &self.repo_key
    }

    /// Counts one answered pull.
    pub fn pulled(&self, kind: PullKind, outcome: PullOutcome) {
        let counter = &self.pulled[kind as usize][outcome as usize];
        counter.get_or_init(|| self.metrics.pull_counter(&self.repo_key, kind, outcome)).inc();
    }

    /// Counts a realm, redirect or address of `upstream` that we did not go to.
    pub(crate) fn refused(&self, upstream: &str) {
        self.metrics.refusal_counter(&self.repo_key, upstream).inc();
    }

    /// Counts bytes that went to a client.
    pub fn served(&self, outcome: PullOutcome, bytes: u64) {
        let counter = &self.served[outcome as usize];
        counter.get_or_init(|| self.metrics.served_counter(&self.repo_key, outcome)).inc_by(bytes);
    }
}
