//! Beginning an upload, and making it a blob.
//!
//! Must not know HTTP. Invariants: a blob gets its name only after its bytes hashed to it; the answer waits for the bytes'
//! sync, the name's sync and the row's, in this order; the last step takes no longer for a large blob than for a small
//! one, because hash and sync ran along.

use std::sync::Arc;
use std::time::SystemTime;

use blob_store::{Unpublished, Upload};
use metadata::UploadRow;
use oci::{Digest, DigestAlgorithm, UploadId};

use super::Hosted;
use super::access::Pusher;
use super::append::{Chunk, Writing};
use super::error::HostedError;
use super::repository::HostedRoute;
use super::sessions::{Session, Stage};

/// How long a session may live.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    /// From request to request, also over a restart.
    Requests,
    /// As long as the request that began it: what a crash leaves of it is a file without a row, which goes.
    OneRequest,
}

impl Hosted {
    /// Begins a session.
    pub(crate) async fn begin_upload(
        &self,
        route: &HostedRoute,
        pusher: Pusher,
        algorithm: DigestAlgorithm,
    ) -> Result<UploadId, HostedError> {
        let session = self.begin(route, pusher, algorithm, Life::Requests).await?;
        Ok(session.id.clone())
    }

    /// Takes a blob in one request: a session that nobody else gets to know.
    pub(crate) async fn push_blob(
        self: &Arc<Self>,
        route: &HostedRoute,
        pusher: Pusher,
        digest: &Digest,
        chunk: Chunk,
    ) -> Result<(), HostedError> {
        let (hosted, route, digest) = (self.clone(), route.clone(), *digest);
        // On its own, as below.
        let task = tokio::spawn(async move {
            let session = hosted.begin(&route, pusher, digest.algorithm(), Life::OneRequest).await?;
            let writing = hosted.write_to(&route, pusher, &session.id).await?;
            let finished = hosted.finish(writing, &route, &digest, Some(chunk)).await;
            if finished.is_err() {
                // Its id was never told: nobody can go on with it.
                hosted.give_up(&session).await;
            }
            finished
        });
        task.await.unwrap_or_else(|error| Err(HostedError::storage(&error)))
    }

    /// Takes the last chunk, if there is one, and makes the upload the blob `digest`. When the bytes are others, the
    /// session is as before this request.
    pub(crate) async fn finish_upload(
        self: &Arc<Self>,
        route: &HostedRoute,
        pusher: Pusher,
        id: &UploadId,
        digest: &Digest,
        chunk: Option<Chunk>,
    ) -> Result<(), HostedError> {
        let writing = self.write_to(route, pusher, id).await?;
        let (hosted, route, digest) = (self.clone(), route.clone(), *digest);
        // On its own: a client that leaves now must not leave a blob without its row.
        let task = tokio::spawn(async move { hosted.finish(writing, &route, &digest, chunk).await });
        task.await.unwrap_or_else(|error| Err(HostedError::storage(&error)))
    }

    /// Ends a session without a blob.
    pub(crate) async fn cancel_upload(
        &self,
        route: &HostedRoute,
        pusher: Pusher,
        id: &UploadId,
    ) -> Result<(), HostedError> {
        let mut writing = self.write_to(route, pusher, id).await?;
        self.end(&mut writing).await;
        Ok(())
    }

    async fn begin(
        &self,
        route: &HostedRoute,
        pusher: Pusher,
        algorithm: DigestAlgorithm,
        life: Life,
    ) -> Result<Arc<Session>, HostedError> {
        let (repo, name) = route.place();
        let id: UploadId = uuid::Uuid::new_v4().to_string().parse().expect("a UUID is written as ids are");
        let row = UploadRow {
            id,
            repo: repo.clone(),
            name: name.clone(),
            principal: pusher.as_str().to_owned(),
            algorithm,
            acknowledged: 0,
            touched_at: SystemTime::now(),
        };
        // Counted first: what is refused makes no file.
        let session = self.sessions.begin(Session::new(&row, pusher, Stage::Ended), &route.repo.spec().limits)?;
        let made = async {
            let upload = self.uploads.create(&row.id, algorithm).await?;
            if life == Life::Requests {
                self.metadata.insert_upload(&row).await?;
            }
            Ok::<_, HostedError>(upload)
        };
        match made.await {
            Ok(upload) => {
                *session.stage.lock().await = Stage::Growing(upload);
                Ok(session)
            }
            Err(error) => {
                self.give_up(&session).await;
                Err(error)
            }
        }
    }

    async fn give_up(&self, session: &Arc<Session>) {
        let stage = session.stage.clone().lock_owned().await;
        let limits = super::PushLimits::default();
        self.end(&mut Writing { session: session.clone(), stage, limits }).await;
    }

    async fn finish(
        &self,
        mut writing: Writing,
        route: &HostedRoute,
        digest: &Digest,
        chunk: Option<Chunk>,
    ) -> Result<(), HostedError> {
        if let Stage::Published(published, size) = *writing.stage {
            let _lock = self.locks.lock(&published).await;
            return self.link(&mut writing, route, digest, (published, size)).await;
        }
        self.wake(&mut writing).await?;
        let before = match &*writing.stage {
            Stage::Growing(upload) => upload.mark(),
            Stage::Left(_) | Stage::Published(..) | Stage::Ended => return Err(HostedError::UploadUnknown),
        };
        if let Some(chunk) = chunk {
            self.receive(&mut writing, chunk).await?;
        }
        let Stage::Growing(upload) = &mut *writing.stage else { return Err(HostedError::UploadUnknown) };
        let actual = upload.digest(digest.algorithm()).await?;
        if actual != *digest {
            let session = writing.session.clone();
            self.take_back(&session, upload, before).await?;
            return Err(HostedError::DigestMismatch { said: Box::new(*digest), actual: Box::new(actual) });
        }
        let size = upload.len();
        // From here to the row nobody removes these bytes for being nobody's.
        let _lock = self.locks.lock(digest).await;
        if let Err(error) = self.publish(upload, digest).await {
            let error = match error {
                Unpublished::Kept(error) => error.into(),
                Unpublished::Lost(error) => {
                    tracing::error!(%digest, %error, "an upload could not be made durable and is given up");
                    self.end(&mut writing).await;
                    HostedError::from(error).upload_lost()
                }
            };
            return Err(error);
        }
        *writing.stage = Stage::Published(*digest, size);
        self.sessions.published(&writing.session, digest);
        self.link(&mut writing, route, digest, (*digest, size)).await
    }

    async fn publish(&self, upload: &Upload, digest: &Digest) -> Result<(), Unpublished> {
        self.uploads.publish(digest, upload).await
    }

    /// Links a published blob and ends its session. While the database takes no rows, the session waits for another try.
    async fn link(
        &self,
        writing: &mut Writing,
        route: &HostedRoute,
        digest: &Digest,
        (published, size): (Digest, u64),
    ) -> Result<(), HostedError> {
        if published != *digest {
            return Err(HostedError::DigestMismatch { said: Box::new(*digest), actual: Box::new(published) });
        }
        let (repo, name) = route.place();
        self.metadata.link_hosted_blob(repo, name, (digest, size), Some(&writing.session.id), self.lease()).await?;
        *writing.stage = Stage::Ended;
        self.sessions.end(&writing.session);
        Ok(())
    }
}
