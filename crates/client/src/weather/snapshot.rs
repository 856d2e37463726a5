//! What the weather at a host is like at one moment, for those who choose, report or explain.
//!
//! Must not decide. Invariant: a copy; what happens later does not change it.

use std::time::Duration;

use tokio::time::Instant;

use super::rate_limit::RateLimit;

/// Whether a host is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// It is.
    Closed,
    /// It is not: too many of its last exchanges failed.
    Open {
        /// When one request will probe it.
        until: Instant,
    },
    /// One request probes it, or the next one will.
    HalfOpen,
}

impl BreakerState {
    /// One word, for labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open { .. } => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

/// The weather at one upstream host as one client sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Weather {
    /// Whether the host is asked.
    pub breaker: BreakerState,
    /// Moving average of the time to the head of an answer; `None` before the first.
    pub latency: Option<Duration>,
    /// Moving average of failures (no connection, no answer in time, 5xx), 0 to 1.
    pub error_rate: f64,
    /// Until when the host asked this client's account (or everybody) to stay away.
    pub blocked_until: Option<Instant>,
    /// The same for GETs of manifests, which pull limits count.
    pub pulls_blocked_until: Option<Instant>,
    /// What the host said of this account's rate limit, if it ever did.
    pub rate_limit: Option<RateLimit>,
}

impl Weather {
    /// Whether a request made now would go out and not be refused here.
    pub fn lets_pass(&self) -> bool {
        let open = matches!(self.breaker, BreakerState::Open { .. });
        !open && self.blocked_until.is_none()
    }
}
