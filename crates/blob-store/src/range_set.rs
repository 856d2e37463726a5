//! Which bytes of a blob are present: a set of byte positions kept as runs.
//!
//! It must not know files.
//!
//! Invariant: runs are non-empty, ascending, and neither overlap nor touch, so equal sets have equal runs.

use oci::ByteRange;

/// A set of byte positions, kept as ascending disjoint half-open runs.
///
/// Memory is proportional to the number of gaps: a fill that runs from front to back keeps one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeSet {
    runs: Vec<ByteRange>,
}

impl RangeSet {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds every byte of `range`. Runs that overlap or touch become one.
    pub fn insert(&mut self, range: ByteRange) {
        if range.start >= range.end {
            return;
        }
        let first = self.runs.partition_point(|run| run.end < range.start);
        let after = self.runs.partition_point(|run| run.start <= range.end);
        let mut merged = range;
        if let Some(touched) = self.runs.get(first..after)
            && let (Some(lowest), Some(highest)) = (touched.first(), touched.last())
        {
            merged = ByteRange { start: lowest.start.min(range.start), end: highest.end.max(range.end) };
        }
        self.runs.splice(first..after, [merged]);
    }

    /// Whether every byte of `range` is present. An empty range is always present.
    pub fn contains(&self, range: ByteRange) -> bool {
        range.start >= range.end || self.contiguous_from(range.start) >= range.end
    }

    /// What of `range` is missing, ascending.
    pub fn gaps_within(&self, range: ByteRange) -> Vec<ByteRange> {
        let mut gaps = Vec::new();
        let mut missing_from = range.start;
        let first = self.runs.partition_point(|run| run.end <= range.start);
        for run in self.runs.iter().skip(first).take_while(|run| run.start < range.end) {
            if run.start > missing_from {
                gaps.push(ByteRange { start: missing_from, end: run.start });
            }
            missing_from = run.end;
        }
        if missing_from < range.end {
            gaps.push(ByteRange { start: missing_from, end: range.end });
        }
        gaps
    }

    /// The end (exclusive) of the run that holds the byte at `offset`; `offset` itself when that byte is missing.
    pub fn contiguous_from(&self, offset: u64) -> u64 {
        let index = self.runs.partition_point(|run| run.end <= offset);
        match self.runs.get(index) {
            Some(run) if run.start <= offset => run.end,
            Some(_) | None => offset,
        }
    }

    /// How many bytes are present.
    pub fn total(&self) -> u64 {
        self.runs.iter().map(|run| run.end - run.start).sum()
    }

    /// One past the highest byte present; 0 for the empty set.
    pub fn end(&self) -> u64 {
        self.runs.last().map_or(0, |run| run.end)
    }

    /// Whether no byte is present.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The runs, ascending.
    pub fn iter(&self) -> impl Iterator<Item = ByteRange> + '_ {
        self.runs.iter().copied()
    }
}

impl FromIterator<ByteRange> for RangeSet {
    fn from_iter<I: IntoIterator<Item = ByteRange>>(ranges: I) -> Self {
        let mut set = Self::new();
        for range in ranges {
            set.insert(range);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Positions are drawn from here, so that runs meet often.
    const WORLD: u64 = 40;

    fn ranges() -> impl Strategy<Value = Vec<ByteRange>> {
        let range = (0..WORLD, 0..=6_u64).prop_map(|(start, len)| ByteRange { start, end: (start + len).min(WORLD) });
        proptest::collection::vec(range, 0..20)
    }

    fn bitmap(ranges: &[ByteRange]) -> Vec<bool> {
        (0..WORLD).map(|at| ranges.iter().any(|range| range.start <= at && at < range.end)).collect()
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_bitmap(ranges in ranges(), start in 0..WORLD, len in 0..WORLD) {
            let set: RangeSet = ranges.iter().copied().collect();
            let bits = bitmap(&ranges);
            let asked = ByteRange { start, end: (start + len).min(WORLD) };
            let window = &bits[asked.start as usize..asked.end as usize];

            prop_assert_eq!(set.total(), bits.iter().filter(|bit| **bit).count() as u64);
            prop_assert_eq!(set.end(), bits.iter().rposition(|bit| *bit).map_or(0, |last| last as u64 + 1));
            prop_assert_eq!(set.is_empty(), !bits.contains(&true));
            prop_assert_eq!(set.contains(asked), window.iter().all(|bit| *bit));
            let run = bits[start as usize..].iter().take_while(|bit| **bit).count() as u64;
            prop_assert_eq!(set.contiguous_from(start), start + run);

            let gaps = set.gaps_within(asked);
            let missing = bitmap(&gaps);
            for at in 0..WORLD {
                let expected = asked.start <= at && at < asked.end && !bits[at as usize];
                prop_assert_eq!(missing[at as usize], expected, "position {}", at);
            }
            assert_canonical(&gaps);
        }

        #[test]
        fn equal_sets_have_equal_runs(ranges in ranges(), seed in any::<u64>()) {
            let set: RangeSet = ranges.iter().copied().collect();
            let mut shuffled = ranges;
            for index in (1..shuffled.len()).rev() {
                shuffled.swap(index, (seed as usize).wrapping_mul(index) % (index + 1));
            }
            prop_assert_eq!(&set, &shuffled.into_iter().collect::<RangeSet>());
            assert_canonical(&set.iter().collect::<Vec<_>>());
        }
    }

    fn assert_canonical(runs: &[ByteRange]) {
        assert!(runs.iter().all(|run| run.start < run.end), "{runs:?}");
        assert!(runs.windows(2).all(|pair| pair[0].end < pair[1].start), "{runs:?}");
    }

    #[test]
    fn the_ends_of_the_number_line_do_not_overflow() {
        let mut set = RangeSet::new();
        set.insert(ByteRange { start: u64::MAX - 1, end: u64::MAX });
        set.insert(ByteRange { start: 0, end: 1 });
        assert_eq!(set.gaps_within(ByteRange { start: 0, end: u64::MAX }).len(), 1);
        assert_eq!(set.contiguous_from(u64::MAX), u64::MAX);
        assert_eq!(set.contiguous_from(u64::MAX - 1), u64::MAX);
        set.insert(ByteRange { start: 0, end: u64::MAX });
        assert_eq!((set.total(), set.iter().count()), (u64::MAX, 1));
    }
}
