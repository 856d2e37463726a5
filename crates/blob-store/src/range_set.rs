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
