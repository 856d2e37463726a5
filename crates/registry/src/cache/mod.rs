//! The bytes we hold: which blobs are there, who reads them, how much room is left.
//!
//! Must not know upstreams, repositories or tags. Invariants: the sum of what is stored and what is reserved never
//! exceeds the budget; a blob that somebody reads is never evicted; nothing here runs SQL on a hit.

mod access;
mod eviction;
mod ledger;
mod open_files;
mod reservation;

use std::sync::Arc;
use std::time::SystemTime;

use blob_store::{BlobRead, BlobStore, BufferPool, StagedBlob, Staging, StoreError};
use bytes::Bytes;
use metadata::Metadata;
use oci::Digest;

use crate::error::PullError;
use crate::metrics::Metrics;
use access::AccessTimes;
pub(crate) use eviction::EvictionPolicy;
use ledger::Ledger;
use open_files::OpenFiles;
pub(crate) use reservation::Reservation;

/// Pieces of a body in flight over all readers, in bytes. Each piece is cut so that the sum stays below.
const READ_BUDGET_BYTES: usize = 32 << 20;
/// Sizes of the piece of one read. The largest fits the second-level cache, so that the copy to the socket finds it
/// there; below the smallest the cost per system call shows.
const PIECE_BYTES: [usize; 3] = [32 << 10, 64 << 10, 256 << 10];
/// Up to so many readers may hold pieces as they came from upstream, whose buffers are larger than they look.
const FEW_READERS: usize = 64;

/// The cache.
pub(crate) struct Cache {
    store: Arc<dyn BlobStore>,
    staging: Arc<Staging>,
    metadata: Metadata,
    ledger: Arc<Ledger>,
    access: AccessTimes,
    policy: EvictionPolicy,
    evicting: tokio::sync::Mutex<()>,
    open_files: OpenFiles,
    buffers: BufferPool,
    metrics: Metrics,
}

/// A stored blob that is being read: while the lease lives, the blob is not evicted.
pub(crate) struct Lease {
    handle: Arc<dyn BlobRead>,
    digest: Digest,
    ledger: Arc<Ledger>,
}

impl Lease {
    /// The bytes.
    pub(crate) fn handle(&self) -> &Arc<dyn BlobRead> {
        &self.handle
    }

    /// Which blob.
    pub(crate) fn digest(&self) -> &Digest {
        &self.digest
    }
}

/// A body on its way out; while it lives it has its share of the read budget.
pub(crate) struct Reading(Arc<Ledger>);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.end_reading();
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.ledger.release(&self.digest);
    }
}

impl Cache {
    /// Takes over the stores. What former processes left in staging counts against the budget from here on.
    pub(crate) async fn open(
        store: Arc<dyn BlobStore>,
        staging: Staging,
        metadata: Metadata,
        max_bytes: u64,
        metrics: Metrics,
    ) -> Result<Self, PullError> {
        let ledger = Arc::new(Ledger::new(max_bytes, metrics.clone()));
        for row in metadata.list_blobs().await.map_err(|e| PullError::storage(&e))? {
            ledger.add_stored(row.size_bytes);
        }
        for left in staging.list().map_err(|e| PullError::storage(&e))? {
            ledger.adopt_staged(left.digest, left.present_bytes, left.modified);
        }
        Ok(Self {
            store,
            staging: Arc::new(staging),
            metadata,
            ledger,
            access: AccessTimes::default(),
            policy: EvictionPolicy::LeastRecentlyUsed,
            evicting: tokio::sync::Mutex::new(()),
            open_files: OpenFiles::default(),
            buffers: BufferPool::new(READ_BUDGET_BYTES / 2),
            metrics,
        })
    }

    /// Opens a stored blob for reading and notes the access; `None` when it is not here.
    pub(crate) async fn open_blob(&self, digest: &Digest) -> Result<Option<Lease>, PullError> {
        if !self.ledger.acquire(digest) {
            return Ok(None);
        }
        let mut lease = Lease { handle: NOTHING.clone(), digest: *digest, ledger: self.ledger.clone() };
        if let Some(handle) = self.open_files.get(digest) {
            lease.handle = handle;
        } else {
            let Some(handle) = self.store.open(digest).await.map_err(|e| PullError::storage(&e))? else {
                return Ok(None);
            };
            self.open_files.keep(*digest, handle.clone());
            lease.handle = handle;
        }
        self.access.note(*digest, SystemTime::now());
        Ok(Some(lease))
    }

