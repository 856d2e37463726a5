//! The task that owns a fill: opens staging, starts flows, verifies, publishes, cleans up.
//!
//! Must not know requests. Invariants: whatever ends the task, readers get an outcome and the digest is free for the
//! next fill; nothing is published unless its hash is its digest; what broke off stays resumable.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use blob_store::StoreError;
use oci::{ByteRange, Digest, Digester};
use tokio::task::JoinSet;
use tracing::Instrument;

use super::Shared;
use super::flow::{self, FlowContext, FlowEnd, FlowPosition};
use super::frontier::Frontier;
use super::growing::{Growing, Phase, Unfinished};
use super::plan::{self, FlowKind, FlowView, View};
use crate::cache::Reservation;
use crate::error::PullError;
use crate::repositories::FillOnRange;

/// How often progress is noted on disk, so that a restart resumes close to where it was.
const CHECKPOINT_EVERY: Duration = Duration::from_millis(250);
/// How often the plan is looked at again.
const REPLAN_EVERY: Duration = Duration::from_millis(100);
/// The same while somebody waits for a range that may get a request of its own.
const REPLAN_SOON: Duration = Duration::from_millis(25);
/// How long a growing object without work or readers stays open.
const LINGER: Duration = Duration::from_secs(10);

/// Why a driver stops.
enum End {
    Complete,
    Failed(PullError),
    Contradicted(PullError),
    NoRoom(Option<u64>),
    Idle,
    Stopped,
}

/// Frees the digest when the driver ends, however it ends.
struct Registered {
    shared: Arc<Shared>,
    growing: Arc<Growing>,
}

impl Registered {
    fn leave(&self) {
        let mut active = self.shared.active();
        let digest = &self.growing.origin.digest;
        if active.get(digest).is_some_and(|there| Arc::ptr_eq(there, &self.growing)) {
            active.remove(digest);
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.leave();
        if matches!(self.growing.state().phase, Phase::Filling) {
            self.growing.finish(Phase::Failed(PullError::Storage("the fill ended unexpectedly".into())));
        }
    }
}

/// Runs one fill from start to end.
pub(super) async fn drive(shared: Arc<Shared>, growing: Arc<Growing>) {
    let registered = Registered { shared: shared.clone(), growing: growing.clone() };
    // A request that looked into the store just before another fill published can come here just after.
    if let Ok(Some(_)) = shared.cache.open_blob(&growing.origin.digest).await {
        registered.leave();
        growing.finish(Phase::Stored);
        return;
    }
    let context = match open(&shared, &growing).await {
        Ok(context) => Arc::new(context),
        Err(StoreError::NoSpace { .. }) => {
            shared.metrics.no_room.inc();
            tracing::warn!(digest = %growing.origin.digest, "disk full: streaming past the cache");
            registered.leave();
            let nothing = Unfinished { hashed: 0, digester: Digester::new(growing.origin.digest.algorithm()) };
            growing.finish_without_room(None, nothing);
            return;
        }
        Err(error) => {
            registered.leave();
            growing.finish(Phase::Failed(PullError::storage(&error)));
            return;
        }
    };
    let mut retries = origin_retries(&growing);
    loop {
        let mut driver = Driver::new(context.clone());
        let end = driver.run().await;
        driver.flows.shutdown().await;
        drop(driver);
        let End::Complete = end else { return close(&registered, context, end).await };
        match verified(&context).await {
            Ok(()) => return publish(&registered, context).await,
            Err(Unverified::Unread(error)) => return leave_resumable(&registered, context, error).await,
            Err(Unverified::Corrupt(actual)) => {
                if retries == 0 || !start_over(&context, actual) {
                    return corrupt(&registered, &context, actual).await;
                }
                retries -= 1;
            }
        }
    }
}

/// How often a fill whose bytes were wrong may be begun anew: once for each source that may be better.
fn origin_retries(growing: &Growing) -> usize {
    growing.origin.repo.sources().iter().count() - 1
}

/// Why a complete fill is not a blob.
enum Unverified {
    /// Its bytes cannot be read back.
    Unread(PullError),
    /// They hash to this.
    Corrupt(Digest),
}

/// Compares the bytes with the digest.
async fn verified(context: &Arc<FlowContext>) -> Result<(), Unverified> {
    let actual = hashed(context).await.map_err(Unverified::Unread)?.digester.finish();
    if actual == context.growing.origin.digest { Ok(()) } else { Err(Unverified::Corrupt(actual)) }
}

/// Begins anew at other sources, if no reader has been given a byte of what turned out wrong.
fn start_over(context: &FlowContext, actual: Digest) -> bool {
    let origin = &context.growing.origin;
    let sources = context.growing.sources();
    if !context.growing.start_over() {
        return false;
    }
    context.shared.metrics.integrity_failures.inc();
    context.staged.start_over();
    context.frontier.start_over(&origin.digest);
    origin.repo.sources().suspect(&origin.digest, sources);
    tracing::warn!(expected = %origin.digest, %actual, repo_key = %origin.repo.key(),
        "a source sent bytes that do not hash to the digest; nobody has read them, and the fill begins anew elsewhere");
    true
}

/// Opens the staging file, takes over what is in it and the room it has.
async fn open(shared: &Arc<Shared>, growing: &Arc<Growing>) -> Result<FlowContext, StoreError> {
    let origin = &growing.origin;
    let room = shared.cache.take_over(origin.digest);
    let (staging, digest) = (shared.cache.staging().clone(), origin.digest);
    let (repo_key, name) = (origin.repo.key().to_string(), origin.name.to_string());
    let opened = tokio::task::spawn_blocking(move || {
        let staged = staging.open_blob(&digest)?;
        let note = staged.note();
        if staged.present().is_empty() || (note.repo_key == repo_key && note.name == name) {
            return Ok(staged);
        }
        // Unverified bytes that came under another name: not to be shown to readers of this one.
        drop(staged);
        staging.remove(&digest)?;
        staging.open_blob(&digest)
    });
    let staged = opened.await.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))?;
    {
        let mut state = growing.state();
        let resumable = staged.size().is_none() || state.size.is_none() || staged.size() == state.size;
        if resumable && !staged.present().is_empty() {
            state.size = state.size.or(staged.size());
            state.present = staged.present();
            shared.metrics.fills_resumed.inc();
            tracing::info!(digest = %origin.digest, present_bytes = state.present.total(), "resuming a fill");
        }
    }
    growing.staged.get_or_init(|| staged.clone());
    Ok(FlowContext {
        shared: shared.clone(),
        growing: growing.clone(),
        staged,
        frontier: Frontier::new(&origin.digest),
        writing: Mutex::new(()),
        room: tokio::sync::Mutex::new(room),
    })
}

