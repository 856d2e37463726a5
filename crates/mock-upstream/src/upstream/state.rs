//! What the connections of one upstream share.
//!
//! Must not know: sockets. Invariant: locks are held for lookups only, never across an await.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::access::{Access, TokenTable};
use super::answer::Answer;
use super::contents::Contents;
use super::fault::Fault;
use super::request_log::{Entry, RequestLog};
use super::target::{Kind, Rule};

/// How a registry answers for what it does not have.
#[derive(Clone, Copy, Debug)]
pub struct Absence {
    /// For which requests.
    pub kinds: &'static [Kind],
    /// The status.
    pub status: u16,
    /// The code in the error body.
    pub code: &'static str,
    /// The message in the error body.
    pub message: &'static str,
}

/// Shared by the handle and all connections.
#[derive(Debug, Default)]
pub(crate) struct State {
    contents: Arc<Mutex<Contents>>,
    pub(crate) tokens: Arc<TokenTable>,
    access: Mutex<Access>,
    rules: Mutex<Vec<Rule>>,
    absence: Mutex<Option<Absence>>,
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

    pub(crate) fn set_absence(&self, absence: Absence) {
        *self.absence.lock().unwrap_or_else(PoisonError::into_inner) = Some(absence);
    }

    /// What is said of content of this kind that is not there, when it is not a plain 404.
    pub(crate) fn absent(&self, kind: Kind) -> Option<Answer> {
        let absence = self.absence.lock().unwrap_or_else(PoisonError::into_inner);
        let absence = absence.as_ref().filter(|absence| absence.kinds.contains(&kind))?;
        Some(Answer::error(absence.status, absence.code, absence.message))
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
