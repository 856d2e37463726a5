//! Byte ranges: half-open spans of a blob, and the `Range` request header that asks for them (RFC 9110 section 14).
//!
//! Must not know responses or storage. Invariant: a range made by `ByteRange::new` or by a parser is not empty, and every
//! range resolved against a size lies within it.

use std::fmt;

use crate::limits::MAX_RANGES;

/// The bytes from `start` up to but not including `end`; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteRange {
    /// The offset of the first byte.
    pub start: u64,
    /// The offset after the last byte; greater than `start`.
    pub end: u64,
}

impl ByteRange {
    /// The range, unless it would be empty.
    pub fn new(start: u64, end: u64) -> Option<Self> {
        (start < end).then_some(Self { start, end })
    }

    /// How many bytes; at least one.
    #[expect(clippy::len_without_is_empty, reason = "a range is never empty")]
    pub fn len(&self) -> u64 {
        self.end - self.start
    }

    /// Whether the byte at `offset` is in the range.
    pub fn contains(&self, offset: u64) -> bool {
        (self.start..self.end).contains(&offset)
    }

    /// The bytes in both ranges, if any.
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        Self::new(self.start.max(other.start), self.end.min(other.end))
    }

    /// The value of a `Range` request header that asks for exactly these bytes.
    pub fn header_value(&self) -> String {
        format!("bytes={}-{}", self.start, self.end - 1)
    }
}

/// Half-open notation, for logs: `[0, 512)`.
impl fmt::Display for ByteRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "[{}, {})", self.start, self.end)
    }
}

/// A parsed `Range: bytes=…` header: what was asked, before the size is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeHeader {
    specs: Vec<RangeSpec>,
}

/// One element of the set; numbers past `u64` are held at its maximum, which is past every size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RangeSpec {
    Bounded { first: u64, last: u64 },
    From { first: u64 },
    Suffix { length: u64 },
}

/// Why a `Range` header is refused rather than ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRange {
    /// More elements than `limits::MAX_RANGES`: a set that large is an attack (RFC 9110 section 17.15).
    #[error("the Range header has more than 1024 ranges")]
    TooMany,
}

/// What a `Range` header means for a blob of a known size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResolvedRange {
    /// Answer as if there was no header: 200 with everything.
    Full,
    /// 206 with one range.
    Single(ByteRange),
    /// 206 as `multipart/byteranges`; at least two, in the client's order.
    Multiple(Vec<ByteRange>),
    /// 416.
    Unsatisfiable,
}

impl RangeHeader {
    /// Reads a `Range` header. `None` means it is to be ignored (RFC 9110 section 14.2): another unit, or not a valid
    /// set. An inverted range (`500-0`) stays in the set and selects nothing: the conformance suite wants 416 for it.
    pub fn parse(value: &str) -> Result<Option<Self>, InvalidRange> {
        let Some((unit, set)) = value.split_once('=') else { return Ok(None) };
        if !unit.trim_start_matches([' ', '\t']).eq_ignore_ascii_case("bytes") {
            return Ok(None);
        }
        let mut specs = Vec::new();
        for (count, element) in set.split(',').enumerate() {
            if count == MAX_RANGES {
                return Err(InvalidRange::TooMany);
            }
            let element = element.trim_matches([' ', '\t']);
            if element.is_empty() {
                continue;
            }
            let Some(spec) = parse_spec(element) else { return Ok(None) };
            specs.push(spec);
        }
        Ok((!specs.is_empty()).then_some(Self { specs }))
    }

    /// Applies the header to a blob of `size` bytes: clamps to the end, drops what lies past it, joins neighbours that
    /// come in ascending order, and falls back to the whole when the ranges together would send more than that.
    pub fn resolve(&self, size: u64) -> ResolvedRange {
        let asks_for_end = |spec: &RangeSpec| matches!(spec, RangeSpec::Suffix { length: 1.. });
        if size == 0 && self.specs.iter().any(asks_for_end) {
            // The last n of no bytes are all of them, which a 206 cannot express.
            return ResolvedRange::Full;
        }
        let ranges: Vec<ByteRange> = self.specs.iter().filter_map(|spec| spec.within(size)).collect();
        let total = ranges.iter().map(ByteRange::len).try_fold(0_u64, u64::checked_add);
        if total.is_none_or(|total| total > size) {
            return ResolvedRange::Full;
        }
        let ranges = coalesce(ranges);
        match ranges[..] {
            [] => ResolvedRange::Unsatisfiable,
            [only] => ResolvedRange::Single(only),
            _ => ResolvedRange::Multiple(ranges),
        }
    }
}

impl RangeSpec {
    fn within(self, size: u64) -> Option<ByteRange> {
        match self {
            Self::Bounded { first, last } => ByteRange::new(first, last.saturating_add(1).min(size)),
            Self::From { first } => ByteRange::new(first, size),
            Self::Suffix { length } => ByteRange::new(size.saturating_sub(length), size),
        }
    }
}

/// Joins touching ranges if all come in ascending order; else the client wants its own order and gets it.
fn coalesce(ranges: Vec<ByteRange>) -> Vec<ByteRange> {
    if !ranges.is_sorted_by_key(|range| range.start) {
        return ranges;
    }
    let mut joined: Vec<ByteRange> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            Some(_) | None => joined.push(range),
        }
    }
    joined
}

fn parse_spec(element: &str) -> Option<RangeSpec> {
    let (first, last) = element.split_once('-')?;
    match (first, last) {
        ("", length) => Some(RangeSpec::Suffix { length: parse_number(length)? }),
        (first, "") => Some(RangeSpec::From { first: parse_number(first)? }),
        (first, last) => Some(RangeSpec::Bounded { first: parse_number(first)?, last: parse_number(last)? }),
    }
}

/// `1*DIGIT` of any length; past `u64` it stays at the maximum.
fn parse_number(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u64::MAX))
}
