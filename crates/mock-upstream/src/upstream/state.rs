//! What the connections of one upstream share.
//!
//! Must not know: sockets. Invariant: locks are held for lookups only, never across an await.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::access::{Access, TokenTable};
use super::contents::Contents;
use super::fault::Fault;
use super::request_log::{Entry, RequestLog};
use super::target::Rule;

/// Shared by the handle and all connections.
#[derive(Debug, Default)]
pub(crate) struct State {
    contents: Arc<Mutex<Contents>>,
    pub(crate) tokens: Arc<TokenTable>,
    access: Mutex<Access>,
    rules: Mutex<Vec<Rule>>,
    pub(crate) log: RequestLog,
    signatures: AtomicUsize,
    url: OnceLock<String>,
}

impl State {
    /// A state of its own that shares contents and tokens with another upstream.
    pub(crate) fn beside(other: &Self) -> Self {
        Self { contents: Arc::clone(&other.contents), tokens: Arc::clone(&other.tokens), ..Self::default() }
    }

    pub(crate) fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn access(&self) -> Access {
        self.access.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_access(&self, access: Access) {
        *self.access.lock().unwrap_or_else(PoisonError::into_inner) = access;
    }

    pub(crate) fn add_rule(&self, rule: Rule) {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).push(rule);
    }

    pub(crate) fn clear_rules(&self) {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The faults that hit this request; counts it in every rule that matches.
    pub(crate) fn strike(&self, request: &Entry) -> Vec<Fault> {
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        rules.iter_mut().filter_map(|rule| rule.strike(&request.method, &request.path)).collect()
    }

    pub(crate) fn next_signature(&self) -> usize {
        self.signatures.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn url(&self) -> String {
        self.url.get().cloned().unwrap_or_default()
    }

    pub(crate) fn set_url(&self, url: String) {
        self.url.get_or_init(|| url);
    }
}