struct Driver {
    context: Arc<FlowContext>,
    flows: JoinSet<(Arc<FlowPosition>, FlowEnd)>,
    positions: Vec<Arc<FlowPosition>>,
    /// Once parts were fetched side by side, the stragglers among them get no requests of their own either.
    crowded: bool,
    ranges_ignored: bool,
}

impl Driver {
    fn new(context: Arc<FlowContext>) -> Self {
        Self { context, flows: JoinSet::new(), positions: Vec::new(), crowded: false, ranges_ignored: false }
    }

    async fn run(&mut self) -> End {
        let mut checkpoint = tokio::time::interval(CHECKPOINT_EVERY);
        // The first note is made at once: a crash a moment later must not lose that somebody wants all of it.
        let mut noted = None;
        loop {
            self.note_whole();
            if self.is_complete() {
                return End::Complete;
            }
            self.start_flows();
            let (idle, replan_after) = (self.flows.is_empty(), self.replan_after());
            tokio::select! {
                () = self.context.shared.stop.cancelled() => return End::Stopped,
                Some(ended) = self.flows.join_next(), if !idle => {
                    if let Some(end) = self.ended(ended) {
                        return end;
                    }
                }
                () = self.context.growing.work() => {}
                () = tokio::time::sleep(replan_after), if !idle => {}
                _ = checkpoint.tick(), if !idle => self.checkpoint(&mut noted).await,
                () = tokio::time::sleep(LINGER), if idle => {
                    if self.leave_if_unused() {
                        return End::Idle;
                    }
                }
            }
        }
    }

    /// When to look at the plan again if nothing happens before.
    fn replan_after(&self) -> Duration {
        let waits = !self.crowded && !self.context.growing.state().wants.is_empty();
        if waits { REPLAN_SOON } else { REPLAN_EVERY }
    }