    /// Opens a stored blob without noting an access: for those who only look.
    pub(crate) async fn look_at(&self, digest: &Digest) -> Result<Option<Arc<dyn BlobRead>>, PullError> {
        self.store.open(digest).await.map_err(|e| PullError::storage(&e))
    }

    /// The size of a stored blob, without noting an access.
    pub(crate) async fn stored_size(&self, digest: &Digest) -> Result<Option<u64>, PullError> {
        self.store.stat(digest).await.map_err(|e| PullError::storage(&e))
    }

    /// Notes that a blob was used although its bytes came from memory.
    pub(crate) fn touch(&self, digest: &Digest) {
        self.access.note(*digest, SystemTime::now());
    }

    /// Stores a small blob (a manifest) if there is room; says whether it is stored.
    pub(crate) async fn put_small(&self, digest: &Digest, bytes: Bytes) -> Result<bool, PullError> {
        let size = bytes.len() as u64;
        if self.store.stat(digest).await.map_err(|e| PullError::storage(&e))?.is_some() {
            self.touch(digest);
            return Ok(true);
        }
        let Some(room) = self.reserve(*digest, size).await else {
            self.metrics.no_room.inc();
            return Ok(false);
        };
        match self.store.put(digest, bytes).await {
            Ok(()) => {
                room.into_stored(size);
                if let Err(error) = self.record(digest, size).await {
                    tracing::error!(%digest, %error, "a manifest is stored but could not be recorded");
                }
                Ok(true)
            }
            Err(StoreError::NoSpace { .. }) => {
                self.metrics.no_room.inc();
                tracing::warn!(%digest, "disk full: a manifest is served without being cached");
                Ok(false)
            }
            Err(error) => Err(PullError::storage(&error)),
        }
    }

    /// Publishes a verified staged blob; its reservation becomes part of what is stored.
    pub(crate) async fn publish(&self, staged: &StagedBlob, room: Reservation) -> Result<(), StoreError> {
        let digest = *staged.digest();
        let size = staged.size().unwrap_or_default();
        let there = self.store.stat(&digest).await?.is_some();
        self.store.publish(staged).await?;
        if there {
            drop(room);
        } else {
            room.into_stored(size);
        }
        if let Err(error) = self.record(&digest, size).await {
            // The bytes are safe and the next start adopts them; only their age is unknown until then.
            tracing::error!(%digest, %error, "a blob is stored but could not be recorded");
        }
        Ok(())
    }

    async fn record(&self, digest: &Digest, size: u64) -> Result<(), PullError> {
        self.touch(digest);
        self.metadata.put_blob(digest, size, SystemTime::now()).await.map_err(|e| PullError::storage(&e))
    }

    /// Drops a blob that turned out to be damaged.
    pub(crate) async fn discard(&self, digest: &Digest) -> Result<(), PullError> {
        self.open_files.forget(digest);
        self.metadata.delete_blob(digest).await.map_err(|e| PullError::storage(&e))?;
        if let Some(size) = self.store.delete(digest).await.map_err(|e| PullError::storage(&e))? {
            self.ledger.remove_stored(size);
        }
        Ok(())
    }

    /// Takes over what an idle growing object of `digest` holds; a new one holds nothing yet.
    pub(crate) fn take_over(&self, digest: Digest) -> Reservation {
        Reservation::empty(digest, self.ledger.clone())
    }

    /// Whether a blob of `size` bytes can never fit.
    pub(crate) fn is_too_large(&self, size: u64) -> bool {
        size > self.ledger.max()
    }

    /// Reserves room for `bytes` of `digest`, evicting where needed; `None` when there is none to be had.
    async fn reserve(&self, digest: Digest, bytes: u64) -> Option<Reservation> {
        let mut room = self.take_over(digest);
        self.grow(&mut room, bytes).await.then_some(room)
    }

    /// Grows a reservation to `bytes`; says whether there was room.
    pub(crate) async fn grow(&self, room: &mut Reservation, bytes: u64) -> bool {
        if room.try_grow(bytes) {
            return true;
        }
        let _one_evictor = self.evicting.lock().await;
        self.make_room(room, bytes).await
    }

