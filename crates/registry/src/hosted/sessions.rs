//! Upload sessions: who began one, how far it has come, and how many one may have.
//!
//! Must not know how bytes arrive. Invariants: a session is found only by its repository, name and owner together; its
//! upload has one writer at a time; what a session holds counts against its owner's limits until it ends.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use blob_store::Upload;
use metadata::UploadRow;
use oci::{Digest, DigestAlgorithm, RepoKey, RepositoryName, UploadId};

use super::access::Pusher;
use super::error::HostedError;
use super::repository::HostedRoute;
use super::spec::PushLimits;

/// When to try again after "too many": sessions end on their own time, so any value is a guess.
const TRY_AGAIN: Duration = Duration::from_secs(30);

/// Whose limits a session counts against.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Owner {
    pub(super) repo: RepoKey,
    pub(super) pusher: Pusher,
}

/// An upload session.
pub(super) struct Session {
    pub(super) id: UploadId,
    pub(super) owner: Owner,
    pub(super) name: RepositoryName,
    pub(super) algorithm: DigestAlgorithm,
    /// Whoever holds it writes.
    pub(super) stage: Arc<tokio::sync::Mutex<Stage>>,
    received: AtomicU64,
    /// Seconds since 1970.
    touched: AtomicU64,
}

/// How far a session is.
pub(super) enum Stage {
    /// A former process began it; so many bytes are durable.
    Left(u64),
    /// Bytes arrive.
    Growing(Upload),
    /// The bytes are a blob; the database has not taken the link yet.
    Published(Digest, u64),
    /// Over.
    Ended,
}

/// The sessions of this process, all of them.
#[derive(Default)]
pub(super) struct Sessions {
    live: Mutex<Live>,
}

#[derive(Default)]
struct Live {
    by_id: HashMap<UploadId, Arc<Session>>,
    /// Blobs that are published while the database has not taken their row yet.
    unrecorded: HashMap<UploadId, Digest>,
    /// Bytes and sessions of each owner that has any.
    held: HashMap<Owner, Held>,
}

#[derive(Default)]
struct Held {
    sessions: u32,
    bytes: u64,
}

impl Session {
    pub(super) fn new(row: &UploadRow, pusher: Pusher, stage: Stage) -> Self {
        Self {
            id: row.id.clone(),
            owner: Owner { repo: row.repo.clone(), pusher },
            name: row.name.clone(),
            algorithm: row.algorithm,
            stage: Arc::new(tokio::sync::Mutex::new(stage)),
            received: AtomicU64::new(row.acknowledged),
            touched: AtomicU64::new(seconds(row.touched_at)),
        }
    }

    /// Bytes received so far.
    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    pub(super) fn touch(&self, at: SystemTime) {
        self.touched.store(seconds(at), Ordering::Relaxed);
    }

    /// How long it has rested. A clock that was set back makes it younger, never older.
    pub(super) fn rested(&self, now: SystemTime) -> Duration {
        Duration::from_secs(seconds(now).saturating_sub(self.touched.load(Ordering::Relaxed)))
    }
}

impl Sessions {
    /// Takes a session in, if its owner may have another.
    pub(super) fn begin(&self, session: Session, limits: &PushLimits) -> Result<Arc<Session>, HostedError> {
        let mut live = self.live();
        let held = live.held.entry(session.owner.clone()).or_default();
        if held.sessions >= limits.sessions {
            let what = format!("{} uploads are unfinished, which is the most that is allowed", held.sessions);
            return Err(HostedError::TooMany { what: what.into(), retry_after: TRY_AGAIN });
        }
        held.sessions += 1;
        held.bytes += session.received();
        let session = Arc::new(session);
        live.by_id.insert(session.id.clone(), session.clone());
        Ok(session)
    }

    /// The session with this id, if it belongs to this name and caller.
    pub(super) fn find(&self, route: &HostedRoute, pusher: Pusher, id: &UploadId) -> Result<Arc<Session>, HostedError> {
        let live = self.live();
        let session = live.by_id.get(id).filter(|session| {
            session.owner.repo == route.repo.spec().key && session.owner.pusher == pusher && session.name == route.name
        });
        session.cloned().ok_or(HostedError::UploadUnknown)
    }

    /// Counts `bytes` more for a session, if its owner may have them.
    pub(super) fn grow(&self, session: &Session, bytes: u64, limits: &PushLimits) -> Result<(), HostedError> {
        let mut live = self.live();
        let held = live.held.entry(session.owner.clone()).or_default();
        let sum = held.bytes.saturating_add(bytes);
        if sum > limits.staged_bytes {
            let what =
                format!("unfinished uploads together have {} bytes, {} are allowed", held.bytes, limits.staged_bytes);
            return Err(HostedError::TooMany { what: what.into(), retry_after: TRY_AGAIN });
        }
        held.bytes = sum;
        session.received.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Takes back what was counted beyond `bytes`.
    pub(super) fn shrink(&self, session: &Session, bytes: u64) {
        let mut live = self.live();
        let before = session.received.swap(bytes, Ordering::Relaxed);
        if let Some(held) = live.held.get_mut(&session.owner) {
            held.bytes = held.bytes.saturating_sub(before.saturating_sub(bytes));
        }
    }

    /// Notes that the bytes of `digest` belong to a session until it ends.
    pub(super) fn published(&self, session: &Session, digest: &Digest) {
        self.live().unrecorded.insert(session.id.clone(), *digest);
    }

    /// Whether a session waits for the row of this blob.
    pub(super) fn awaits(&self, digest: &Digest) -> bool {
        self.live().unrecorded.values().any(|published| published == digest)
    }

    /// Forgets a session.
    pub(super) fn end(&self, session: &Session) {
        let mut live = self.live();
        live.unrecorded.remove(&session.id);
        if live.by_id.remove(&session.id).is_none() {
            return;
        }
        let Some(held) = live.held.get_mut(&session.owner) else { return };
        held.sessions -= 1;
        held.bytes = held.bytes.saturating_sub(session.received());
        if held.sessions == 0 {
            live.held.remove(&session.owner);
        }
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Arc<Session>> {
        self.live().by_id.values().cloned().collect()
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
