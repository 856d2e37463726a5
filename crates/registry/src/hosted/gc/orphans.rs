//! Files that no row knows, and rows without a file: what crashes and failed removals leave, and what an older database
//! does not know of.
//!
//! Must not know why they are there. Invariants: a blob's file goes only under the lock of its digest, after the database
//! said that it knows no such blob; it goes at the first sight only when that was asked for, else after a grace: nobody
//! can tell what a crash left from what a lost row was about; a store that cannot be listed is an error, never one without
//! blobs; rows are never removed because a file is missing: what was pushed can be restored from a backup.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use blob_store::{Shard, StoredBlob};
use metadata::Condemned;
use oci::Digest;

use super::super::Hosted;
use super::super::error::HostedError;
use super::report::GcLeftOvers;

/// Verdicts in one transaction.
const BATCH: usize = 100;

/// What becomes of a file that no row knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is condemned now: it was not seen before, or was written since.
    Condemn,
    /// Its grace is not over.
    Wait,
    /// It goes.
    Remove,
}

/// One walk over the files.
struct Sweep<'a> {
    hosted: &'a Hosted,
    grace: Duration,
    verdict: Condemned,
    found: GcLeftOvers,
    /// Bytes of what was removed.
    removed: u64,
    /// Files that were not seen before, and their bytes.
    new: (u64, u64),
}

impl Hosted {
    /// Removes what has waited for `grace`. Ends early when `stopping`.
    pub(in crate::hosted) async fn sweep_orphans(
        &self,
        grace: Duration,
        stopping: &AtomicBool,
    ) -> Result<(GcLeftOvers, u64), HostedError> {
        let verdict = Condemned { at: SystemTime::now(), run: self.gc.next_run() };
        let found = GcLeftOvers::default();
        let mut sweep = Sweep { hosted: self, grace, verdict, found, removed: 0, new: (0, 0) };
        for digest in self.metadata.unneeded_hosted_blobs().await? {
            sweep.remove(&digest).await?;
        }
        for shard in self.uploads.store().shards().await? {
            if stopping.load(Ordering::Relaxed) {
                sweep.tell();
                return Ok((sweep.found, sweep.removed));
            }
            sweep.shard(&shard).await?;
        }
        sweep.tell();
        self.sweep_ended_uploads(&mut sweep.found).await?;
        Ok((sweep.found, sweep.removed))
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

impl Sweep<'_> {
    /// Files are listed before rows are asked for: what is pushed meanwhile has its row by then, or its session.
    async fn shard(&mut self, shard: &Shard) -> Result<(), HostedError> {
        let metadata = &self.hosted.metadata;
        let files = self.hosted.uploads.store().list_shard(shard).await?;
        let (known, before) =
            (metadata.known_hosted_blobs(&shard.prefix()).await?, metadata.condemned_files(&shard.prefix()).await?);
        let unknown = files.iter().filter(|file| !known.contains(&file.digest));
        let (mut condemn, mut lift): (Vec<&StoredBlob>, HashSet<Digest>) =
            (Vec::new(), before.keys().copied().collect());
        for file in unknown {
            match fate(file.modified, before.get(&file.digest).copied(), self.verdict.at, self.grace) {
                Fate::Remove => self.remove(&file.digest).await?,
                Fate::Condemn => condemn.push(file),
                Fate::Wait => {
                    self.found.waiting += 1;
                    lift.remove(&file.digest);
                }
            }
        }
        let lift: Vec<Digest> = lift.into_iter().collect();
        for batch in lift.chunks(BATCH) {
            metadata.pardon_files(batch).await?;
        }
        for batch in condemn.chunks(BATCH) {
            let digests: Vec<Digest> = batch.iter().map(|file| file.digest).collect();
            metadata.condemn_files(&digests, self.verdict).await?;
        }
        let bytes: u64 = condemn.iter().map(|file| file.size_bytes).sum();
        self.found.waiting += condemn.len() as u64;
        self.new = (self.new.0 + condemn.len() as u64, self.new.1 + bytes);
        Ok(())
    }

    async fn remove(&mut self, digest: &Digest) -> Result<(), HostedError> {
        if let Some(freed) = self.hosted.drop_unneeded(digest).await? {
            (self.found.blobs, self.removed) = (self.found.blobs + 1, self.removed + freed);
        }
        Ok(())
    }

    fn tell(&self) {
        let ((blobs, bytes), removed) = (self.new, self.found.blobs);
        if blobs > 0 {
            tracing::warn!(
                blobs,
                bytes,
                grace = %humantime::format_duration(self.grace),
                "blobs are stored that the database does not know: a crash left them, or the database is an older one; \
                 they are removed after the grace unless the database that knows them is put back"
            );
        }
        if removed > 0 {
            tracing::info!(blobs = removed, bytes = self.removed, "removed stored blobs that nobody has");
        }
    }
}

/// Times that lie in the future are of a clock that was wrong, and decide nothing.
fn fate(modified: SystemTime, condemned: Option<SystemTime>, now: SystemTime, grace: Duration) -> Fate {
    if grace.is_zero() {
        return Fate::Remove;
    }
    let Some(condemned) = condemned else { return Fate::Condemn };
    if condemned < modified && modified <= now {
        return Fate::Condemn;
    }
    match now.duration_since(condemned) {
        Ok(age) if age >= grace => Fate::Remove,
        Ok(_) => Fate::Wait,
        Err(_) => Fate::Condemn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_waits_for_its_grace_and_anew_when_it_was_written_since() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let fate = |modified, condemned: Option<u64>, grace| {
            super::fate(at(modified), condemned.map(at), at(1000), Duration::from_secs(grace))
        };
        assert_eq!(fate(1, None, 100), Fate::Condemn, "seen for the first time");
        assert_eq!(fate(1, Some(901), 100), Fate::Wait);
        assert_eq!(fate(1, Some(900), 100), Fate::Remove);
        assert_eq!(fate(950, Some(900), 100), Fate::Condemn, "the verdict was on another file");
        assert_eq!(fate(2000, Some(900), 100), Fate::Remove, "written by a clock that was wrong");
        assert_eq!(fate(1, Some(1001), 100), Fate::Condemn, "condemned in the future");
        assert_eq!(fate(1, None, 0), Fate::Remove, "without waiting");
    }
}
