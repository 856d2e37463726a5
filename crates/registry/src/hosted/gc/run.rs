//! One run over all hosted repositories, page by page.
//!
//! Must not know when runs happen. Invariants: one run at a time; between pages it looks whether the server stops; bytes go
//! after the row that led to them, under the lock of their digest.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use metadata::{Condemned, GarbageKind, HeldPart};
use oci::{Digest, RepoKey};

use super::super::error::HostedError;
use super::super::{Hosted, HostedRepository};
use super::judge::{Times, Verdict, judge};
use super::report::{GcCounts, GcEnd, GcItem, GcReport, GcRepository};
use super::settings::{GcMode, GcPatience, GcRequest, GcSettings, Untagged};
use crate::core::Core;

/// Links or manifests looked at in one question.
const PAGE: u32 = 500;
/// Taken away in one transaction: a push waits for no more.
const BATCH: usize = 100;
/// Blobs of which a dry run finds out whether other names have them.
const MOST_WEIGHED: usize = 100_000;

/// Why a run did not look at everything.
enum Stop {
    Stopping,
    Failed(HostedError),
}

impl<E: Into<HostedError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// One run.
struct Run<'a> {
    hosted: &'a Hosted,
    settings: GcSettings,
    mode: GcMode,
    patience: GcPatience,
    grace: Duration,
    id: i64,
    stopping: &'a AtomicBool,
    freed: (u64, u64),
    /// In a dry run: blobs that names would lose, with their size and how many names.
    weighed: HashMap<Digest, (u64, u64)>,
}

/// Runs once. Waits for a run under way.
///
/// # Errors
/// `TooMany` when others wait already. What fails within a run is in its report.
pub(crate) async fn collect(core: &Core, request: GcRequest, stopping: &AtomicBool) -> Result<GcReport, HostedError> {
    let collector = &core.hosted.gc;
    let _turn = collector.turn().await?;
    let (settings, started, began) = (collector.settings(), Instant::now(), SystemTime::now());
    let mut run = Run {
        hosted: &core.hosted,
        settings,
        mode: request.mode,
        patience: request.patience,
        grace: if request.patience == GcPatience::None { Duration::ZERO } else { settings.grace },
        id: collector.next_run(),
        stopping,
        freed: (0, 0),
        weighed: HashMap::new(),
    };
    let mut report = run.empty_report(began);
    let repos: Vec<_> = core.map().hosted().iter().cloned().collect();
    let mut ran = run.all(&repos, &mut report).await;
    if matches!(ran, Err(Stop::Failed(HostedError::NoSpace))) && run.hosted.uploads.release_reserve().await? {
        tracing::warn!("the disk is full; garbage collection goes on with the room that was kept for it");
        report = run.empty_report(began);
        ran = run.all(&repos, &mut report).await;
    }
    match ran {
        Ok(()) => {}
        Err(Stop::Stopping) => report.end = GcEnd::Interrupted,
        Err(Stop::Failed(_)) if stopping.load(Ordering::Relaxed) => report.end = GcEnd::Interrupted,
        Err(Stop::Failed(error)) => {
            report.end = GcEnd::Failed;
            report.problem = Some(error.to_string());
        }
    }
    (report.freed_blobs, report.freed_bytes) = run.freed;
    report.duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    tell(&report);
    if request.mode == GcMode::Collect {
        if !repos.is_empty() {
            run.hosted.keep_reserve().await;
        }
        core.metrics.gc.ran(&report);
        collector.keep(&report);
    }
    Ok(report)
}

/// One line a run; at `info` only when it did something.
fn tell(report: &GcReport) {
    let (total, end) = (report.total(), report.end.as_str());
    let GcReport { freed_blobs, freed_bytes, duration_ms, .. } = report;
    let (condemned, collected) = (total.condemned, total.collected);
    if let Some(problem) = &report.problem {
        tracing::error!(problem, "garbage collection failed; the next run goes on");
    } else if report.dry_run || (condemned == 0 && collected == 0 && *freed_blobs == 0) {
        tracing::debug!(end, examined = total.examined, condemned, collected, duration_ms, "garbage collection");
    } else {
        let examined = total.examined;
        tracing::info!(
            end,
            examined,
            condemned,
            collected,
            freed_blobs,
            freed_bytes,
            duration_ms,
            "garbage collection"
        );
    }
}

