//! Which bytes are asked for together: members of a layer that lie side by side become one request.
//!
//! Must not fetch. Invariants: the pieces cover every wanted member exactly once; what is fetched besides is at most
//! `MOST_WASTE` of what is wanted; within a piece the members are in their order and do not overlap.

use std::ops::Range;

use oci::ByteRange;

use super::Job;

/// The share of bytes that may be fetched without being wanted, to save requests: a twenty-fifth.
const MOST_WASTE: u64 = 25;
/// No gap is larger: a request costs less than these bytes.
const LARGEST_GAP: u64 = 64 * 1024;
/// Pieces are about this large, in bytes, so that there are some for every worker, and a request is worth its round trip.
const SMALLEST_PIECE: u64 = 1024 * 1024;
const LARGEST_PIECE: u64 = 4 * 1024 * 1024;
/// So many pieces are enough, where they need not be larger than `LARGEST_PIECE`.
const ENOUGH_PIECES: u64 = 16;

/// One chunk of one job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) job: usize,
    pub(crate) chunk: usize,
}

/// A chunk and the compressed bytes it is in: a member, which several chunks may share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) range: ByteRange,
    job: u32,
    chunk: u32,
}

impl Slot {
    pub(crate) fn part(&self) -> Part {
        Part { job: self.job as usize, chunk: self.chunk as usize }
    }
}

/// One request: the members that some slots are in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) layer: usize,
    pub(crate) range: ByteRange,
    slots: Range<usize>,
}

/// All requests, in the order in which they lie in their layers.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    slots: Vec<Slot>,
    pieces: Vec<Piece>,
}

impl Plan {
    /// The requests.
    pub(crate) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// What is in one of them, in order; slots of one member are side by side.
    pub(crate) fn slots(&self, piece: &Piece) -> &[Slot] {
        &self.slots[piece.slots.clone()]
    }

    /// The bytes that will be fetched.
    pub(crate) fn bytes(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.range.len()).sum()
    }
}

/// The requests for all parts that `wanted` says yes to.
pub(crate) fn plan(jobs: &[Job], wanted: impl Fn(Part) -> bool) -> Plan {
    let mut slots = Vec::new();
    for (job, one) in jobs.iter().enumerate() {
        for (chunk, range) in one.chunks().enumerate().filter_map(|(at, chunk)| Some((at, chunk.range()?))) {
            if wanted(Part { job, chunk }) {
                // A table has a million entries at most.
                slots.push(Slot { range, job: job as u32, chunk: chunk as u32 });
            }
        }
    }
    let layer = |slot: &Slot| jobs[slot.job as usize].layer_index();
    slots.sort_unstable_by_key(|slot| (layer(slot), slot.range.start, slot.range.end, slot.job, slot.chunk));
    let mut pieces = Vec::new();
    let mut first = 0;
    for of_layer in slots.chunk_by(|one, next| layer(one) == layer(next)) {
        cut(layer(&of_layer[0]), of_layer, first, &mut pieces);
        first += of_layer.len();
    }
    Plan { slots, pieces }
}

/// Cuts the slots of one layer, of which `first` come before it, into pieces.
fn cut(layer: usize, slots: &[Slot], first: usize, pieces: &mut Vec<Piece>) {
    let begin = pieces.len();
    let members = || slots.chunk_by(|one, next| one.range == next.range);
    let total: u64 = members().map(|member| member[0].range.len()).sum();
    let bridged = bridged_gap(members().map(|member| member[0].range), total / MOST_WASTE);
    let size = (total / ENOUGH_PIECES).clamp(SMALLEST_PIECE, LARGEST_PIECE);
    let mut at = first;
    for member in members() {
        let (range, end) = (member[0].range, at + member.len());
        match pieces[begin..].last_mut() {
            Some(piece) if joins(piece.range, range, bridged, size) => {
                piece.range.end = range.end;
                piece.slots.end = end;
            }
            Some(_) | None => pieces.push(Piece { layer, range, slots: at..end }),
        }
        at = end;
    }
}

