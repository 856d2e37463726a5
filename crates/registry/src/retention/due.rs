//! When retention runs by itself.
//!
//! Must not know rules. Invariant: it runs one interval after it was set as it is now, and not before: there is that much
//! time to look at a plan. What was set before, and what stood there before, counts for nothing.

use std::sync::Arc;
use std::time::SystemTime;

use metadata::{LastDone, Metadata, MetadataError};
use oci::{Digest, RepoKey};

use super::{Retention, RetentionSpec};
use crate::hosted::{HostedError, HostedRepository, HostedSpec};
use crate::repositories::RepositoryMap;

/// Who deletes when nobody asks.
const BY_ITSELF: &str = "retention";
/// Under this name it is noted when retention last ran by itself, or was set.
const RAN: &str = "retention";

impl Retention {
    /// Runs where it is due.
    pub(crate) async fn run_due(&self) {
        let map = self.core.map().clone();
        if let Err(error) = self.forget_others(&map).await {
            tracing::warn!(%error, "when retention ran where it is not set any more could not be forgotten; it is tried again");
        }
        for repo in map.hosted().iter() {
            if let Err(error) = self.run_if_due(repo).await {
                tracing::warn!(repo_key = %repo.key(), %error, "retention could not run; it is tried again");
            }
        }
    }

    /// Forgets when it ran where it does not run any more. Otherwise it would be due at once when it is set again.
    async fn forget_others(&self, map: &RepositoryMap) -> Result<(), MetadataError> {
        for key in self.core.metadata.done_in(RAN).await? {
            forget_unless_set(&self.core.metadata, &key, map.hosted().get(key.as_str()).map(|repo| repo.spec()))
                .await?;
        }
        Ok(())
    }

    async fn run_if_due(&self, repo: &Arc<HostedRepository>) -> Result<(), HostedError> {
        let Some(retention) = &repo.spec().retention else { return Ok(()) };
        let Some(interval) = retention.interval else { return Ok(()) };
        let (key, metadata) = (&repo.spec().key, &self.core.metadata);
        let now = LastDone { at: SystemTime::now(), settings: settings(retention) };
        let last = metadata.last_done(RAN, key).await?.filter(|last| last.settings == now.settings);
        let Some(last) = last else {
            // Set, or changed, a moment ago.
            return Ok(metadata.note_done(RAN, key, now).await?);
        };
        // A clock that was set back is no reason to wait for years.
        if last.at <= now.at && now.at.duration_since(last.at).is_ok_and(|ago| ago < interval) {
            return Ok(());
        }
        let planned = self.make_plan(repo).await?;
        self.carry_out(repo, planned, BY_ITSELF).await?;
        Ok(metadata.note_done(RAN, key, now).await?)
    }
}

/// Forgets when retention ran in a repository that has none that runs by itself (any more).
pub(crate) async fn forget_unless_set(
    metadata: &Metadata,
    key: &RepoKey,
    spec: Option<&HostedSpec>,
) -> Result<(), MetadataError> {
    let interval = spec.and_then(|spec| spec.retention.as_ref()?.interval);
    if interval.is_none() {
        metadata.forget_done(RAN, key).await?;
    }
    Ok(())
}

/// A number for rules and interval: after an update that reads them otherwise, it is another one too.
fn settings(retention: &RetentionSpec) -> i64 {
    let digest = Digest::sha256_of(format!("{retention:?}").as_bytes());
    digest
        .hex()
        .bytes()
        .take(15)
        .fold(0, |number, digit| number * 16 + i64::from((digit as char).to_digit(16).unwrap_or(0)))
}
