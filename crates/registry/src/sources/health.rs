//! Background checks: is each upstream of a repository in use there?
//!
//! Must not know pulls. Invariants: what a check finds only changes who is asked first, never whether the cache
//! answers; repositories that nobody uses are not checked.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::Upstream;
use crate::core::Core;
use crate::repositories::{HealthCheck, Repository};

/// How often the loop looks for checks that are due.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A repository nobody asked for this long is not in use.
const IN_USE_FOR: Duration = Duration::from_mins(10);
/// A check takes at most this long.
const PATIENCE: Duration = Duration::from_secs(10);

/// When requests last came; written on the hot path, so no more than one store.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    last: AtomicU64,
}

impl Usage {
    /// Notes a request.
    pub(crate) fn touch(&self) {
        self.last.store(seconds_now(), Ordering::Relaxed);
    }

    fn is_recent(&self) -> bool {
        seconds_now().saturating_sub(self.last.load(Ordering::Relaxed)) <= IN_USE_FOR.as_secs()
    }
}

fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// What the last check of one upstream found.
#[derive(Debug, Default)]
pub(crate) struct Health {
    last: Mutex<Option<Checked>>,
}

/// One check.
#[derive(Clone, Debug)]
pub(crate) struct Checked {
    /// When it was made.
    pub(crate) at: Instant,
    /// Why it failed; `None` when it did not.
    pub(crate) failed: Option<Arc<str>>,
}

impl Health {
    /// The last check, if there was one.
    pub(crate) fn last(&self) -> Option<Checked> {
        self.lock().clone()
    }

    /// Whether the last check, if any, was answered.
    pub(crate) fn is_good(&self) -> bool {
        self.lock().as_ref().is_none_or(|checked| checked.failed.is_none())
    }

    fn is_due(&self, every: Duration) -> bool {
        self.lock().as_ref().is_none_or(|checked| checked.at.elapsed() >= every)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Checked>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Checks for as long as `core` runs.
pub(crate) async fn keep_checking(core: Arc<Core>, is_stopping: impl Fn() -> bool) {
    let mut tick = tokio::time::interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while !is_stopping() {
        tick.tick().await;
        let mut checks: FuturesUnordered<_> = due(&core)
            .into_iter()
            .map(|(repo, upstream)| {
                let core = core.clone();
                async move { check(&core, &repo, &upstream).await }
            })
            .collect();
        while checks.next().await.is_some() {}
    }
}

fn due(core: &Core) -> Vec<(Arc<Repository>, Arc<Upstream>)> {
    let map = core.map();
    let mut due = Vec::new();
    for repo in map.iter() {
        let HealthCheck::Every(every) = repo.spec().health_check else { continue };
        if !repo.sources().usage().is_recent() {
            continue;
        }
        let upstreams = repo.sources().iter().filter(|upstream| upstream.health().is_due(every));
        due.extend(upstreams.map(|upstream| (repo.clone(), upstream.clone())));
    }
    due
}

async fn check(core: &Core, repo: &Repository, upstream: &Upstream) {
    let ping = tokio::time::timeout(PATIENCE, upstream.timed(Box::pin(upstream.client().ping())));
    let failed: Option<Arc<str>> = match ping.await {
        Ok(Ok(())) => None,
        // A login that is not taken is an answer: the registry is there.
        Ok(Err(error)) if !super::ask::is_its_fault(&error) => {
            tracing::debug!(repo_key = %repo.key(), upstream = %upstream.address(), %error, "the upstream answers a check, though not as it should");
            None
        }
        Ok(Err(error)) => Some(error.to_string().into()),
        Err(_) => Some(format!("no answer within {} s", PATIENCE.as_secs()).into()),
    };
    core.metrics.checked(repo.key(), upstream.client().upstream(), failed.is_none());
    let before = upstream.health.lock().replace(Checked { at: Instant::now(), failed: failed.clone() });
    let was_good = before.is_none_or(|checked| checked.failed.is_none());
    match failed {
        Some(why) if was_good => {
            tracing::warn!(repo_key = %repo.key(), upstream = %upstream.address(), %why, "an upstream does not answer its health check; it is asked last");
        }
        None if !was_good => {
            tracing::info!(repo_key = %repo.key(), upstream = %upstream.address(), "an upstream answers its health check again");
        }
        Some(_) | None => {}
    }
}