    /// Turns a growing pile of ranges into a whole fill when the repository's policy says so.
    fn note_whole(&mut self) {
        let growing = &self.context.growing;
        let mut state = growing.state();
        if !self.crowded {
            let wants: Vec<ByteRange> = state.wants.values().copied().collect();
            self.crowded = plan::is_crowd(&wants);
        }
        if !state.whole && !state.wants.is_empty() {
            let mut asked = state.present.clone();
            state.wants.values().for_each(|want| asked.insert(*want));
            state.whole = match (growing.origin.repo.spec().fill_on_range, state.size) {
                (FillOnRange::Background, _) => true,
                // Whoever fetches parts side by side is about to fetch them all.
                (FillOnRange::After(_), _) if self.crowded => true,
                (FillOnRange::Never, _) | (FillOnRange::After(_), None) => false,
                #[expect(clippy::cast_precision_loss, reason = "a fraction of a size needs no more than 52 bits")]
                (FillOnRange::After(fraction), Some(size)) => asked.total() as f64 >= fraction * size as f64,
            };
        }
        let (whole, size) = (state.whole, state.size);
        drop(state);
        let staged = &self.context.staged;
        let origin = &growing.origin;
        let note =
            blob_store::StagedNote { repo_key: origin.repo.key().to_string(), name: origin.name.to_string(), whole };
        if staged.note() != note {
            staged.set_note(note);
        }
        if let Some(size) = size.filter(|size| staged.size() != Some(*size))
            && let Err(error) = staged.set_size(size)
        {
            tracing::warn!(digest = %origin.digest, %error, "cannot set the size of a staging file");
        }
    }

    fn is_complete(&self) -> bool {
        let state = self.context.growing.state();
        state.size.is_some_and(|size| state.present.contiguous_from(0) == size)
    }

    fn start_flows(&mut self) {
        let starts = {
            let state = self.context.growing.state();
            let wants: Vec<ByteRange> = state.wants.values().copied().collect();
            let flows: Vec<FlowView> = self.positions.iter().map(|p| p.view()).collect();
            plan::plan(&View {
                size: state.size,
                present: &state.present,
                wants: &wants,
                whole: state.whole,
                crowded: self.crowded,
                ranges_ignored: self.ranges_ignored,
                flows: &flows,
            })
        };
        for start in starts {
            let position = Arc::new(FlowPosition::new(start));
            self.positions.push(position.clone());
            let context = self.context.clone();
            let flow = async move { (position.clone(), flow::run(context, position).await) };
            self.flows.spawn(flow.in_current_span());
        }
    }

    fn ended(&mut self, ended: Result<(Arc<FlowPosition>, FlowEnd), tokio::task::JoinError>) -> Option<End> {
        let (position, end) = match ended {
            Ok(ended) => ended,
            Err(error) => return Some(End::Failed(PullError::storage(&error))),
        };
        self.positions.retain(|p| !Arc::ptr_eq(p, &position));
        let main_runs = self.positions.iter().any(|p| p.view().kind == FlowKind::Main);
        match end {
            FlowEnd::Done => None,
            FlowEnd::IgnoredRange => {
                self.ranges_ignored = true;
                None
            }
            FlowEnd::NoRoom(size) => Some(End::NoRoom(size)),
            FlowEnd::Contradicted(error) => Some(End::Contradicted(error)),
            FlowEnd::Failed(error) if main_runs => {
                // The main flow brings these bytes too, only later.
                tracing::info!(%error, "a ranged request beside a fill failed; the fill goes on");
                self.ranges_ignored = true;
                None
            }
            FlowEnd::Failed(error) => Some(End::Failed(error)),
        }
    }

    async fn checkpoint(&self, noted: &mut Option<u64>) {
        let present = self.context.growing.state().present.total();
        if *noted != Some(present) {
            *noted = Some(present);
            checkpoint(&self.context).await;
        }
    }

    /// Leaves the map of fills if nobody reads; under its lock, so that no request can join in between.
    fn leave_if_unused(&self) -> bool {
        let growing = &self.context.growing;
        let mut active = self.context.shared.active();
        let unused = !growing.has_readers();
        if unused {
            active.remove(&growing.origin.digest);
        }
        unused
    }
}

async fn checkpoint(context: &Arc<FlowContext>) {
    let staged = context.staged.clone();
    let done = tokio::task::spawn_blocking(move || staged.checkpoint()).await;
    if let Err(error) = done.map_err(std::io::Error::other).and_then(|r| r) {
        tracing::warn!(digest = %context.growing.origin.digest, %error, "cannot note the progress of a fill");
    }
}

