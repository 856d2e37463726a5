//! Who may be asked, and what the weather is like there.
//!
//! Must not ask them. Invariant: credentials are named, never obtained.

use std::time::Duration;

use client::{BreakerState, Login};
use tokio::time::Instant;

use super::answer::{ExplainedCredential, ExplainedRateLimit, ExplainedUpstream};
use crate::repositories::Route;
use crate::sources::Upstream;

/// The upstreams of the route's repository, the named one first.
pub(super) fn explained(route: &Route) -> Vec<ExplainedUpstream> {
    route.repo.sources().iter().map(|upstream| of(route, upstream)).collect()
}

fn of(route: &Route, upstream: &Upstream) -> ExplainedUpstream {
    let until = |at: Instant| at.saturating_duration_since(Instant::now()).as_secs();
    let name = upstream.canonical_name(route.name.clone());
    let weather = upstream.client().weather_for(&name);
    let credential = upstream.client().credential_for(&name);
    let millis = |latency: Duration| u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
    let token_for_s = match upstream.client().login_for(&name) {
        Login::Token { lives, .. } => lives.map(|lives| lives.as_secs()),
        Login::Configured | Login::NotAskedFor => None,
    };
    ExplainedUpstream {
        token_for_s,
        address: upstream.address().to_string(),
        role: upstream.role().as_str().to_owned(),
        credential: credential
            .map(|label| ExplainedCredential { name: label.name.to_string(), kind: label.kind.to_owned() }),
        breaker: weather.breaker.as_str().to_owned(),
        open_for_s: match weather.breaker {
            BreakerState::Open { until: at } => Some(until(at)),
            BreakerState::Closed | BreakerState::HalfOpen => None,
        },
        blocked_for_s: weather.blocked_until.map(until),
        latency_ms: weather.latency.map(millis),
        error_rate: (weather.error_rate * 1000.0).round() / 1000.0,
        problem: upstream.health().last().and_then(|checked| checked.failed).map(|why| why.to_string()),
        rate_limit: weather.rate_limit.map(|limit| ExplainedRateLimit {
            account: limit.account,
            limit: limit.limit,
            remaining: limit.remaining,
            window_s: limit.window.map(|window| window.as_secs()),
            seen_s_ago: limit.seen_at.elapsed().as_secs(),
        }),
    }
}
