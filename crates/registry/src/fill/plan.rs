//! What to ask upstream for next: a pure function of what is present, wanted and under way.
//!
//! Must not do I/O. Invariants: no byte is asked for that is present or that another flow is about to bring; at most
//! one main flow; lanes are bounded, and aligned to blocks so that neighbours share one request.

use std::time::Duration;

use blob_store::RangeSet;
use oci::ByteRange;

/// Lanes are cut to whole blocks of this size.
const BLOCK_BYTES: u64 = 256 << 10;
/// Lanes beside a main flow.
const LANES_BESIDE_MAIN: usize = 2;
/// Lanes while only ranges are wanted.
const LANES_ALONE: usize = 4;
/// A main flow this young has not shown its speed yet: everything may still come from it.
pub(super) const MAIN_PROBATION: Duration = Duration::from_millis(150);
/// Bytes that the main flow brings within this time are not worth a request of their own.
const PATIENCE: Duration = Duration::from_millis(500);

/// A flow under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct FlowView {
    pub(super) kind: FlowKind,
    pub(super) at: u64,
    pub(super) end: Option<u64>,
    pub(super) age: Duration,
    pub(super) bytes: u64,
}

/// What a flow is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FlowKind {
    /// Fills everything, front to back.
    Main,
    /// Brings one range that somebody waits for.
    Lane,
}

/// A flow to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) kind: FlowKind,
    pub(super) from: u64,
    /// `None`: the size is not known yet.
    pub(super) end: Option<u64>,
}

/// What the plan is made from.
pub(super) struct View<'a> {
    pub(super) size: Option<u64>,
    pub(super) present: &'a RangeSet,
    pub(super) wants: &'a [ByteRange],
    pub(super) whole: bool,
    pub(super) ranges_ignored: bool,
    pub(super) flows: &'a [FlowView],
}

/// Says which flows to start.
pub(super) fn plan(view: &View<'_>) -> Vec<Start> {
    let Some(size) = view.size else {
        let idle = view.whole && view.flows.is_empty();
        return idle.then_some(Start { kind: FlowKind::Main, from: 0, end: None }).into_iter().collect();
    };
    let Some(all) = range(0, size) else { return Vec::new() };
    let mut starts = Vec::new();
    let mut flows = view.flows.to_vec();
    if view.ranges_ignored {
        if flows.is_empty() && (view.whole || !view.wants.is_empty()) && !view.present.contains(all) {
            starts.push(Start { kind: FlowKind::Main, from: 0, end: Some(size) });
        }
        return starts;
    }
    lanes(view, size, &mut flows, &mut starts);
    let main_runs = flows.iter().any(|f| f.kind == FlowKind::Main);
    if view.whole && !main_runs {
        let taken = covered(view.present, &flows, size, Duration::MAX);
        if let Some(gap) = taken.gaps_within(all).first() {
            starts.push(Start { kind: FlowKind::Main, from: gap.start, end: Some(gap.end) });
        }
    }
    starts
}

/// Starts lanes for wanted ranges that nothing will bring soon.
fn lanes(view: &View<'_>, size: u64, flows: &mut Vec<FlowView>, starts: &mut Vec<Start>) {
    let limit = if view.whole { LANES_BESIDE_MAIN } else { LANES_ALONE };
    let about_to_start_main = view.whole && !flows.iter().any(|f| f.kind == FlowKind::Main);
    loop {
        if flows.iter().filter(|f| f.kind == FlowKind::Lane).count() >= limit {
            return;
        }
        let soon = covered(view.present, flows, size, PATIENCE);
        let mut missing = RangeSet::default();
        for gap in view.wants.iter().flat_map(|want| soon.gaps_within(*want)) {
            missing.insert(aligned(gap, size));
        }
        let next = missing.iter().flat_map(|block| soon.gaps_within(block)).next();
        let Some(gap) = next.filter(|gap| !(about_to_start_main && gap.start == soon.contiguous_from(0))) else {
            return;
        };
        starts.push(Start { kind: FlowKind::Lane, from: gap.start, end: Some(gap.end) });
        let lane = FlowView { kind: FlowKind::Lane, at: gap.start, end: Some(gap.end), age: Duration::ZERO, bytes: 0 };
        flows.push(lane);
    }
}

/// What is present or will come within `patience` from flows under way.
fn covered(present: &RangeSet, flows: &[FlowView], size: u64, patience: Duration) -> RangeSet {
    let mut covered = present.clone();
    for flow in flows {
        let end = flow.end.unwrap_or(size);
        let reach = match flow.kind {
            FlowKind::Lane => end,
            FlowKind::Main if patience == Duration::MAX || flow.age < MAIN_PROBATION => end,
            FlowKind::Main => end.min(flow.at.saturating_add(per(flow.bytes, flow.age, patience))),
        };
        if let Some(range) = range(flow.at, reach) {
            covered.insert(range);
        }
    }
    covered
}

/// Bytes that come in `time` at the speed of `bytes` in `age`.
fn per(bytes: u64, age: Duration, time: Duration) -> u64 {
    let millis = u64::try_from(age.as_millis()).unwrap_or(u64::MAX).max(1);
    (bytes / millis).saturating_mul(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

fn aligned(range: ByteRange, size: u64) -> ByteRange {
    ByteRange {
        start: range.start / BLOCK_BYTES * BLOCK_BYTES,
        end: (range.end.div_ceil(BLOCK_BYTES) * BLOCK_BYTES).min(size),
    }
}

fn range(start: u64, end: u64) -> Option<ByteRange> {
    (start < end).then_some(ByteRange { start, end })
}