fn joins(piece: ByteRange, member: ByteRange, bridged: u64, size: u64) -> bool {
    let gap = member.start.checked_sub(piece.end);
    gap.is_some_and(|gap| gap <= bridged) && member.end - piece.start <= size
}

/// The largest gap that is bridged: as large as the budget allows when the small ones are bridged first.
fn bridged_gap(members: impl Iterator<Item = ByteRange>, budget: u64) -> u64 {
    let mut end = None;
    let gap = |range: ByteRange| end.replace(range.end).and_then(|end: u64| range.start.checked_sub(end));
    let mut gaps: Vec<u64> = members.filter_map(gap).filter(|gap| (1..=LARGEST_GAP).contains(gap)).collect();
    gaps.sort_unstable();
    let mut sum = 0;
    let mut largest = 0;
    for (at, gap) in gaps.iter().enumerate() {
        sum += gap;
        if sum > budget {
            break;
        }
        // Gaps of one size are bridged all or not at all.
        if gaps.get(at + 1) != Some(gap) {
            largest = *gap;
        }
    }
    largest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(start: u64, end: u64) -> Slot {
        Slot { range: ByteRange { start, end }, job: start as u32, chunk: 0 }
    }

    fn pieces(mut slots: Vec<Slot>) -> Vec<Piece> {
        slots.sort_unstable_by_key(|slot| (slot.range.start, slot.range.end, slot.job));
        let mut pieces = Vec::new();
        cut(0, &slots, 0, &mut pieces);
        assert_eq!(pieces.iter().map(|piece| piece.slots.len()).sum::<usize>(), slots.len());
        pieces
    }

    fn ranges(slots: Vec<Slot>) -> Vec<(u64, u64)> {
        pieces(slots).iter().map(|piece| (piece.range.start, piece.range.end)).collect()
    }

    #[test]
    fn neighbours_are_one_request_and_far_ones_are_not() {
        assert_eq!(ranges(vec![member(10, 20), member(0, 10), member(20, 30)]), [(0, 30)]);
        assert_eq!(ranges(vec![member(0, 10), member(1000, 1010)]), [(0, 10), (1000, 1010)]);
        // 40 bytes of gap for 2,000 wanted ones are within a twenty-fifth; 200 are not.
        assert_eq!(ranges(vec![member(0, 1000), member(1040, 2040)]), [(0, 2040)]);
        assert_eq!(ranges(vec![member(0, 1000), member(1200, 2200)]), [(0, 1000), (1200, 2200)]);
    }

    #[test]
    fn what_is_fetched_besides_stays_within_the_budget() {
        let scattered: Vec<_> = (0..1000).map(|at| member(at * 1000, at * 1000 + 500 + at % 400)).collect();
        let wanted: u64 = scattered.iter().map(|slot| slot.range.len()).sum();
        let fetched: u64 = pieces(scattered).iter().map(|piece| piece.range.len()).sum();
        assert!(fetched >= wanted && fetched <= wanted + wanted / MOST_WASTE, "{fetched} for {wanted}");
    }

    #[test]
    fn large_runs_are_split_for_the_workers() {
        let kib = 1 << 10;
        let of = |kib_each: u64, count: u64| {
            let size = kib_each * kib;
            ranges((0..count).map(|at| member(at * size, (at + 1) * size)).collect())
        };
        assert_eq!(of(64, 64).len(), 4, "a MiB is worth a request");
        assert_eq!(of(64, 512).len(), 16, "two MiB each");
        let found = of(1024, 1000);
        assert_eq!(found.len(), 250, "not more than four MiB each");
        assert!(found.iter().all(|(start, end)| end - start == 4 << 20));
        assert_eq!(of(9 << 10, 2).len(), 2, "a member is never cut");
    }

    #[test]
    fn chunks_of_one_member_are_fetched_once() {
        let both = vec![member(0, 10), Slot { job: 1, ..member(0, 10) }];
        let found = pieces(both);
        assert_eq!((found.len(), found[0].slots.len()), (1, 2));
        let overlapping = ranges(vec![member(0, 10), member(5, 15)]);
        assert_eq!(overlapping, [(0, 10), (5, 15)], "what overlaps is asked for apart");
    }
}
