//! Which bytes are asked for together: members of a layer that lie side by side become one request.
//!
//! Must not fetch. Invariants: the pieces cover every wanted member exactly once; what is fetched besides is at most
//! `MOST_WASTE` of what is wanted; within a piece the members are in their order and do not overlap.

use std::collections::BTreeMap;

use oci::ByteRange;

use super::Job;

/// The share of bytes that may be fetched without being wanted, to save requests: a twenty-fifth.
const MOST_WASTE: u64 = 25;
/// No gap is larger: a request costs less than these bytes.
const LARGEST_GAP: u64 = 64 * 1024;
/// Pieces are about this large, in bytes, so that there are some for every worker.
const SMALLEST_PIECE: u64 = 4 * 1024 * 1024;
const LARGEST_PIECE: u64 = 8 * 1024 * 1024;
/// So many pieces are enough, where they need not be larger than `LARGEST_PIECE`.
const ENOUGH_PIECES: u64 = 16;

/// One chunk of one job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) job: usize,
    pub(crate) chunk: usize,
}

/// A run of compressed bytes and what is in it. Several chunks may share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) range: ByteRange,
    pub(crate) parts: Vec<Part>,
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) layer: usize,
    pub(crate) members: Vec<Member>,
}

impl Piece {
    /// What is asked for.
    pub(crate) fn range(&self) -> ByteRange {
        let (first, last) = (&self.members[0], &self.members[self.members.len() - 1]);
        ByteRange { start: first.range.start, end: last.range.end }
    }
}

/// The requests for all parts that `wanted` says yes to, in the order in which they lie in their layers.
pub(crate) fn plan(jobs: &[Job], wanted: impl Fn(Part) -> bool) -> Vec<Piece> {
    let mut layers: BTreeMap<usize, Vec<(ByteRange, Part)>> = BTreeMap::new();
    for (job, one) in jobs.iter().enumerate() {
        for (chunk, range) in one.chunks.iter().enumerate().filter_map(|(at, chunk)| Some((at, chunk.range()?))) {
            let part = Part { job, chunk };
            if wanted(part) {
                layers.entry(one.layer_index).or_default().push((range, part));
            }
        }
    }
    layers.into_iter().flat_map(|(layer, parts)| pieces(layer, members(parts))).collect()
}

fn members(mut parts: Vec<(ByteRange, Part)>) -> Vec<Member> {
    parts.sort_by_key(|(range, part)| (range.start, range.end, part.job, part.chunk));
    let mut members: Vec<Member> = Vec::new();
    for (range, part) in parts {
        match members.last_mut() {
            Some(last) if last.range == range => last.parts.push(part),
            Some(_) | None => members.push(Member { range, parts: vec![part] }),
        }
    }
    members
}

fn pieces(layer: usize, members: Vec<Member>) -> Vec<Piece> {
    let total: u64 = members.iter().map(|member| member.range.len()).sum();
    let bridged = bridged_gap(&members, total / MOST_WASTE);
    let size = (total / ENOUGH_PIECES).clamp(SMALLEST_PIECE, LARGEST_PIECE);
    let mut pieces: Vec<Piece> = Vec::new();
    for member in members {
        match pieces.last_mut() {
            Some(piece) if joins(piece, &member, bridged, size) => piece.members.push(member),
            Some(_) | None => pieces.push(Piece { layer, members: vec![member] }),
        }
    }
    pieces
}

fn joins(piece: &Piece, member: &Member, bridged: u64, size: u64) -> bool {
    let range = piece.range();
    let gap = member.range.start.checked_sub(range.end);
    gap.is_some_and(|gap| gap <= bridged) && member.range.end - range.start <= size
}

/// The largest gap that is bridged: as large as the budget allows when the small ones are bridged first.
fn bridged_gap(members: &[Member], budget: u64) -> u64 {
    let gap = |pair: &[Member]| pair[1].range.start.checked_sub(pair[0].range.end);
    let mut gaps: Vec<u64> = members.windows(2).filter_map(gap).filter(|gap| (1..=LARGEST_GAP).contains(gap)).collect();
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

    fn member(start: u64, end: u64) -> (ByteRange, Part) {
        (ByteRange { start, end }, Part { job: start as usize, chunk: 0 })
    }

    fn ranges(parts: Vec<(ByteRange, Part)>) -> Vec<(u64, u64)> {
        pieces(0, members(parts)).iter().map(|piece| (piece.range().start, piece.range().end)).collect()
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
        let wanted: u64 = scattered.iter().map(|(range, _)| range.len()).sum();
        let fetched: u64 = pieces(0, members(scattered)).iter().map(|piece| piece.range().len()).sum();
        assert!(fetched >= wanted && fetched <= wanted + wanted / MOST_WASTE, "{fetched} for {wanted}");
    }

    #[test]
    fn large_runs_are_split_for_the_workers() {
        let mib = 1 << 20;
        let found = ranges((0..64).map(|at| member(at * mib, (at + 1) * mib)).collect());
        assert_eq!(found.len(), 16);
        assert!(found.iter().all(|(start, end)| end - start == 4 * mib));
        let found = ranges((0..1000).map(|at| member(at * mib, (at + 1) * mib)).collect());
        assert_eq!(found.len(), 125, "eight MiB each");
    }

    #[test]
    fn chunks_of_one_member_are_fetched_once() {
        let range = ByteRange { start: 0, end: 10 };
        let both = members(vec![(range, Part { job: 0, chunk: 0 }), (range, Part { job: 1, chunk: 0 })]);
        assert_eq!(both.len(), 1);
        assert_eq!(both[0].parts.len(), 2);
        let overlapping = ranges(vec![member(0, 10), member(5, 15)]);
        assert_eq!(overlapping, [(0, 10), (5, 15)], "what overlaps is asked for apart");
    }
}
