//! The `Content-Range` header of a 206 (RFC 9110 section 14.4).
//!
//! Must not know requests. Invariant: the range lies within the total when there is one.

use std::fmt;
use std::str::FromStr;

use crate::newtype::excerpt;
use crate::range::ByteRange;

/// `bytes a-b/total`, or `bytes a-b/*` when the sender does not know the total.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRange {
    /// Which bytes the body holds.
    pub range: ByteRange,
    /// The size of the whole, in bytes.
    pub total: Option<u64>,
}

/// Why text is not such a header value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid Content-Range \"{value}\": {reason}")]
pub struct InvalidContentRange {
    value: String,
    reason: &'static str,
}

impl ContentRange {
    /// The header value of a 416: `bytes */<size>`.
    pub fn unsatisfied(size: u64) -> String {
        format!("bytes */{size}")
    }
}

impl fmt::Display for ContentRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "bytes {}-{}/", self.range.start, self.range.end - 1)?;
        match self.total {
            Some(total) => write!(formatter, "{total}"),
            None => formatter.write_str("*"),
        }
    }
}

impl FromStr for ContentRange {
    type Err = InvalidContentRange;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).map_err(|reason| InvalidContentRange { value: excerpt(text), reason })
    }
}

fn parse(text: &str) -> Result<ContentRange, &'static str> {
    const EXPECTED: &str = "expected bytes <first>-<last>/<total or *>";
    let (unit, rest) = text.split_once(' ').ok_or(EXPECTED)?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return Err("the unit is not bytes");
    }
    let (range, total) = rest.split_once('/').ok_or(EXPECTED)?;
    let (first, last) = range.split_once('-').ok_or(EXPECTED)?;
    let (first, last) = (parse_number(first)?, parse_number(last)?);
    let end = last.checked_add(1).ok_or("the last position is too large")?;
    let range = ByteRange::new(first, end).ok_or("the last position is before the first")?;
    let total = if total == "*" { None } else { Some(parse_number(total)?) };
    if total.is_some_and(|total| total < end) {
        return Err("the range goes past the total");
    }
    Ok(ContentRange { range, total })
}

fn parse_number(digits: &str) -> Result<u64, &'static str> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("positions are decimal numbers");
    }
    digits.parse().map_err(|_| "a position is larger than 64 bits")
}
