//! Leases: what a client was told of stays for a while, needed or not.
//!
//! Must not know why a client asked. Invariants: from each such answer on, a part stays for `gc.lease` at least; an answer
//! writes only when the lease it finds is shorter than that, so at most once in half a lease for each part.

use std::time::{Duration, SystemTime};

use metadata::{GarbageKind, MetadataError};
use oci::Digest;

use super::super::Hosted;
use super::super::repository::HostedRoute;
use super::settings::{GcSettings, Untagged};

/// No lease lasts longer.
const LONGEST: Duration = Duration::from_hours(24 * 365);

impl GcSettings {
    /// Until when a lease is written that is given at `now`: half as long again as it must hold, so that the answers that
    /// follow have nothing to write.
    pub(super) fn lease_until(&self, now: SystemTime) -> SystemTime {
        let lease = self.lease.min(LONGEST);
        now + lease + lease / 2
    }
}

impl Hosted {
    /// Changes the rules of garbage collection.
    pub(crate) fn gc_set(&self, settings: GcSettings) {
        self.gc.set(settings);
    }

    /// Told when they change.
    pub(crate) fn gc_changes(&self) -> tokio::sync::watch::Receiver<GcSettings> {
        self.gc.changes()
    }

    /// What the last run did.
    pub(crate) fn last_gc(&self) -> Option<super::GcReport> {
        self.gc.last()
    }

    /// Waits until no run is under way.
    pub(crate) async fn gc_idle(&self) {
        self.gc.idle().await;
    }

    /// Until when what is pushed or mounted now is held.
    pub(in crate::hosted) fn lease(&self) -> SystemTime {
        self.gc.settings().lease_until(SystemTime::now())
    }

    /// Holds a blob that a client is about to be told of. False when it is gone.
    pub(in crate::hosted) async fn hold_blob(&self, route: &HostedRoute, digest: &Digest, until: SystemTime) -> bool {
        self.hold(GarbageKind::Link, route, digest, until).await
    }

    /// The same of a manifest, where untagged ones may go.
    pub(in crate::hosted) async fn hold_manifest(
        &self,
        route: &HostedRoute,
        digest: &Digest,
    ) -> Result<bool, MetadataError> {
        if route.repo.spec().untagged(&self.gc.settings()) == Untagged::Keep {
            return Ok(true);
        }
        match self.metadata.manifest_lease(route.place(), digest).await? {
            Some(until) => Ok(self.hold(GarbageKind::Manifest, route, digest, until).await),
            None => Ok(false),
        }
    }

    async fn hold(&self, kind: GarbageKind, route: &HostedRoute, digest: &Digest, until: SystemTime) -> bool {
        let (settings, now) = (self.gc.settings(), SystemTime::now());
        if until >= now + settings.lease.min(LONGEST) {
            return true;
        }
        match self.metadata.renew_lease(kind, route.place(), digest, settings.lease_until(now)).await {
            Ok(there) => there,
            Err(error) => {
                // A read goes on when the disk takes no writes. The grace is what is left to whoever asked.
                tracing::warn!(%digest, %error, "a lease could not be written");
                true
            }
        }
    }
}
