//! Bytes of an upload, from a client's body to its file.
//!
//! Must not know HTTP. Invariants: a task owns the upload while it grows, so a client that leaves stops nothing half-way;
//! memory for one body is bounded; what a response acknowledges is durable; a chunk of the wrong length changes nothing.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use blob_store::{Mark, Upload};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use oci::{ByteRange, UploadId};
use tokio::sync::OwnedMutexGuard;

use super::Hosted;
use super::access::Pusher;
use super::error::HostedError;
use super::repository::HostedRoute;
use super::sessions::{Session, Stage};
use super::spec::PushLimits;

/// Bytes gathered before they are written: what one upload holds in memory.
const BATCH_BYTES: usize = 128 << 10;
/// Pieces gathered at most: a piece of one byte holds a whole buffer of its connection.
const BATCH_PIECES: usize = 32;
/// Bytes written before they are made durable: so much at most is left to do when the body ends, and is lost in a crash.
const SYNC_EVERY_BYTES: u64 = 64 << 20;
/// How long the writer of an upload may take to end. A connection that broke off is read to the end of what had come, and
/// whoever goes on at once, on another connection, is answered after that and not with a state that is about to change.
const WRITER_ENDS_WITHIN: Duration = Duration::from_secs(2);

/// A request's body. An error is a body that broke off, and says how.
pub type BodyStream = Pin<Box<dyn Stream<Item = Result<Bytes, String>> + Send>>;

/// What a request brings for an upload.
pub struct Chunk {
    /// Which bytes of the blob they are, if it says so.
    pub range: Option<ByteRange>,
    /// The bytes.
    pub body: BodyStream,
}

/// An upload while one request writes to it.
pub(super) struct Writing {
    pub(super) session: Arc<Session>,
    pub(super) stage: OwnedMutexGuard<Stage>,
    pub(super) limits: PushLimits,
}

impl Hosted {
    /// Bytes that a session has received.
    pub(crate) async fn upload_status(
        &self,
        route: &HostedRoute,
        pusher: Pusher,
        id: &UploadId,
    ) -> Result<u64, HostedError> {
        let session = self.sessions.find(route, pusher, id)?;
        // One that writes on has its bytes counted as they come.
        drop(writer_ended(&session).await);
        // It may have ended the session.
        self.sessions.find(route, pusher, id).map(|session| session.received())
    }

    /// Adds a chunk to a session; how many bytes it has then.
    pub(crate) async fn append(
        self: &Arc<Self>,
        route: &HostedRoute,
        pusher: Pusher,
        id: &UploadId,
        chunk: Chunk,
    ) -> Result<u64, HostedError> {
        let mut writing = self.write_to(route, pusher, id).await?;
        let hosted = self.clone();
        let task = tokio::spawn(async move { hosted.receive(&mut writing, chunk).await });
        task.await.unwrap_or_else(|error| Err(HostedError::storage(&error)))
    }

    /// Becomes the one writer of a session.
    pub(super) async fn write_to(
        &self,
        route: &HostedRoute,
        pusher: Pusher,
        id: &UploadId,
    ) -> Result<Writing, HostedError> {
        let session = self.sessions.find(route, pusher, id)?;
        let stage = writer_ended(&session).await.ok_or(HostedError::UploadBusy)?;
        Ok(Writing { session, stage, limits: route.repo.spec().limits })
    }

    /// Receives a chunk.
    pub(super) async fn receive(&self, writing: &mut Writing, chunk: Chunk) -> Result<u64, HostedError> {
        self.wake(writing).await?;
        let Writing { session, stage, limits } = writing;
        let Stage::Growing(upload) = &mut **stage else { return Err(HostedError::UploadUnknown) };
        let start = upload.len();
        if chunk.range.is_some_and(|range| range.start != start) {
            return Err(HostedError::OutOfOrder { received: start });
        }
        let mark = upload.mark();
        let most = chunk.range.map_or(u64::MAX, |range| range.len());
        let poured = self.pour(session, upload, limits, (chunk.body, most)).await;
        let (len, came) = (upload.len(), upload.len() - start);
        let wrong = match &poured {
            Err(Stop::TooMuch(came)) => Some(*came),
            Ok(()) if chunk.range.is_some() && most != came => Some(came),
            Ok(()) | Err(_) => None,
        };
        if let Some(received) = wrong {
            self.take_back(session, upload, mark).await?;
            return Err(HostedError::SizeInvalid { announced: most, received });
        }
        let synced = match &poured {
            Err(Stop::Lost(error)) => Err(error.clone()),
            Ok(()) | Err(Stop::Refused(_) | Stop::TooMuch(_)) => self.acknowledge(session, upload).await,
        };
        if let Err(error) = synced {
            tracing::error!(upload = %session.id, %error, "an upload could not be made durable and is given up");
            self.end(writing).await;
            return Err(error.upload_lost());
        }
        match poured {
            Err(Stop::Refused(error) | Stop::Lost(error)) => Err(error),
            Ok(()) | Err(Stop::TooMuch(_)) => Ok(len),
        }
    }

