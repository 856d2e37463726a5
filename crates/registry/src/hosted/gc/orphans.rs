//! Files that no row knows, and rows without a file: what crashes and failed removals leave.
//!
//! Must not know why they are there. Invariants: a blob's file goes only under the lock of its digest, after the database
//! said that it knows no such blob; a store that cannot be listed is an error, never one without blobs; rows are never
//! removed because a file is missing: what was pushed can be restored from a backup.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use blob_store::BlobStore;

use super::super::Hosted;
use super::super::error::HostedError;
use super::report::GcLeftOvers;

impl Hosted {
    /// Removes them. Ends early when `stopping`.
    pub(in crate::hosted) async fn sweep_orphans(
        &self,
        stopping: &AtomicBool,
    ) -> Result<(GcLeftOvers, u64), HostedError> {
        let (mut found, mut bytes) = (GcLeftOvers::default(), 0);
        for digest in self.metadata.unneeded_hosted_blobs().await? {
            if let Some(freed) = self.drop_unneeded(&digest).await? {
                (found.blobs, bytes) = (found.blobs + 1, bytes + freed);
            }
        }
        for file in self.uploads.store().list().await? {
            if stopping.load(Ordering::Relaxed) {
                return Ok((found, bytes));
            }
            // Most are known: that is asked without a lock.
            if self.metadata.has_hosted_blob(&file.digest).await? {
                continue;
            }
            if let Some(freed) = self.drop_unneeded(&file.digest).await? {
                (found.blobs, bytes) = (found.blobs + 1, bytes + freed);
            }
        }
        self.sweep_ended_uploads(&mut found).await?;
        Ok((found, bytes))
    }

    /// A session is in memory before it has a file or a row, and leaves memory before it loses them.
    async fn sweep_ended_uploads(&self, found: &mut GcLeftOvers) -> Result<(), HostedError> {
        let uploads = self.uploads.clone();
        let listed = tokio::task::spawn_blocking(move || uploads.list()).await;
        let files = listed.map_err(|error| HostedError::storage(&error))??;
        let rows: Vec<_> = self.metadata.list_uploads().await?.into_iter().map(|row| row.id).collect();
        let live: HashSet<_> = self.sessions.all().into_iter().map(|session| session.id.clone()).collect();
        for id in files.iter().filter(|id| !live.contains(*id)) {
            self.uploads.remove(id).await?;
            found.uploads += 1;
        }
        for id in rows.iter().filter(|id| !live.contains(*id)) {
            found.sessions += u64::from(self.metadata.delete_upload(id).await?);
        }
        Ok(())
    }
}