/// Brings a fill to its end: publishes, discards or leaves it for later.
async fn close(registered: &Registered, context: Arc<FlowContext>, end: End) {
    match end {
        // Verified before, or about to be: nothing is left to do here.
        End::Complete => {}
        End::Contradicted(error) => {
            context.shared.metrics.fills_failed.inc();
            suspect_sources(&context);
            discard(&context).await;
            drop(take_room(&context).await);
            registered.leave();
            context.growing.finish(Phase::Failed(error));
        }
        End::Failed(error) => {
            context.shared.metrics.fills_failed.inc();
            leave_resumable(registered, context, error).await;
        }
        End::Idle | End::Stopped => leave_resumable(registered, context, PullError::ShuttingDown).await,
        End::NoRoom(size) => without_room(registered, context, size).await,
    }
}

/// Makes those that bytes came from come last for this digest.
fn suspect_sources(context: &FlowContext) {
    let origin = &context.growing.origin;
    if origin.repo.sources().are_several() {
        origin.repo.sources().suspect(&origin.digest, context.growing.sources());
    }
}

/// Tells readers that the bytes are verified, and puts them into the store.
async fn publish(registered: &Registered, context: Arc<FlowContext>) {
    let origin = &context.growing.origin;
    context.growing.finish(Phase::Verified);
    let linked = context.shared.metadata.link(&origin.repo.spec().key, &origin.name, &origin.digest).await;
    if let Err(error) = linked {
        tracing::error!(digest = %origin.digest, %error, "cannot link a blob to its repository; it will be confirmed upstream on the next pull");
    }
    let room = take_room(&context).await;
    match context.shared.cache.publish(&context.staged, room).await {
        Ok(()) => {
            tracing::debug!(digest = %origin.digest, repo_key = %origin.repo.key(), "blob published");
            // Readers of the growing object count as readers of the stored one: it is not evicted under them.
            if let Ok(Some(lease)) = context.shared.cache.open_blob(&origin.digest).await {
                context.growing.keep(lease);
            }
        }
        Err(error) => {
            tracing::error!(digest = %origin.digest, %error, "a verified blob could not be published; it is served but not kept");
            discard(&context).await;
        }
    }
    registered.leave();
}

async fn corrupt(registered: &Registered, context: &Arc<FlowContext>, actual: Digest) {
    let origin = &context.growing.origin;
    context.shared.metrics.integrity_failures.inc();
    suspect_sources(context);
    tracing::error!(expected = %origin.digest, %actual, repo_key = %origin.repo.key(), upstream = %origin.repo.upstream(),
        "upstream sent bytes that do not hash to the digest; nothing is kept");
    discard(context).await;
    registered.leave();
    let said = origin.said("the bytes do not hash to the digest");
    context.growing.finish(Phase::Failed(PullError::Corrupt {
        expected: Box::new(origin.digest),
        actual: Box::new(actual),
        said,
    }));
}

async fn without_room(registered: &Registered, context: Arc<FlowContext>, size: Option<u64>) {
    let digest = context.growing.origin.digest;
    context.shared.metrics.no_room.inc();
    tracing::warn!(%digest, size, "no room in the cache: streaming past it");
    let hashed = hashed(&context).await;
    discard(&context).await;
    drop(take_room(&context).await);
    registered.leave();
    match hashed {
        Ok(unfinished) => context.growing.finish_without_room(size, unfinished),
        Err(error) => context.growing.finish(Phase::Failed(error)),
    }
}

/// Keeps what is there for the next pull or the next process.
async fn leave_resumable(registered: &Registered, context: Arc<FlowContext>, error: PullError) {
    let present = context.growing.state().present.total();
    let room = take_room(&context).await;
    if present == 0 {
        discard(&context).await;
        drop(room);
    } else {
        checkpoint(&context).await;
        room.into_idle(present);
    }
    registered.leave();
    context.growing.finish(Phase::Failed(error));
}

async fn take_room(context: &FlowContext) -> Reservation {
    context.room.lock().await.take()
}

async fn discard(context: &Arc<FlowContext>) {
    let staged = context.staged.clone();
    let done = tokio::task::spawn_blocking(move || staged.discard()).await;
    if let Err(error) = done.map_err(std::io::Error::other).and_then(|r| r) {
        tracing::error!(digest = %context.growing.origin.digest, %error, "cannot remove a staging file");
    }
}

/// The hash over everything contiguous from the start.
async fn hashed(context: &Arc<FlowContext>) -> Result<Unfinished, PullError> {
    let context = context.clone();
    let done = tokio::task::spawn_blocking(move || {
        let end = context.growing.state().present.contiguous_from(0);
        context.frontier.catch_up(&context.staged, end)
    });
    done.await.map_err(|e| PullError::storage(&e))?.map_err(|e| PullError::storage(&e))
}
