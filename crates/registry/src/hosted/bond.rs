//! Whether the database is the one that belongs to the stored blobs: each knows the same number.
//!
//! Must not know what is removed. Invariants: beside another database, or one that knows no blob at all, nothing is removed
//! for being unknown to it; both are told with what to do; a number is given once, to the database first.

use oci::Digest;

use super::Hosted;
use super::error::HostedError;
use super::gc::GcPatience;

/// What makes the two one again, where the other database cannot be had.
const GIVE_UP: &str = "if it is lost for good, delete the file hosted/store-id and restart: what this database does not \
     know then goes after gc.grace";

impl Hosted {
    /// Fails, with what to do, when nothing may be removed for being unknown. Without patience, a database that knows no blob
    /// will do as long as it is the right one: somebody asked for it.
    pub(super) async fn check_bond(&self, patience: GcPatience) -> Result<(), HostedError> {
        let (known, here) = (self.metadata.store_id().await?, self.uploads.store_id().await?);
        let one = match (known, &here) {
            (Some(known), Some(here)) => known.to_string() == *here,
            (None, Some(_)) => false,
            (_, None) => true,
        };
        let kept = self.any_blob().await?;
        if !one && kept.is_some() {
            let text = "nothing of the pushed blobs is removed: this database belongs to other blobs, or is a new one; \
                 put back the database that belongs to them";
            return Err(HostedError::Conflict(format!("{text}; {GIVE_UP}").into()));
        }
        if let Some(digest) = kept.filter(|_| patience == GcPatience::Grace) {
            // One that is pushed at this moment has its row once its lock is free.
            let _lock = self.locks.lock(&digest).await;
            if !self.metadata.has_hosted_blobs().await? && self.uploads_hold(&digest).await? {
                let text = "pushed blobs are stored, and the database knows none: nothing of them is removed; put back the \
                     database that knows them, or give them up with `transship gc --now`";
                return Err(HostedError::Conflict(text.into()));
            }
        }
        if one && known.is_some() && here.is_some() {
            return Ok(());
        }
        let id = if let Some(id) = known {
            id
        } else {
            let (id, _) = uuid::Uuid::new_v4().as_u64_pair();
            let id = i64::try_from(id >> 1).unwrap_or_default();
            self.metadata.set_store_id(id).await?;
            id
        };
        Ok(self.uploads.set_store_id(&id.to_string()).await?)
    }

    /// Any stored blob.
    async fn any_blob(&self) -> Result<Option<Digest>, HostedError> {
        let store = self.uploads.store();
        for shard in store.shards().await? {
            if let Some(blob) = store.list_shard(&shard).await?.first() {
                return Ok(Some(blob.digest));
            }
        }
        Ok(None)
    }

    async fn uploads_hold(&self, digest: &Digest) -> Result<bool, HostedError> {
        use blob_store::BlobStore as _;
        Ok(self.uploads.store().stat(digest).await?.is_some())
    }
}