impl Run<'_> {
    fn empty_report(&self, began: SystemTime) -> GcReport {
        GcReport {
            started_at: humantime::format_rfc3339_millis(began).to_string(),
            duration_ms: 0,
            dry_run: self.mode == GcMode::DryRun,
            end: GcEnd::Completed,
            problem: None,
            grace: humantime::format_duration(self.grace).to_string(),
            lease: humantime::format_duration(self.settings.lease).to_string(),
            repositories: Vec::new(),
            freed_blobs: 0,
            freed_bytes: 0,
            left_overs: super::GcLeftOvers::default(),
        }
    }

    async fn all(&mut self, repos: &[std::sync::Arc<HostedRepository>], report: &mut GcReport) -> Result<(), Stop> {
        if self.mode == GcMode::Collect {
            self.hosted.check_bond(self.patience).await?;
        }
        if self.mode == GcMode::Collect && self.hosted.gc.clock.was_changed() {
            tracing::warn!("the clock was changed, or the machine slept: everything is held for another lease");
            self.hosted.metadata.hold_everything(self.settings.lease_until(SystemTime::now())).await?;
            self.hosted.gc.clock.handled();
        }
        for repo in repos {
            let key = &repo.spec().key;
            report.repositories.push(GcRepository { repo_key: key.to_string(), ..GcRepository::default() });
            let Some(found) = report.repositories.last_mut() else { continue };
            if repo.spec().untagged(&self.settings) == Untagged::Delete {
                self.walk(key, GarbageKind::Manifest, found).await?;
            } else if self.mode == GcMode::Collect {
                self.hosted.metadata.pardon_manifests(key).await?;
            }
            self.walk(key, GarbageKind::Link, found).await?;
        }
        if self.mode == GcMode::DryRun {
            return Ok(self.weigh().await?);
        }
        let (left_overs, bytes) = self.hosted.sweep_orphans(self.grace, self.stopping).await?;
        report.left_overs = left_overs;
        self.freed = (self.freed.0 + left_overs.blobs, self.freed.1 + bytes);
        Ok(self.hosted.metadata.prune_pulls().await?)
    }

    /// Looks at all links or manifests of a repository.
    async fn walk(&mut self, key: &RepoKey, kind: GarbageKind, found: &mut GcRepository) -> Result<(), Stop> {
        let mut last: Option<HeldPart> = None;
        loop {
            if self.stopping.load(Ordering::Relaxed) {
                return Err(Stop::Stopping);
            }
            let after = last.as_ref().map(|part| (&part.name, &part.digest));
            let parts = self.hosted.metadata.list_held_parts(kind, key, after, PAGE).await?;
            self.page(key, kind, &parts, found).await?;
            if parts.len() < PAGE as usize {
                return Ok(());
            }
            last = parts.into_iter().last();
        }
    }

    /// Judges a page and acts on it.
    async fn page(
        &mut self,
        key: &RepoKey,
        kind: GarbageKind,
        parts: &[HeldPart],
        found: &mut GcRepository,
    ) -> Result<(), Stop> {
        let now = SystemTime::now();
        let times = Times { now, grace: self.grace, longest_lease: self.settings.lease_until(now) + LEASE_SLACK };
        let (mut condemn, mut pardon, mut gather) = (Vec::new(), Vec::new(), Vec::new());
        let counts = counts_of(found, kind);
        counts.examined += parts.len() as u64;
        for part in parts {
            match judge(part, &times) {
                Verdict::Needed => counts.needed += 1,
                Verdict::Leased => counts.leased += 1,
                Verdict::Waiting => counts.waiting += 1,
                Verdict::Condemn => condemn.push(part),
                Verdict::Collect(verdict) => gather.push((part, verdict)),
                Verdict::Pardon => {
                    counts.pardoned += 1;
                    pardon.push((&part.name, &part.digest));
                }
            }
        }
        let longest = self.settings.lease_until(now);
        for batch in pardon.chunks(BATCH).filter(|_| self.mode == GcMode::Collect) {
            self.hosted.metadata.pardon(kind, key, batch, longest).await?;
        }
        if self.grace.is_zero() {
            self.condemn(key, kind, &condemn, now).await?;
            gather.extend(condemn.drain(..).map(|part| (part, Condemned { at: now, run: self.id })));
        } else {
            counts_of(found, kind).condemned += self.condemn(key, kind, &condemn, now).await?;
            note(found, kind, "condemn", condemn.into_iter());
        }
        self.collect(key, kind, &gather, found).await
    }

    async fn condemn(
        &self,
        key: &RepoKey,
        kind: GarbageKind,
        parts: &[&HeldPart],
        at: SystemTime,
    ) -> Result<u64, HostedError> {
        if self.mode == GcMode::DryRun {
            return Ok(parts.len() as u64);
        }
        let mut condemned = 0;
        for batch in parts.chunks(BATCH) {
            let batch: Vec<_> = batch.iter().map(|part| (&part.name, &part.digest)).collect();
            condemned += self.hosted.metadata.condemn(kind, key, &batch, Condemned { at, run: self.id }).await?;
        }
        Ok(condemned)
    }

    async fn collect(
        &mut self,
        key: &RepoKey,
        kind: GarbageKind,
        parts: &[(&HeldPart, Condemned)],
        found: &mut GcRepository,
    ) -> Result<(), Stop> {
        for batch in parts.chunks(BATCH) {
            if self.mode == GcMode::DryRun {
                counts_of(found, kind).collected += batch.len() as u64;
                note(found, kind, "collect", batch.iter().map(|(part, _)| *part));
                self.put_on_scale(batch);
                continue;
            }
            let rows: Vec<_> = batch.iter().map(|(part, verdict)| (&part.name, &part.digest, *verdict)).collect();
            let gone = self.hosted.metadata.collect(kind, key, &rows, SystemTime::now()).await?;
            let gone = batch.iter().zip(gone).filter_map(|((part, _), gone)| gone.then_some(*part)).collect::<Vec<_>>();
            let counts = counts_of(found, kind);
            counts.collected += gone.len() as u64;
            counts.pardoned += (batch.len() - gone.len()) as u64;
            note(found, kind, "collect", gone.iter().copied());
            for part in gone {
                if let Some(bytes) = self.hosted.drop_unneeded(&part.digest).await? {
                    self.freed = (self.freed.0 + 1, self.freed.1 + bytes);
                }
            }
        }
        Ok(())
    }

    fn put_on_scale(&mut self, batch: &[(&HeldPart, Condemned)]) {
        for (part, _) in batch {
            if self.weighed.len() < MOST_WEIGHED || self.weighed.contains_key(&part.digest) {
                self.weighed.entry(part.digest).or_insert((part.size, 0)).1 += 1;
            }
        }
    }

    /// Of what a dry run would take from names: what would be freed, because no other name has it.
    async fn weigh(&mut self) -> Result<(), HostedError> {
        for (digest, (size, lost)) in &self.weighed {
            if self.hosted.metadata.count_holders(digest).await? <= *lost {
                self.freed = (self.freed.0 + 1, self.freed.1 + size);
            }
        }
        Ok(())
    }
}

/// A lease that was given after a page was begun is a little longer than the longest.
const LEASE_SLACK: Duration = Duration::from_mins(1);

fn counts_of(found: &mut GcRepository, kind: GarbageKind) -> &mut GcCounts {
    match kind {
        GarbageKind::Link => &mut found.blobs,
        GarbageKind::Manifest => &mut found.manifests,
    }
}

fn note<'a>(found: &mut GcRepository, kind: GarbageKind, action: &str, parts: impl Iterator<Item = &'a HeldPart>) {
    let word = match kind {
        GarbageKind::Link => "blob",
        GarbageKind::Manifest => "manifest",
    };
    for part in parts {
        found.note(|| GcItem {
            kind: word.to_owned(),
            name: part.name.to_string(),
            digest: part.digest.to_string(),
            size: part.size,
            action: action.to_owned(),
        });
    }
}
