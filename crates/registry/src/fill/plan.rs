//! What to ask upstream for next: a pure function of what is present, wanted and under way.
//!
//! Must not do I/O. Invariants: no byte is asked for that is present or that another flow is about to bring, but for
//! islands so small that going around them costs more; at most one main flow; lanes are bounded, and aligned to blocks
//! so that neighbours share one request; many parts of one blob at once cost no more requests than a few.

use std::time::Duration;

use blob_store::RangeSet;
use oci::ByteRange;

/// Lanes are cut to whole blocks of this size.
const BLOCK_BYTES: u64 = 256 << 10;
/// Lanes at the same time.
pub(super) const LANES: usize = 2;
/// A lane this young may be the first of many parts: the next waits to see whether they are a crowd.
const LANE_PROBATION: Duration = Duration::from_millis(25);
/// The main flow goes through present islands up to this size, and up to this part of the blob.
const ISLAND_BYTES: u64 = 1 << 20;
const ISLAND_PART: u64 = 32;
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
    /// Its parts are fetched side by side: they come with the main flow.
    pub(super) crowded: bool,
    /// Lanes that may be started now.
    pub(super) new_lanes: usize,
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
        if let Some(gap) = without_islands(&taken.gaps_within(all), size) {
            starts.push(Start { kind: FlowKind::Main, from: gap.start, end: Some(gap.end) });
        }
    }
    starts
}

/// The first gap, and those behind it that only small islands keep apart.
fn without_islands(gaps: &[ByteRange], size: u64) -> Option<ByteRange> {
    let island = ISLAND_BYTES.min(size / ISLAND_PART);
    let mut all = *gaps.first()?;
    for gap in gaps {
        if gap.start > all.end + island {
            break;
        }
        all.end = gap.end;
    }
    Some(all)
}

/// Starts lanes for wanted ranges that nothing will bring soon.
fn lanes(view: &View<'_>, size: u64, flows: &mut Vec<FlowView>, starts: &mut Vec<Start>) {
    let in_probation = |flow: &FlowView| flow.kind == FlowKind::Lane && flow.age < LANE_PROBATION;
    if (view.whole && view.crowded) || flows.iter().any(in_probation) {
        return;
    }
    let about_to_start_main = view.whole && !flows.iter().any(|f| f.kind == FlowKind::Main);
    loop {
        let lanes = flows.iter().filter(|f| f.kind == FlowKind::Lane).count();
        if lanes >= LANES || starts.len() >= view.new_lanes {
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

#[cfg(test)]
mod tests {
    use super::super::crowd::is_crowd;
    use super::*;

    const MIB: u64 = 1 << 20;
    const SIZE: u64 = 100 * MIB;

    fn set(ranges: &[(u64, u64)]) -> RangeSet {
        let mut set = RangeSet::default();
        ranges.iter().filter_map(|(start, end)| range(*start, *end)).for_each(|range| set.insert(range));
        set
    }

    struct Case<'a> {
        present: &'a [(u64, u64)],
        wants: &'a [(u64, u64)],
        whole: bool,
        flows: &'a [FlowView],
        new_lanes: usize,
    }

    impl Case<'_> {
        fn plan(&self) -> Vec<(FlowKind, u64, u64)> {
            let wants: Vec<_> = self.wants.iter().filter_map(|(start, end)| range(*start, *end)).collect();
            let view = View {
                size: Some(SIZE),
                present: &set(self.present),
                wants: &wants,
                whole: self.whole,
                crowded: is_crowd(&wants),
                new_lanes: self.new_lanes,
                ranges_ignored: false,
                flows: self.flows,
            };
            plan(&view).iter().map(|start| (start.kind, start.from, start.end.unwrap())).collect()
        }
    }

    fn flow(kind: FlowKind, at: u64, end: u64, millis: u64) -> FlowView {
        FlowView { kind, at, end: Some(end), age: Duration::from_millis(millis), bytes: 0 }
    }

    #[test]
    fn a_lone_range_gets_its_blocks_and_no_more() {
        let case = Case { present: &[], wants: &[(SIZE - 51, SIZE)], whole: false, flows: &[], new_lanes: LANES };
        assert_eq!(case.plan(), [(FlowKind::Lane, SIZE - BLOCK_BYTES, SIZE)]);
    }

    #[test]
    fn ranges_of_one_request_come_side_by_side_but_two_at_a_time() {
        let wants = [(0, 10), (50 * MIB, 50 * MIB + 10), (SIZE - 5, SIZE)];
        let case = Case { present: &[], wants: &wants, whole: false, flows: &[], new_lanes: LANES };
        let both = [(FlowKind::Lane, 0, BLOCK_BYTES), (FlowKind::Lane, 50 * MIB, 50 * MIB + BLOCK_BYTES)];
        assert_eq!(case.plan(), both);
    }

    #[test]
    fn a_second_lane_waits_until_the_first_has_shown_that_it_is_alone() {
        let wants = [(0, 10), (50 * MIB, 50 * MIB + 10)];
        let after = |millis| {
            let lane = [flow(FlowKind::Lane, 0, BLOCK_BYTES, millis)];
            Case { present: &[], wants: &wants, whole: false, flows: &lane, new_lanes: LANES }.plan()
        };
        assert_eq!(after(0), []);
        assert_eq!(after(30), [(FlowKind::Lane, 50 * MIB, 50 * MIB + BLOCK_BYTES)]);
    }

    #[test]
    fn no_more_lanes_start_than_may() {
        let wants = [(0, 1000), (MIB, MIB + 1000)];
        let plan = |new_lanes| Case { present: &[], wants: &wants, whole: false, flows: &[], new_lanes }.plan();
        assert_eq!([0, 1, LANES].map(|new_lanes| plan(new_lanes).len()), [0, 1, 2]);
    }

    #[test]
    fn a_crowd_waits_for_the_main_flow_and_one_who_is_far_ahead_does_not() {
        let crowd: Vec<_> = (0..100).map(|part| (part * MIB, (part + 1) * MIB)).collect();
        let slow = [flow(FlowKind::Main, MIB, SIZE, 1000)];
        assert_eq!(
            Case { present: &[(0, MIB)], wants: &crowd, whole: true, flows: &slow, new_lanes: LANES }.plan(),
            []
        );
        let one = [(SIZE - 10, SIZE)];
        let lane = [(FlowKind::Lane, SIZE - BLOCK_BYTES, SIZE)];
        assert_eq!(
            Case { present: &[(0, MIB)], wants: &one, whole: true, flows: &slow, new_lanes: LANES }.plan(),
            lane
        );
    }

    #[test]
    fn the_main_flow_goes_through_small_islands_and_around_large_ones() {
        let case = |present| Case { present, wants: &[], whole: true, flows: &[], new_lanes: LANES }.plan();
        assert_eq!(case(&[(10 * MIB, 11 * MIB)]), [(FlowKind::Main, 0, SIZE)]);
        assert_eq!(case(&[(10 * MIB, 12 * MIB)]), [(FlowKind::Main, 0, 10 * MIB)]);
        let many = [(MIB, 2 * MIB), (3 * MIB, 4 * MIB), (50 * MIB, 60 * MIB)];
        assert_eq!(case(&many), [(FlowKind::Main, 0, 50 * MIB)]);
        assert_eq!(case(&[(0, 5 * MIB), (99 * MIB, SIZE)]), [(FlowKind::Main, 5 * MIB, 99 * MIB)]);
    }
}
