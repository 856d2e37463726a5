//! How a pull was answered: the closed set of outcomes, also the metric label and the log field.
//!
//! Must not know HTTP. Invariant: every answered pull has exactly one outcome.

use std::sync::Arc;
use std::time::Duration;

/// How a pull was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PullOutcome {
    /// From the cache, without asking upstream.
    Hit,
    /// Upstream sent it, now or to a fill that this request joined.
    Miss,
    /// From the cache although it should have been revalidated: upstream could not answer.
    Stale,
    /// From the cache after upstream confirmed it.
    Revalidated,
    /// From upstream past the cache: there was no room, or sharing was not safe.
    Bypassed,
}

impl PullOutcome {
    /// The word for logs and metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Stale => "stale",
            Self::Revalidated => "revalidated",
            Self::Bypassed => "bypassed",
        }
    }
}

/// How long an answer may be trusted, for cache headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Asked for by digest: never changes.
    Immutable,
    /// A tag inside its time to live.
    Fresh {
        /// Time since upstream last confirmed it.
        age: Duration,
        /// Time until it must be confirmed again.
        remaining: Duration,
    },
    /// A tag past its time to live that upstream could not confirm.
    Stale {
        /// Time since upstream last confirmed it.
        age: Duration,
        /// Why it could not be confirmed.
        reason: Arc<str>,
    },
}
