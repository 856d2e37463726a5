//! Reads `multipart/byteranges` (RFC 9110 section 14.6).
//!
//! Must not know what was asked for. Invariant: every byte of a part lies between its head and its boundary.

use http::header::CONTENT_TYPE;
use oci::{ByteRange, ContentRange};

use super::seen::Seen;

/// Most parts read.
const MAX_PARTS: usize = 16;

/// One part.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    range: ContentRange,
    bytes: Vec<u8>,
}

/// Reads the parts of an answer; the error says what is wrong with it.
pub(super) fn read(answer: &Seen) -> Result<Vec<Part>, String> {
    if let Some(why) = answer.body.incomplete() {
        return Err(why);
    }
    let kind = answer.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let boundary = kind.split(';').find_map(|parameter| parameter.trim().strip_prefix("boundary="));
    let boundary = boundary.map(|text| text.trim_matches('"')).filter(|text| !text.is_empty());
    parts(&answer.body.bytes, boundary.ok_or("no boundary")?)
}

fn parts(body: &[u8], boundary: &str) -> Result<Vec<Part>, String> {
    let mark = format!("--{boundary}");
    let mut rest = &body[find(body, mark.as_bytes()).ok_or("the boundary does not occur")?..];
    let mut parts = Vec::new();
    loop {
        rest = &rest[mark.len()..];
        if rest.starts_with(b"--") {
            return Ok(parts);
        }
        if parts.len() == MAX_PARTS {
            return Err("too many parts".to_owned());
        }
        let head_end = find(rest, b"\r\n\r\n").ok_or("a part without an end of its head")?;
        let head = String::from_utf8_lossy(&rest[..head_end]).into_owned();
        let range: ContentRange = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("content-range"))
            .and_then(|(_, value)| value.trim().parse().ok())
            .ok_or("a part without a Content-Range")?;
        rest = &rest[head_end + 4..];
        // By its length, not by the next boundary: the bytes may hold anything.
        let length = range.range.len() as usize;
        let bytes = rest.get(..length).ok_or("a part shorter than its Content-Range")?.to_vec();
        rest = rest[length..].strip_prefix(b"\r\n").ok_or("a part longer than its Content-Range")?;
        if !rest.starts_with(mark.as_bytes()) {
            return Err("a part that does not end at a boundary".to_owned());
        }
        parts.push(Part { range, bytes });
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

/// Whether the parts are exactly these ranges of `whole`, in any order.
pub(super) fn hold(parts: &[Part], whole: &[u8], wanted: &[ByteRange]) -> bool {
    let true_part = |part: &Part| {
        part.range.total.is_none_or(|total| total == whole.len() as u64)
            && whole.get(part.range.range.start as usize..part.range.range.end as usize) == Some(&part.bytes)
    };
    parts.len() == wanted.len()
        && parts.iter().all(true_part)
        && wanted.iter().all(|range| parts.iter().any(|part| part.range.range == *range))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &[u8] = b"0123456789abcdef";

    fn body(parts: &[(&str, &str)]) -> Vec<u8> {
        let part = |(range, bytes): &(&str, &str)| {
            format!("\r\n--B\r\nContent-Type: x/y\r\nContent-Range: bytes {range}\r\n\r\n{bytes}")
        };
        (parts.iter().map(part).collect::<Vec<_>>().concat() + "\r\n--B--\r\n").into_bytes()
    }

    #[test]
    fn parts_are_read_and_compared() {
        let wanted = [ByteRange { start: 0, end: 3 }, ByteRange { start: 10, end: 12 }];
        let holds = |list: &[(&str, &str)]| parts(&body(list), "B").map(|parts| hold(&parts, WHOLE, &wanted));
        assert_eq!(holds(&[("0-2/16", "012"), ("10-11/16", "ab")]), Ok(true));
        assert_eq!(holds(&[("10-11/*", "ab"), ("0-2/*", "012")]), Ok(true));
        assert_eq!(holds(&[("0-2/16", "012"), ("10-11/16", "bc")]), Ok(false));
        assert_eq!(holds(&[("0-2/16", "012"), ("10-11/17", "ab")]), Ok(false));
        assert_eq!(holds(&[("0-2/16", "012")]), Ok(false));
        assert_eq!(holds(&[("0-2/16", "012"), ("9-10/16", "9a")]), Ok(false));
        for bad in [&[("0-2/16", "01")][..], &[("0-2/16", "0123")], &[("0-2", "012")]] {
            holds(bad).unwrap_err();
        }
        parts(b"no such thing", "B").unwrap_err();
        assert_eq!(parts(&body(&[("0-5/16", "--B\r\n-")]), "B").map(|parts| parts.len()), Ok(1), "bytes may hold it");
    }
}
