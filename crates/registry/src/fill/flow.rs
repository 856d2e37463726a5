//! One flow: takes bytes from a source, puts them into the staging file, announces and hashes them.
//!
//! Must not decide what to fetch (that is `plan`). Invariants: bytes already present are never overwritten, so what
//! was hashed is what is published; receiving the next piece overlaps with writing the last.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use blob_store::{StagedBlob, is_no_space};
use bytes::Bytes;
use oci::ByteRange;
use tokio::task::JoinHandle;

use super::Shared;
use super::frontier::Frontier;
use super::growing::Growing;
use super::plan::{FlowKind, FlowView, Start};
use super::slot::{Slot, Slots};
use super::source::Source;
use crate::cache::Reservation;
use crate::error::PullError;

/// Largest and smallest batch written at once, and what the batches of all fills that have a slot may hold together.
const BATCH_BYTES: usize = 512 << 10;
const MIN_BATCH_BYTES: usize = 64 << 10;
const ALL_BATCHES_BYTES: usize = 4 << 20;
/// A main flow that runs into this many bytes that are present already stops and is planned anew behind them.
const PRESENT_AHEAD_BYTES: u64 = 2 << 20;

/// What all flows of one fill share.
pub(super) struct FlowContext {
    pub(super) shared: Arc<Shared>,
    pub(super) growing: Arc<Growing>,
    pub(super) staged: StagedBlob,
    pub(super) frontier: Frontier,
    pub(super) writing: Mutex<()>,
    pub(super) room: tokio::sync::Mutex<Reservation>,
}

/// Where one flow is, as the planner sees it.
pub(super) struct FlowPosition {
    kind: FlowKind,
    at: AtomicU64,
    /// `u64::MAX`: not known.
    end: AtomicU64,
    first: u64,
    since: Instant,
}

impl FlowPosition {
    pub(super) fn new(start: Start) -> Self {
        Self {
            kind: start.kind,
            at: AtomicU64::new(start.from),
            end: AtomicU64::new(start.end.unwrap_or(u64::MAX)),
            first: start.from,
            since: Instant::now(),
        }
    }

    pub(super) fn view(&self) -> FlowView {
        let at = self.at.load(Ordering::Relaxed);
        let end = self.end.load(Ordering::Relaxed);
        FlowView {
            kind: self.kind,
            at,
            end: (end != u64::MAX).then_some(end),
            age: self.since.elapsed(),
            bytes: at.saturating_sub(self.first),
        }
    }
}

/// How a flow ended.
pub(super) enum FlowEnd {
    /// It brought what it was for, or ran into what is present already.
    Done,
    /// It brought everything because upstream ignores ranges.
    IgnoredRange,
    /// It broke off for good.
    Failed(PullError),
    /// Sources disagree on the size: what is here may be of another blob.
    Contradicted(PullError),
    /// Budget or disk have no room for a blob of this size, if upstream told it.
    NoRoom(Option<u64>),
}

/// Runs one flow to its end.
pub(super) async fn run(context: Arc<FlowContext>, position: Arc<FlowPosition>) -> FlowEnd {
    let view = position.view();
    let mut source = Source::new(context.growing.origin.clone(), view.at, view.end);
    let known = context.growing.state().size;
    let opening = match source.open(known).await {
        Ok(opening) => opening,
        Err(error) if source.was_contradicted() => return FlowEnd::Contradicted(error),
        Err(error) => return FlowEnd::Failed(error),
    };
    context.note_source(&source);
    // A body that tells no length may have no end: it is read as far as the manifests say that the blob goes.
    let told = match (opening.total, known) {
        (None, None) => context.listed_size().await,
        (told, _) => told,
    };
    let total = told.or(known);
    let reserve = match view.kind {
        FlowKind::Main => total.unwrap_or(0),
        FlowKind::Lane => 0,
    };
    if !grow(&context, reserve).await {
        return FlowEnd::NoRoom(total);
    }
    if let Some(total) = told.filter(|total| !context.growing.learn_size(*total)) {
        let known = known.unwrap_or_default();
        return FlowEnd::Contradicted(
            context.growing.origin.protocol(format!("says the blob has {total} bytes, not {known}")),
        );
    }
    let ignored = opening.offset < view.at;
    if ignored || view.end.is_none() {
        source.take_all(total);
        position.at.store(source.at(), Ordering::Relaxed);
        position.end.store(total.unwrap_or(u64::MAX), Ordering::Relaxed);
    }
    let end = pump(&context, &position, &mut source).await;
    match end {
        FlowEnd::Done if ignored => FlowEnd::IgnoredRange,
        end => end,
    }
}

async fn grow(context: &FlowContext, bytes: u64) -> bool {
    let mut room = context.room.lock().await;
    context.shared.cache.grow(&mut room, bytes).await
}

