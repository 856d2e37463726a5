//! The weather at the hosts of all upstreams, for administrators and metrics.
//!
//! Must not know HTTP, and asks nobody. Invariants: one entry for each scheme, host and port, however many repositories
//! pull from it; accounts stand there by name, without secrets.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use client::{AccountReport, BreakerState, HostReport, OwnLimits, RateLimit};
use serde_json::{Value, json};

use crate::repositories::Repository;
use crate::sources::Upstream;

/// One host and who pulls from it.
pub(crate) struct Host {
    pub(crate) report: HostReport,
    users: Vec<(Arc<Repository>, Arc<Upstream>)>,
}

/// All hosts, by their origin.
pub(crate) fn hosts<'a>(repositories: impl Iterator<Item = &'a Arc<Repository>>) -> Vec<Host> {
    by_origin(repositories).into_values().collect()
}

/// All hosts as documents.
pub(crate) fn documents<'a>(repositories: impl Iterator<Item = &'a Arc<Repository>>) -> Value {
    by_origin(repositories).into_iter().map(|(origin, host)| document(&origin, &host)).collect()
}

fn by_origin<'a>(repositories: impl Iterator<Item = &'a Arc<Repository>>) -> BTreeMap<String, Host> {
    let mut hosts = BTreeMap::new();
    for repository in repositories {
        for upstream in repository.sources().iter() {
            let client = upstream.client();
            let new = || Host { report: client.host_report(), users: Vec::new() };
            let host: &mut Host = hosts.entry(client.origin()).or_insert_with(new);
            host.users.push((repository.clone(), upstream.clone()));
        }
    }
    hosts
}

fn document(origin: &str, host: &Host) -> Value {
    let HostReport { upstream, breaker, latency, error_rate, blocked_until, accounts } = &host.report;
    let open_until = match breaker {
        BreakerState::Open { until } => Some(*until),
        BreakerState::Closed | BreakerState::HalfOpen => None,
    };
    json!({
        "upstream": &**upstream,
        "url": origin,
        "breaker": breaker.as_str(),
        "breaker_open_until": open_until.map(date),
        "latency_ms": latency.map(|latency| u64::try_from(latency.as_millis()).unwrap_or(u64::MAX)),
        "error_rate": rounded(*error_rate),
        "blocked_until": blocked_until.map(date),
        "limits": host.users.iter().find_map(|(_, upstream)| upstream.host_limits()).map(limits),
        "accounts": accounts.iter().map(account).collect::<Vec<_>>(),
        "repositories": host.users.iter().map(|(repository, upstream)| user(repository, upstream)).collect::<Vec<_>>(),
    })
}

/// Our own limits; what is not limited is null.
fn limits(limits: OwnLimits) -> Value {
    json!({
        "requests_per_second": limits.requests_per_second,
        "bytes_per_second": limits.bytes_per_second,
        "concurrent_requests": limits.concurrent_requests,
    })
}

fn account(account: &AccountReport) -> Value {
    json!({
        "name": account.name,
        "blocked_until": account.blocked_until.map(date),
        "pulls_blocked_until": account.pulls_blocked_until.map(date),
        "rate_limit": account.rate_limit.as_ref().map(rate_limit),
    })
}

fn rate_limit(limit: &RateLimit) -> Value {
    json!({
        "limit": limit.limit,
        "remaining": limit.remaining,
        "window_seconds": limit.window.map(|window| window.as_secs()),
        "source": limit.source,
        "seen_at": date(limit.seen_at),
        "exhausted_in_seconds": limit.exhausted_in.map(|left| left.as_secs()),
        "is_low": limit.is_low,
        "is_reserved": limit.is_reserved,
    })
}

/// A repository that pulls from the host, and how its own questions fare there.
fn user(repository: &Repository, upstream: &Upstream) -> Value {
    let (_, error_rate) = upstream.latency_and_error_rate();
    let check = upstream.health().last();
    json!({
        "repository": &**repository.key(),
        "role": upstream.role().as_str(),
        "error_rate": rounded(error_rate),
        "checked_seconds_ago": check.as_ref().map(|check| check.at.elapsed().as_secs()),
        "up": check.as_ref().map(|check| check.failed.is_none()),
        "limits": Some(repository.spec().limits).filter(|own| *own != OwnLimits::default()).map(limits),
        "problem": check.and_then(|check| check.failed).map(|why| why.to_string()),
    })
}

fn rounded(share: f64) -> f64 {
    (share * 1000.0).round() / 1000.0
}

/// A moment of the monotonic clock as people write dates.
fn date(at: impl Into<std::time::Instant>) -> String {
    let (at, now) = (at.into(), std::time::Instant::now());
    let date = match at.checked_duration_since(now) {
        Some(ahead) => SystemTime::now().checked_add(ahead),
        None => SystemTime::now().checked_sub(now.saturating_duration_since(at)),
    };
    let date = date.unwrap_or(SystemTime::UNIX_EPOCH);
    humantime::format_rfc3339_seconds(date).to_string()
}
