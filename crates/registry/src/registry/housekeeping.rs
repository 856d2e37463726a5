//! What a registry does in the background: flushes, sweeps, garbage collection, fills of a former run.
//!
//! Must not answer requests. Invariant: each loop ends once the registry is stopping, and an error ends none of them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use oci::{RepoKey, RepositoryName};

use super::Registry;
use crate::access::Admission;
use crate::fill::{Edge, Origin};
use crate::hosted::{GcMode, GcPatience, GcRequest};

/// How often access times go to the database.
const FLUSH_EVERY: Duration = Duration::from_secs(2);
/// How often uploads that nobody goes on with are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(30);

impl Registry {
    /// The background work: reconcile once, then flush access times.
    pub(super) async fn keep_house(self) {
        if let Err(error) = self.core.cache.reconcile().await {
            tracing::error!(%error, "database and disk could not be compared; the next start tries again");
        }
        self.core.cache.shrink().await;
        let mut tick = tokio::time::interval(FLUSH_EVERY);
        while !self.stopping.load(Ordering::Relaxed) {
            tick.tick().await;
            if let Err(error) = self.core.cache.flush_access_times().await {
                tracing::warn!(%error, "access times could not be written");
            }
            if let Err(error) = self.core.hosted.flush_pulls().await {
                tracing::warn!(%error, "times of pulls could not be written");
            }
        }
    }

    /// The same for what was pushed: once what a crash left, then what nobody goes on with.
    pub(super) async fn keep_hosted(self) {
        if let Err(error) = self.core.hosted.sweep_left_overs(&self.stopping).await {
            tracing::error!(%error, "what a crash may have left could not be removed; garbage collection tries again");
        }
        tokio::spawn(self.clone().keep_collecting());
        let mut tick = tokio::time::interval(SWEEP_EVERY);
        while !self.stopping.load(Ordering::Relaxed) {
            tick.tick().await;
            let map = self.core.map().clone();
            let ttl = |key: &RepoKey| map.hosted().get(key.as_str()).map(|repo| repo.spec().limits.session_ttl);
            self.core.hosted.sweep_sessions(ttl).await;
            self.retention().run_due().await;
        }
    }

    /// Collects garbage at the start and then by the interval.
    pub(super) async fn keep_collecting(self) {
        let mut changes = self.core.hosted.gc_changes();
        loop {
            let interval = changes.borrow_and_update().interval;
            if interval.is_some() && !self.stopping.load(Ordering::Relaxed) {
                let request = GcRequest { mode: GcMode::Collect, patience: GcPatience::Grace };
                if let Err(error) = self.collect_garbage(request).await {
                    tracing::debug!(%error, "no garbage collection this time");
                }
            }
            let pause = async {
                match interval {
                    Some(interval) => tokio::time::sleep(interval).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = pause => {}
                told = changes.changed() => if told.is_err() { return },
            }
        }
    }

    /// Continues the whole fills that a former run left.
    pub(super) async fn resume_fills(self) {
        let staged = match self.core.cache.staging().list() {
            Ok(staged) => staged,
            Err(error) => {
                return tracing::error!(%error, "staging cannot be listed; fills of a former run wait for a pull");
            }
        };
        let map = self.core.map().clone();
        let origins = staged.into_iter().filter(|s| s.note.whole).filter_map(|staged| {
            // Where callers pull with their own accounts, there is nobody to fetch for: it waits for the next pull.
            let repo = map.get(&staged.note.repo_key).filter(|repo| !repo.is_passthrough())?.clone();
            let name: RepositoryName = staged.note.name.parse().ok()?;
            // Not known to be confirmed: a first byte may have come while nobody asked the named upstream yet.
            Some(Origin {
                repo,
                name,
                digest: staged.digest,
                trace: None,
                admission: Admission::Open,
                edge: Edge::Unconfirmed,
                foreign: None,
            })
        });
        self.core.fills.resume(origins.collect()).await;
    }
}
