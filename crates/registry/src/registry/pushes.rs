//! The verbs of pushing, and garbage collection, of the handle on a registry.
//!
//! Must not hold logic of its own; each verb lives in `hosted`. Invariant: every verb takes who pushes, so that none runs
//! before it was decided.

use oci::{Digest, DigestAlgorithm, Reference, RepoKey, UploadId};

use super::Registry;
use crate::hosted::{
    Chunk, GcReport, GcRequest, GcSettings, HostedError, HostedRoute, ManifestPush, Mount, Place, PushedManifest,
    Pusher, Shown,
};

impl Registry {
    /// Decides whether a caller may push to a hosted repository, and as whom.
    ///
    /// # Errors
    /// `Unauthorized` for whoever may not.
    pub fn authorize_push(&self, route: &HostedRoute, shown: Shown) -> Result<Pusher, HostedError> {
        crate::hosted::authorize_push(&route.repo, shown)
    }

    /// Begins an upload; `algorithm` is what its bytes are hashed with as they come.
    pub async fn begin_upload(
        &self,
        route: &HostedRoute,
        pusher: Pusher,
        algorithm: DigestAlgorithm,
    ) -> Result<UploadId, HostedError> {
        self.core.hosted.begin_upload(route, pusher, algorithm).await
    }

    /// Takes a blob in one request.
    pub async fn push_blob(
        &self,
        route: &HostedRoute,
        pusher: Pusher,
        digest: &Digest,
        chunk: Chunk,
    ) -> Result<(), HostedError> {
        self.core.hosted.push_blob(route, pusher, digest, chunk).await
    }

    /// Links a blob that another name has; false when it is not there for this caller.
    pub async fn mount_blob(
        &self,
        route: &HostedRoute,
        pusher: Pusher,
        digest: &Digest,
        mount: &Mount,
    ) -> Result<bool, HostedError> {
        let of_group = match mount {
            Mount::From(Place::Group(from)) => {
                let from = crate::groups::mount_source(&self.core, from).await;
                let from = from.map_err(|error| HostedError::storage(&error))?;
                Some(from.map_or(Mount::Nowhere, |from| Mount::From(Place::Hosted(from))))
            }
            Mount::From(Place::Hosted(_) | Place::Proxy(_)) | Mount::Anywhere | Mount::Nowhere => None,
        };
        let mount = of_group.as_ref().unwrap_or(mount);
        // Hosted repositories are open to all readers; an account system says here which are not.
        let readable: Vec<RepoKey> = self.core.map().hosted().iter().map(|repo| repo.spec().key.clone()).collect();
        self.core.hosted.mount(route, pusher, digest, mount, &readable).await
    }

    /// Adds a chunk to an upload; how many bytes it has then.
    pub async fn append_upload(
        &self,
        route: &HostedRoute,
        pusher: Pusher,
        id: &UploadId,
        chunk: Chunk,
    ) -> Result<u64, HostedError> {
        self.core.hosted.append(route, pusher, id, chunk).await
    }

    /// How many bytes an upload has. While a request still brings some, it is waited for a moment to end.
    pub async fn upload_status(&self, route: &HostedRoute, pusher: Pusher, id: &UploadId) -> Result<u64, HostedError> {
        self.core.hosted.upload_status(route, pusher, id).await
    }

    /// Ends an upload without a blob.
    pub async fn cancel_upload(&self, route: &HostedRoute, pusher: Pusher, id: &UploadId) -> Result<(), HostedError> {
        self.core.hosted.cancel_upload(route, pusher, id).await
    }

    /// Takes the last chunk of an upload, if there is one, and makes it the blob `digest`.
    pub async fn finish_upload(
        &self,
        route: &HostedRoute,
        pusher: Pusher,
        id: &UploadId,
        digest: &Digest,
        chunk: Option<Chunk>,
    ) -> Result<(), HostedError> {
        self.core.hosted.finish_upload(route, pusher, id, digest, chunk).await
    }

    /// Takes a manifest.
    pub async fn push_manifest(
        &self,
        route: &HostedRoute,
        pusher: Pusher,
        push: ManifestPush,
    ) -> Result<PushedManifest, HostedError> {
        let taken = self.core.hosted.push_manifest(route, pusher, push).await?;
        crate::groups::pushed(&self.core, route).await;
        Ok(taken)
    }

    /// Deletes a tag, or a manifest with all its tags.
    pub async fn delete_manifest(
        &self,
        route: &HostedRoute,
        pusher: Pusher,
        reference: &Reference,
    ) -> Result<(), HostedError> {
        self.core.hosted.delete_manifest(route, pusher, reference).await?;
        crate::groups::tags_moved(&self.core, &route.repo.spec().key, &route.name);
        Ok(())
    }

    /// Takes a blob away from a name.
    pub async fn delete_blob(&self, route: &HostedRoute, _pusher: Pusher, digest: &Digest) -> Result<(), HostedError> {
        self.core.hosted.delete_blob(route, digest).await
    }

    /// Changes how garbage is collected.
    pub fn set_gc(&self, settings: GcSettings) {
        self.core.hosted.gc_set(settings);
    }

    /// Collects garbage of hosted repositories now. Goes on when the caller leaves.
    ///
    /// # Errors
    /// `TooMany` when several wait for a run already; what fails within a run is in its report.
    pub async fn collect_garbage(&self, request: GcRequest) -> Result<GcReport, HostedError> {
        let (core, stopping) = (self.core.clone(), self.stopping.clone());
        let run = tokio::spawn(async move { crate::hosted::collect_garbage(&core, request, &stopping).await });
        run.await.unwrap_or_else(|error| Err(HostedError::storage(&error)))
    }

    /// What the last run did, if there was one since the start.
    pub fn last_gc(&self) -> Option<GcReport> {
        self.core.hosted.last_gc()
    }
}