    /// How large the next piece of one body may be, so that all bodies together stay within the read budget.
    pub(crate) fn piece_bytes(&self) -> usize {
        // The connection holds up to two pieces of a slow client. Sizes are those of the buffer pool, rounded down.
        let share = READ_BUDGET_BYTES / (2 * self.ledger.readers().max(1));
        PIECE_BYTES.into_iter().rfind(|size| *size <= share).unwrap_or(PIECE_BYTES[0])
    }

    /// Counts a body on its way out.
    pub(crate) fn count_reader(&self) -> Reading {
        self.ledger.begin_reading();
        Reading(self.ledger.clone())
    }

    /// Whether there are so few readers that what each holds on to does not matter.
    pub(crate) fn has_few_readers(&self) -> bool {
        self.ledger.readers() <= FEW_READERS
    }

    /// The recycled buffers bodies are read into.
    pub(crate) fn buffers(&self) -> &BufferPool {
        &self.buffers
    }

    /// Where growing objects live.
    pub(crate) fn staging(&self) -> &Arc<Staging> {
        &self.staging
    }

    /// Changes the budget and evicts down to it.
    pub(crate) async fn set_max_bytes(&self, max_bytes: u64) {
        self.ledger.set_max(max_bytes);
        self.shrink().await;
    }

    /// Evicts until the cache is within its budget.
    pub(crate) async fn shrink(&self) {
        let _one_evictor = self.evicting.lock().await;
        let mut nothing = Reservation::empty(Digest::sha256_of(b""), self.ledger.clone());
        if !self.make_room(&mut nothing, 0).await {
            tracing::warn!("the cache is over its budget and everything in it is in use");
        }
    }

    /// Writes noted access times to the database.
    pub(crate) async fn flush_access_times(&self) -> Result<(), PullError> {
        let batch = self.access.take();
        if batch.is_empty() {
            return Ok(());
        }
        self.metadata.touch_blobs(&batch).await.map_err(|e| PullError::storage(&e))
    }

    /// Brings database and disk together: adopts files without a row, forgets rows without a file.
    pub(crate) async fn reconcile(&self) -> Result<(), PullError> {
        let storage = |e: &(dyn std::error::Error + 'static)| PullError::storage(e);
        let mut rows: std::collections::HashMap<Digest, u64> = std::collections::HashMap::new();
        for row in self.metadata.list_blobs().await.map_err(|e| storage(&e))? {
            rows.insert(row.digest, row.size_bytes);
        }
        for file in self.store.list().await.map_err(|e| storage(&e))? {
            if rows.remove(&file.digest).is_none()
                && self.metadata.find_blob(&file.digest).await.map_err(|e| storage(&e))?.is_none()
            {
                tracing::info!(digest = %file.digest, bytes = file.size_bytes, "adopting a stored blob that had no record");
                self.metadata.put_blob(&file.digest, file.size_bytes, file.modified).await.map_err(|e| storage(&e))?;
                self.ledger.add_stored(file.size_bytes);
            }
        }
        for (digest, size) in rows {
            if self.store.stat(&digest).await.map_err(|e| storage(&e))?.is_none()
                && self.metadata.delete_blob(&digest).await.map_err(|e| storage(&e))?
            {
                tracing::warn!(%digest, "a recorded blob is gone from disk; it will be fetched again");
                self.ledger.remove_stored(size);
            }
        }
        Ok(())
    }
}

/// Stands in until a lease has its real handle.
static NOTHING: std::sync::LazyLock<Arc<dyn BlobRead>> = std::sync::LazyLock::new(|| Arc::new(EmptyBlob));

/// A blob of no bytes.
struct EmptyBlob;

#[async_trait::async_trait]
impl BlobRead for EmptyBlob {
    fn size(&self) -> u64 {
        0
    }

    fn try_read_at(&self, _: u64, _: usize, _: &BufferPool) -> std::io::Result<Option<Bytes>> {
        Ok(Some(Bytes::new()))
    }

    async fn read_at(&self, _: u64, _: usize, _: &BufferPool) -> std::io::Result<Bytes> {
        Ok(Bytes::new())
    }
}
