//! Which bytes of an upload a request carries (distribution-spec "Pushing a blob in chunks"): `Content-Range: 0-1023`.
//!
//! Must not know uploads. Invariant: the range has at least one byte. Not the `Content-Range` of RFC 9110: the
//! distribution spec's has no unit and no total.

use std::str::FromStr;

use crate::newtype::excerpt;
use crate::range::ByteRange;

/// The bytes a chunk covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkRange(pub ByteRange);

/// Why text is not such a range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid Content-Range \"{value}\": expected <first>-<last>, as in 0-1023")]
pub struct InvalidChunkRange {
    value: String,
}

impl FromStr for ChunkRange {
    type Err = InvalidChunkRange;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (first, last) = text.split_once('-')?;
            let end = position(last)?.checked_add(1)?;
            ByteRange::new(position(first)?, end).map(Self)
        };
        parse().ok_or_else(|| InvalidChunkRange { value: excerpt(text) })
    }
}

fn position(digits: &str) -> Option<u64> {
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_has_a_first_and_a_last_byte() {
        let range = |text: &str| text.parse::<ChunkRange>().map(|chunk| (chunk.0.start, chunk.0.end));
        assert_eq!(range("0-1023"), Ok((0, 1024)));
        assert_eq!(range("7-7"), Ok((7, 8)));
        for bad in
            ["", "-", "1", "5-4", "-5", "5-", "0-1/2", "bytes 0-1", "+1-2", "0-18446744073709551615", " 0-1", "a-b"]
        {
            assert!(bad.parse::<ChunkRange>().is_err(), "{bad}");
        }
    }
}
