//! Reading pushed blobs, and taking one over from another name.
//!
//! Must not know HTTP. Invariants: a blob is read under a name that links it; a mount tells nothing about a name that the
//! caller may not read: what is not there and what is not for the caller look alike.

use std::sync::Arc;

use blob_store::BlobStore;
use metadata::{HostedBlobRow, MountFrom, Mounted};
use oci::{Digest, RepoKey};

use super::Hosted;
use super::access::Pusher;
use super::error::HostedError;
use super::place::Place;
use super::repository::HostedRoute;
use crate::core::Core;
use crate::error::PullError;
use crate::fill::HostedBlob;
use crate::metrics::PullKind;
use crate::outcome::PullOutcome;
use crate::pull::{BlobFacts, OpenBlob};

/// Where a mounted blob may come from.
#[derive(Clone, Debug)]
pub enum Mount {
    /// From this name.
    From(Place),
    /// From wherever the caller may read it.
    Anywhere,
    /// From a name that leads nowhere.
    Nowhere,
}

/// Opens a pushed blob.
pub(crate) async fn open(core: &Arc<Core>, route: &HostedRoute, digest: &Digest) -> Result<OpenBlob, PullError> {
    let size = find(&core.hosted, route, digest).await?.size;
    let handle = core.hosted.uploads.store().open(digest).await.map_err(HostedError::from)?;
    let Some(handle) = handle.filter(|handle| handle.size() == size) else {
        // Deleted since it was looked for, or damaged.
        Box::pin(find(&core.hosted, route, digest)).await?;
        return Err(damaged(digest).into());
    };
    route.repo.counters().pulled(PullKind::Blob, PullOutcome::Hit);
    let blob = HostedBlob { handle, digest: *digest };
    Ok(OpenBlob::hosted(core, blob, size, route.repo.counters().clone()))
}

/// Tells a pushed blob's size. Whoever is told may leave out its upload: it stays for a lease.
pub(crate) async fn stat(core: &Core, route: &HostedRoute, digest: &Digest) -> Result<BlobFacts, PullError> {
    let HostedBlobRow { size, leased_until } = find(&core.hosted, route, digest).await?;
    let unknown = || HostedError::BlobUnknown(Box::new(*digest));
    if !Box::pin(core.hosted.hold_blob(route, digest, leased_until)).await {
        return Err(unknown().into());
    }
    if core.hosted.uploads.store().stat(digest).await.map_err(HostedError::from)? != Some(size) {
        // Deleted since it was looked for, or damaged. Whoever is told that it is not here pushes it again.
        Box::pin(find(&core.hosted, route, digest)).await?;
        damaged(digest);
        return Err(unknown().into());
    }
    route.repo.counters().pulled(PullKind::Blob, PullOutcome::Hit);
    Ok(BlobFacts { size, outcome: PullOutcome::Hit })
}

async fn find(hosted: &Hosted, route: &HostedRoute, digest: &Digest) -> Result<HostedBlobRow, HostedError> {
    let (repo, name) = route.place();
    let found = hosted.metadata.find_hosted_blob(repo, name, digest).await?;
    found.ok_or_else(|| HostedError::BlobUnknown(Box::new(*digest)))
}

/// Says it once in the log: the only copy is not what it was.
pub(super) fn damaged(digest: &Digest) -> HostedError {
    tracing::error!(%digest, "pushed bytes are damaged or gone; restore them from a backup or push them again");
    HostedError::Damaged(Box::new(*digest))
}

impl Hosted {
    /// Links a blob that another name has; false when it is not there for this caller. `readable` are the repositories
    /// that the caller may read.
    pub(crate) async fn mount(
        &self,
        route: &HostedRoute,
        _pusher: Pusher,
        digest: &Digest,
        mount: &Mount,
        readable: &[RepoKey],
    ) -> Result<bool, HostedError> {
        let from = match mount {
            Mount::From(Place::Hosted(from)) if readable.contains(&from.repo.spec().key) => {
                let (repo, name) = from.place();
                MountFrom::Name(repo, name)
            }
            // What a cache holds is its upstream's to give; it is pushed like anything else.
            Mount::From(Place::Hosted(_) | Place::Proxy(_) | Place::Group(_)) | Mount::Nowhere => return Ok(false),
            Mount::Anywhere => MountFrom::Anywhere(readable),
        };
        let (repo, name) = route.place();
        let _lock = self.locks.lock(digest).await;
        let Some(size) = self.metadata.hosted_blob_size(digest).await? else { return Ok(false) };
        if self.uploads.store().stat(digest).await? != Some(size) {
            // The client pushes it, which heals it.
            damaged(digest);
            return Ok(false);
        }
        let mounted = self.metadata.mount_hosted_blob(repo, name, digest, from, self.lease()).await?;
        Ok(mounted == Mounted::Linked)
    }
}
