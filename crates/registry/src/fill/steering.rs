//! Steers the flows of one fill until it is complete, cannot go on, or is not needed.
//!
//! `plan` says what to ask for next; here it is asked again as things happen. Must not know how a fill ends. Invariant: progress is
//! noted on disk while bytes come, and an unused fill leaves under the lock that readers join under.

use std::sync::Arc;
use std::time::{Duration, Instant};

use oci::ByteRange;
use tokio::task::JoinSet;
use tracing::Instrument;

use super::crowd::{self, Gathering, Seen};
use super::ending;
use super::flow::{self, FlowContext, FlowEnd, FlowPosition};
use super::plan::{self, FlowKind, FlowView, View};
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

/// Why steering stops.
pub(super) enum End {
    Complete,
    Failed(PullError),
    Contradicted(PullError),
    NoRoom(Option<u64>),
    Idle,
    Stopped,
}

/// The flows of a fill, and what was learnt of its upstream on the way.
pub(super) struct Steering {
    context: Arc<FlowContext>,
    flows: JoinSet<(Arc<FlowPosition>, FlowEnd)>,
    positions: Vec<Arc<FlowPosition>>,
    /// Once parts were fetched side by side, the stragglers among them get no requests of their own either.
    crowded: bool,
    gathering: Gathering,
    /// How many ranges have had a request of their own.
    lanes_started: usize,
    /// How many more may have one now; fewer while a range waits for what may come beside it.
    new_lanes: usize,
    ranges_ignored: bool,
}

impl Steering {
    pub(super) fn new(context: Arc<FlowContext>) -> Self {
        Self {
            context,
            flows: JoinSet::new(),
            positions: Vec::new(),
            crowded: false,
            gathering: Gathering::default(),
            lanes_started: 0,
            new_lanes: plan::LANES,
            ranges_ignored: false,
        }
    }

    /// Goes on until there is nothing left to steer.
    pub(super) async fn run(&mut self) -> End {
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
            let look_again = !idle || self.new_lanes < plan::LANES;
            tokio::select! {
                () = self.context.shared.stop.cancelled() => return End::Stopped,
                Some(ended) = self.flows.join_next(), if !idle => {
                    if let Some(end) = self.ended(ended) {
                        return end;
                    }
                }
                () = self.context.growing.work() => {}
                () = tokio::time::sleep(replan_after), if look_again => {}
                _ = checkpoint.tick(), if !idle => self.checkpoint(&mut noted).await,
                () = tokio::time::sleep(LINGER), if idle => {
                    if self.leave_if_unused() {
                        return End::Idle;
                    }
                }
            }
        }
    }

    /// Ends what is still under way.
    pub(super) async fn stop(mut self) {
        self.flows.shutdown().await;
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
            self.crowded = crowd::is_crowd(&wants);
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
            let arriving = self.context.shared.arrivals.of(&self.context.growing.origin.digest);
            let seen = Seen { wants: &wants, came: state.wants_ever(), arriving };
            let holds_back = !self.crowded && self.gathering.goes_on(&seen, Instant::now());
            self.new_lanes = match (holds_back, self.lanes_started) {
                (false, _) => plan::LANES,
                // The first lane goes at once: whoever reads one range only must not wait.
                (true, 0) => 1,
                (true, _) => 0,
            };
            plan::plan(&View {
                size: state.size,
                present: &state.present,
                wants: &wants,
                whole: state.whole,
                crowded: self.crowded,
                new_lanes: self.new_lanes,
                ranges_ignored: self.ranges_ignored,
                flows: &flows,
            })
        };
        for start in starts {
            self.lanes_started += usize::from(start.kind == FlowKind::Lane);
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
            ending::checkpoint(&self.context).await;
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