/// Moves bytes until the source ends.
async fn pump(context: &Arc<FlowContext>, position: &FlowPosition, source: &mut Source) -> FlowEnd {
    let mut writing: Option<JoinHandle<io::Result<()>>> = None;
    let mut slot = Slot::new(&context.shared.slots);
    loop {
        let soon = if slot.is_held() { source.soon(slot.patience()).await } else { None };
        let received = if let Some(first) = soon {
            Ok(Some(first))
        } else {
            // The slot goes to whoever has bytes, once ours are out of memory.
            if let Some(end) = written(writing.take()).await {
                return end;
            }
            next_in_slot(source, &mut slot).await
        };
        let (batch, len) = match received {
            Ok(Some(first)) => gather(source, first, context.batch_bytes()),
            Ok(None) => break,
            Err(error) if source.was_contradicted() => return FlowEnd::Contradicted(error),
            Err(error) => return FlowEnd::Failed(error),
        };
        context.note_source(source);
        slot.moved(Some(len));
        if let Some(end) = written(writing.take()).await {
            return end;
        }
        let at = source.at();
        let range = ByteRange { start: at - len, end: at };
        // The planner takes what lies ahead of the position for coming and what lies behind it for announced: a batch
        // that is being written is still coming.
        position.at.store(range.start, Ordering::Relaxed);
        let needed = context.growing.state().present.total() + len;
        if !grow(context, needed).await {
            return FlowEnd::NoRoom(context.growing.state().size);
        }
        let context_of_write = context.clone();
        writing = Some(tokio::task::spawn_blocking(move || context_of_write.write(range, &batch)));
        if context.is_present_ahead(at) {
            break;
        }
    }
    if let Some(end) = written(writing).await {
        return end;
    }
    if context.growing.state().size.is_none() && !context.growing.learn_size(source.at()) {
        return FlowEnd::Contradicted(context.growing.origin.protocol("sent two different sizes"));
    }
    FlowEnd::Done
}

/// Waits for bytes and for a slot to move them. Bytes that have come are left where they are until then: the HTTP client
/// reads no more while nobody takes what it has.
async fn next_in_slot(source: &mut Source, slot: &mut Slot) -> Result<Option<Bytes>, PullError> {
    if !slot.is_held() {
        slot.begin().await;
        if let Some(first) = source.soon(slot.patience()).await {
            return Ok(Some(first));
        }
    }
    slot.moved(None);
    slot.end();
    let next = source.next().await?;
    if next.is_some() {
        slot.begin().await;
    }
    Ok(next)
}

/// Adds what has arrived already to `first`, up to one batch.
fn gather(source: &mut Source, first: Bytes, most: usize) -> (Vec<Bytes>, u64) {
    let mut len = first.len();
    let mut batch = vec![first];
    while len < most {
        let Some(more) = source.ready() else { break };
        len += more.len();
        batch.push(more);
    }
    (batch, len as u64)
}

/// Waits for a write; says how the flow ends if it failed.
async fn written(writing: Option<JoinHandle<io::Result<()>>>) -> Option<FlowEnd> {
    match writing?.await {
        Ok(Ok(())) => None,
        Ok(Err(error)) if is_no_space(&error) => Some(FlowEnd::NoRoom(None)),
        Ok(Err(error)) => Some(FlowEnd::Failed(PullError::storage(&error))),
        Err(panicked) => Some(FlowEnd::Failed(PullError::storage(&panicked))),
    }
}

impl FlowContext {
    /// Writes what is missing of `range`, announces it and hashes on. Blocking.
    fn write(&self, range: ByteRange, chunks: &[Bytes]) -> io::Result<()> {
        let fresh = {
            let _one_writer = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
            let missing = self.growing.state().present.gaps_within(range);
            let fresh = missing.first() == Some(&range);
            for gap in &missing {
                self.write_gap(range.start, *gap, chunks)?;
            }
            self.staged.record(range);
            fresh
        };
        if fresh {
            self.growing.keep_recent(range.start, chunks);
        }
        self.growing.announce(range);
        self.shared.metrics.staged_bytes.inc_by(range.end - range.start);
        let present_end = self.growing.state().present.contiguous_from(0);
        self.frontier.feed(&self.staged, range.start, if fresh { chunks } else { &[] }, present_end)
    }

    /// The size that manifests of this name say the blob has. A claim: it counts only where upstream says nothing.
    async fn listed_size(&self) -> Option<u64> {
        let origin = &self.growing.origin;
        let listed = self.shared.metadata.find_listed(&origin.repo.spec().key, &origin.name, &origin.digest).await;
        listed
            .inspect_err(|error| tracing::error!(digest = %origin.digest, %error, "the size in the manifests cannot be looked up"))
            .ok()?
            .map(|row| row.size)
    }

    /// Notes whose bytes come, to know whom to suspect when they are wrong.
    fn note_source(&self, source: &Source) {
        let Some(index) = source.upstream() else { return };
        let others = !self.growing.sources().is_empty();
        if self.growing.comes_from(index) && others {
            self.shared.metrics.fills_switched.inc();
        }
    }

    /// How large a batch may be with so many fills under way.
    fn batch_bytes(&self) -> usize {
        let fills = usize::try_from(self.shared.metrics.fills_in_flight.get()).unwrap_or(1).max(1);
        (ALL_BATCHES_BYTES / Slots::sharing(fills)).clamp(MIN_BATCH_BYTES, BATCH_BYTES)
    }

    fn write_gap(&self, mut at: u64, gap: ByteRange, chunks: &[Bytes]) -> io::Result<()> {
        for chunk in chunks {
            let end = at + chunk.len() as u64;
            let (from, to) = (gap.start.max(at), gap.end.min(end));
            if from < to {
                self.staged.write_at(from, &chunk[(from - at) as usize..(to - at) as usize])?;
            }
            at = end;
        }
        Ok(())
    }

    /// Whether the next bytes are here already, so that reading on would fetch them twice.
    fn is_present_ahead(&self, at: u64) -> bool {
        let state = self.growing.state();
        let ahead = state.present.contiguous_from(at);
        ahead - at >= PRESENT_AHEAD_BYTES || (ahead > at && state.size == Some(ahead))
    }
}
