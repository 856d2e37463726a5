//! What nobody needs any more: at the start what a crash left, later what nobody went on with.
//!
//! Must not know who pushes. Invariants: a file goes only under the lock of its digest, after the database said that no
//! name has it; what cannot be decided stays; nothing here runs before a request is answered except the list of sessions.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use blob_store::BlobStore;
use oci::{Digest, RepoKey};

use super::access::Pusher;
use super::append::Writing;
use super::error::HostedError;
use super::gc::GcPatience;
use super::sessions::{Session, Stage};
use super::{Hosted, PushLimits};

impl Hosted {
    /// Takes over the sessions of a former process; files without a session, and sessions without a file, go, unless the
    /// database is another one.
    pub(super) async fn take_over_sessions(&self) -> Result<(), HostedError> {
        let bond = self.check_bond(GcPatience::Grace).await;
        if let Err(error) = &bond {
            tracing::warn!(%error, "uploads that have no session are left alone");
        }
        let files: HashSet<_> = self.uploads.list()?.into_iter().collect();
        let mut known = HashSet::new();
        // They were let in before: a limit that has shrunk since does not end them.
        let limits = PushLimits { sessions: u32::MAX, ..PushLimits::default() };
        for row in self.metadata.list_uploads().await? {
            let pusher = Pusher::parse(&row.principal).filter(|_| files.contains(&row.id));
            let Some(pusher) = pusher else {
                if bond.is_err() {
                    continue;
                }
                self.metadata.delete_upload(&row.id).await?;
                continue;
            };
            known.insert(row.id.clone());
            self.sessions.begin(Session::new(&row, pusher, Stage::Left(row.acknowledged)), &limits)?;
        }
        for id in files.difference(&known).filter(|_| bond.is_ok()) {
            tracing::info!(upload = %id, "removing the file of an upload that has ended");
            self.uploads.remove(id).await?;
        }
        Ok(())
    }

    /// Looks for what a crash left without a name.
    pub(crate) async fn sweep_left_overs(&self, stopping: &AtomicBool) -> Result<(), HostedError> {
        self.check_bond(GcPatience::Grace).await?;
        self.sweep_orphans(self.gc.settings().grace, stopping).await.map(drop)
    }

    /// Removes a blob's bytes if no name has it; how many they were.
    pub(super) async fn drop_unneeded(&self, digest: &Digest) -> Result<Option<u64>, HostedError> {
        let _lock = self.locks.lock(digest).await;
        self.drop_unneeded_locked(digest).await
    }

    /// The same for whoever holds the lock of the digest.
    pub(super) async fn drop_unneeded_locked(&self, digest: &Digest) -> Result<Option<u64>, HostedError> {
        if self.sessions.awaits(digest) {
            return Ok(None);
        }
        // What no row knows needs no write to the database: it goes on a full disk too.
        if self.metadata.has_hosted_blob(digest).await? && !self.metadata.forget_hosted_blob(digest).await? {
            return Ok(None);
        }
        let freed = self.uploads.store().delete(digest).await?;
        if freed.is_some() {
            tracing::debug!(%digest, "removed a blob that nobody has any more");
        }
        Ok(freed)
    }

    /// Ends sessions that rested longer than their repository allows; `ttl` is `None` for one that is not there now, whose
    /// sessions wait as long as any may.
    pub(crate) async fn sweep_sessions(self: &Arc<Self>, ttl: impl Fn(&RepoKey) -> Option<Duration>) {
        let now = SystemTime::now();
        for session in self.sessions.all() {
            let ttl = ttl(&session.owner.repo).unwrap_or(PushLimits::default().session_ttl);
            if session.rested(now) < ttl {
                continue;
            }
            // Somebody writes to it: it does not rest.
            let Ok(stage) = session.stage.clone().try_lock_owned() else { continue };
            tracing::info!(upload = %session.id, repo_key = %session.owner.repo, name = %session.name, "an upload expired");
            let limits = PushLimits::default();
            self.end(&mut Writing { session, stage, limits }).await;
        }
    }
}
