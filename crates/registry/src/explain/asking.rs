//! Whom a request would go to now, and who is left alone for the moment.
//!
//! Must not ask them. Invariant: what keeps a request from going out is looked up where it would be kept back: breakers,
//! waits and pull limits of the account that would be used.

use std::sync::Arc;
use std::time::Duration;

use client::BreakerState;
use oci::RepositoryName;
use tokio::time::Instant;

use super::words;
use crate::repositories::Route;
use crate::sources::Upstream;

/// What a request uses up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cost {
    /// A GET of a manifest, which pull limits count.
    Pull,
    /// Anything else.
    Free,
}

/// Who would be asked.
pub(super) struct Asking {
    /// They, best first.
    pub(super) at: Vec<Arc<Upstream>>,
    /// Who would not, and why.
    pub(super) not_asked: Vec<String>,
}

impl Asking {
    /// Of `candidates`, in their order.
    pub(super) fn of(route: &Route, candidates: Vec<Arc<Upstream>>, cost: Cost) -> Self {
        let (mut at, mut not_asked) = (Vec::new(), Vec::new());
        for upstream in candidates {
            match kept_back(&upstream, &route.name, cost) {
                None => at.push(upstream),
                Some(why) => not_asked.push(format!("{}: {why}", upstream.client().upstream())),
            }
        }
        Self { at, not_asked }
    }

    /// Their addresses.
    pub(super) fn addresses(&self) -> Vec<String> {
        self.at.iter().map(|upstream| upstream.client().upstream().to_string()).collect()
    }
}

/// Why a request would not go out to this upstream now.
fn kept_back(upstream: &Upstream, name: &RepositoryName, cost: Cost) -> Option<String> {
    let weather = upstream.client().weather_for(&upstream.canonical_name(name.clone()));
    let left =
        |until: Instant| words::duration(until.saturating_duration_since(Instant::now()).max(Duration::from_secs(1)));
    if let Some(until) = weather.blocked_until {
        return Some(format!("it asked to be left alone for {} more", left(until)));
    }
    if let (Cost::Pull, Some(until)) = (cost, weather.pulls_blocked_until) {
        return Some(format!("its pull limit is used up; no manifest is fetched for {} more", left(until)));
    }
    match weather.breaker {
        BreakerState::Open { until } => Some(format!("its breaker is open for {} more", left(until))),
        BreakerState::Closed | BreakerState::HalfOpen => None,
    }
}