    /// Goes back to where a session was. The database is told first: a file that is shorter than what it says is the end of
    /// the upload at the next start.
    pub(super) async fn take_back(
        &self,
        session: &Session,
        upload: &mut Upload,
        mark: Mark,
    ) -> Result<(), HostedError> {
        if let Err(error) = self.metadata.shorten_upload(&session.id, mark.len()).await {
            tracing::warn!(upload = %session.id, %error, "an upload went back, and that could not be recorded");
        }
        self.sessions.shrink(session, mark.len());
        Ok(upload.rewind(mark).await?)
    }

    /// Writes a body as it comes, of `most` bytes at most.
    async fn pour(
        &self,
        session: &Session,
        upload: &mut Upload,
        limits: &PushLimits,
        (mut body, most): (BodyStream, u64),
    ) -> Result<(), Stop> {
        let (mut unsynced, mut came) = (0, 0_u64);
        loop {
            let (batch, end) = gather(&mut body).await;
            let bytes: u64 = batch.iter().map(|piece| piece.len() as u64).sum();
            came += bytes;
            if came > most {
                return Err(Stop::TooMuch(came));
            }
            if upload.len().saturating_add(bytes) > limits.blob_bytes {
                return Err(Stop::Refused(HostedError::TooLarge { what: "the blob", limit: limits.blob_bytes }));
            }
            if bytes > 0 {
                self.sessions.grow(session, bytes, limits).map_err(Stop::Refused)?;
                if let Err(error) = upload.append(batch).await {
                    self.sessions.shrink(session, upload.len());
                    return Err(Stop::Refused(error.into()));
                }
                unsynced += bytes;
            }
            match end {
                End::More if unsynced >= SYNC_EVERY_BYTES => {
                    self.acknowledge(session, upload).await.map_err(Stop::Lost)?;
                    unsynced = 0;
                }
                End::More => {}
                End::Complete => return Ok(()),
                End::Broke(why) => {
                    return Err(Stop::Refused(HostedError::BodyBroke { received: upload.len(), why: why.into() }));
                }
            }
        }
    }

    /// Makes what a session has durable and notes it.
    async fn acknowledge(&self, session: &Session, upload: &Upload) -> Result<(), HostedError> {
        upload.sync().await?;
        let now = SystemTime::now();
        session.touch(now);
        if let Err(error) = self.metadata.acknowledge_upload(&session.id, upload.len(), now).await {
            // The bytes are there; a restart would only go back to where it was noted last.
            tracing::warn!(upload = %session.id, %error, "an upload's progress could not be recorded");
        }
        Ok(())
    }

    /// Opens what a former process left, and hashes it: the digest is then known when the last byte comes.
    pub(super) async fn wake(&self, writing: &mut Writing) -> Result<(), HostedError> {
        let Stage::Left(len) = *writing.stage else { return Ok(()) };
        let session = &writing.session;
        if let Some(mut upload) = self.uploads.reopen(&session.id, len).await? {
            upload.hash(session.algorithm).await?;
            *writing.stage = Stage::Growing(upload);
            return Ok(());
        }
        tracing::warn!(upload = %session.id, "the file of an upload is gone; the upload is given up");
        self.end(writing).await;
        Err(HostedError::UploadUnknown)
    }

    /// Ends a session: its row, its file, its place in the limits. What cannot be removed now goes at the next start.
    pub(super) async fn end(&self, writing: &mut Writing) {
        *writing.stage = Stage::Ended;
        let id = &writing.session.id;
        self.sessions.end(&writing.session);
        if let Err(error) = self.metadata.delete_upload(id).await {
            tracing::warn!(upload = %id, %error, "an ended upload's row is left until the next start");
        }
        if let Err(error) = self.uploads.remove(id).await {
            tracing::warn!(upload = %id, %error, "an ended upload's file is left until the next start");
        }
    }
}

/// Waits a moment for the writer of a session, if it has one, and takes its place.
async fn writer_ended(session: &Session) -> Option<OwnedMutexGuard<Stage>> {
    tokio::time::timeout(WRITER_ENDS_WITHIN, session.stage.clone().lock_owned()).await.ok()
}

/// Why a body was not written to its end.
enum Stop {
    /// What came before is good.
    Refused(HostedError),
    /// More came than was announced: so many bytes until then.
    TooMuch(u64),
    /// A sync failed: nothing of the upload can be trusted any more.
    Lost(HostedError),
}

/// How a batch ended.
enum End {
    More,
    Complete,
    Broke(String),
}

/// Takes what comes until there is a batch of it, or nothing more.
async fn gather(body: &mut BodyStream) -> (Vec<Bytes>, End) {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while bytes < BATCH_BYTES && batch.len() < BATCH_PIECES {
        match body.next().await {
            Some(Ok(piece)) => {
                bytes += piece.len();
                batch.push(piece);
            }
            Some(Err(why)) => return (batch, End::Broke(why)),
            None => return (batch, End::Complete),
        }
    }
    (batch, End::More)
}
