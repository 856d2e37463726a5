//! Everything that was seen of one host.
//!
//! Must not know which upstream it serves. Invariants: one short lock for each question and each answer; a refusal
//! names the host and when to come back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use super::admission::{Admission, Question};
use super::blocks::{Blocks, Cost};
use super::breaker::Breaker;
use super::climate::Care;
use super::ewma::{Ewma, Latencies};
use super::rate_limit::{RateLimit, RateLimitTrack};
use super::rate_limit_headers::Stated;
use super::retry_budget::RetryBudget;
use super::snapshot::{BreakerState, Weather};
use crate::basic::CredentialId;
use crate::error::{ClientError, UpstreamAnswer};
use crate::exchange::ExchangeKind;

/// Most accounts whose rate limits are kept.
const MOST_ACCOUNTS: usize = 1024;

/// The weather at one scheme, host and port.
pub(crate) struct HostWeather {
    /// `host[:port]`.
    pub(super) label: Arc<str>,
    care: Care,
    state: Mutex<State>,
}

pub(super) struct State {
    pub(super) breaker: Breaker,
    pub(super) blocks: Blocks,
    pub(super) latency: Ewma,
    pub(super) errors: Ewma,
    /// Of HEADs of manifests, for hedging.
    pub(super) heads: Latencies,
    budget: RetryBudget,
    pub(super) rate_limits: HashMap<CredentialId, RateLimitTrack>,
    pub(super) names: HashMap<CredentialId, Arc<str>>,
}

impl State {
    pub(super) fn note_rate_limit(&mut self, account: CredentialId, stated: Stated, now: Instant) {
        if let Some(track) = self.rate_limits.get_mut(&account) {
            return track.note(stated, now);
        }
        if self.rate_limits.len() >= MOST_ACCOUNTS {
            self.rate_limits.retain(|_, track| track.is_current(now));
        }
        if self.rate_limits.len() < MOST_ACCOUNTS {
            self.rate_limits.insert(account, RateLimitTrack::new(stated, now));
        }
    }

    pub(super) fn name_of(&self, account: CredentialId) -> &str {
        match (self.names.get(&account), account) {
            (Some(name), _) => name,
            (None, CredentialId::Anonymous) => "anonymous",
            (None, CredentialId::Known(_)) => "default",
        }
    }

    pub(super) fn rate_limit(&self, account: CredentialId, now: Instant) -> Option<RateLimit> {
        let track = self.rate_limits.get(&account).filter(|track| track.is_current(now))?;
        Some(track.snapshot(self.name_of(account), now))
    }
}

impl HostWeather {
    pub(super) fn new(label: &str, care: Care) -> Self {
        let now = Instant::now();
        let state = State {
            breaker: Breaker::new(now, care),
            blocks: Blocks::default(),
            latency: Ewma::default(),
            errors: Ewma::default(),
            heads: Latencies::default(),
            budget: RetryBudget::new(now),
            rate_limits: HashMap::new(),
            names: HashMap::new(),
        };
        Self { label: label.into(), care, state: Mutex::new(state) }
    }

    /// Lets a request out, or says why not and until when.
    pub(crate) fn admit(self: &Arc<Self>, question: &Question<'_>) -> Result<Admission, ClientError> {
        let now = Instant::now();
        let account = question.account;
        let ticket = self.change(|state| {
            // Blocks first: a request that is refused here must not use up the probe.
            if let Some(block) = state.blocks.find(account, question.cost(), now) {
                return Err(self.blocked(block.status, block.until - now));
            }
            let open = |retry_after| ClientError::CircuitOpen { upstream: self.label.clone(), retry_after };
            state.breaker.admit(now).map_err(open)
        })?;
        let head_of_manifest = question.kind == ExchangeKind::Manifest && question.cost() == Cost::Free;
        Ok(Admission { host: self.clone(), ticket, account, head_of_manifest, settled: false })
    }

    /// A call begins that is no retry.
    pub(crate) fn earn_retries(&self) {
        self.change(|state| state.budget.earn(Instant::now()));
    }

    /// Whether one more retry keeps them a fraction of all requests. Counts it if so.
    pub(crate) fn may_retry(&self) -> bool {
        self.care == Care::Pressed || self.change(|state| state.budget.spend(Instant::now()))
    }

    /// Gives an account the name under which it is reported.
    pub(crate) fn name_account(&self, account: CredentialId, name: &Arc<str>) {
        self.change(|state| {
            if state.names.len() >= MOST_ACCOUNTS {
                state.names.clear();
            }
            state.names.entry(account).or_insert_with(|| name.clone());
        });
    }

    /// How long all but the slowest HEADs of manifests take; `None` while too few are known.
    pub(crate) fn slow_head(&self) -> Option<Duration> {
        self.change(|state| state.heads.tail())
    }

    /// The weather as `account` sees it.
    pub(crate) fn weather(&self, account: CredentialId) -> Weather {
        let now = Instant::now();
        self.change(|state| Weather {
            breaker: state.breaker.state(now),
            latency: state.latency.mean().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
            error_rate: state.errors.mean().unwrap_or_default(),
            blocked_until: state.blocks.find(account, Cost::Free, now).map(|block| block.until),
            pulls_blocked_until: state.blocks.find(account, Cost::Pull, now).map(|block| block.until),
            rate_limit: state.rate_limit(account, now),
        })
    }

    /// The rate limits of all accounts, by name.
    pub(crate) fn rate_limits(&self) -> Vec<RateLimit> {
        let now = Instant::now();
        let mut all: Vec<RateLimit> = self
            .change(|state| state.rate_limits.keys().filter_map(|account| state.rate_limit(*account, now)).collect());
        all.sort_by(|a, b| a.account.cmp(&b.account));
        all
    }

    /// Whether anything is remembered that must not be forgotten.
    pub(super) fn is_stormy(&self) -> bool {
        let now = Instant::now();
        self.change(|state| state.breaker.state(now) != BreakerState::Closed || state.blocks.is_any(now))
    }

    pub(super) fn change<T>(&self, with: impl FnOnce(&mut State) -> T) -> T {
        with(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The answer that the host would give, without asking it again before its time.
    fn blocked(&self, status: StatusCode, wait: Duration) -> ClientError {
        let upstream = self.label.clone();
        let message = Some(format!("not asked again for {} s, as it wished", wait.as_secs().max(1)));
        let answer = UpstreamAnswer { status: status.as_u16(), message };
        match status {
            StatusCode::TOO_MANY_REQUESTS => ClientError::RateLimited { upstream, answer, retry_after: Some(wait) },
            _ => ClientError::UpstreamStatus { upstream, answer, retry_after: Some(wait) },
        }
    }
}
