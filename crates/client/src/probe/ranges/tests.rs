//! Every kind of true and untrue answer to a range.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Version, header};

use super::*;
use crate::probe::seen::Body;

const WHOLE: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";

fn answer(status: u16, headers: &[(header::HeaderName, &str)], body: &'static [u8]) -> Seen {
    Seen {
        status,
        version: Version::HTTP_11,
        headers: headers
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()))
            .collect::<HeaderMap>(),
        place: "http://r.example/".parse().unwrap(),
        passed: Vec::new(),
        new_connection: None,
        took: Duration::ZERO,
        body: Body { bytes: Bytes::from_static(body), broken: None, more: false },
    }
}

fn judged(status: u16, range: Option<&str>, body: &'static [u8]) -> Outcome {
    let headers: Vec<_> = range.map(|range| (header::CONTENT_RANGE, range)).into_iter().collect();
    single(&answer(status, &headers, body), WHOLE, ByteRange { start: 10, end: 14 }).0
}

#[test]
fn only_a_part_that_is_true_in_every_word_passes() {
    assert_eq!(judged(206, Some("bytes 10-13/36"), b"abcd"), Outcome::Pass);
    assert_eq!(judged(206, Some("bytes 10-13/*"), b"abcd"), Outcome::Degraded);
    assert_eq!(judged(200, None, WHOLE), Outcome::Degraded, "ignored");
    assert_eq!(judged(400, None, b""), Outcome::Degraded, "refused");
    for (status, range, body, why) in [
        (206, Some("bytes 10-13/36"), &b"bcde"[..], "other bytes"),
        (206, Some("bytes 11-14/36"), b"bcde", "another part"),
        (206, Some("bytes 10-13/37"), b"abcd", "a wrong total"),
        (206, Some("bytes 10-13/36"), WHOLE, "the whole as a part"),
        (206, Some("bytes 0-35/36"), WHOLE, "the whole as a part, said so"),
        (206, None, b"abcd", "no Content-Range"),
        (206, Some("nonsense"), b"abcd", "an unreadable Content-Range"),
        (206, Some("bytes 10-13/36"), b"abc", "too few bytes"),
        (200, Some("bytes 10-13/36"), b"abcd", "a 200 with Content-Range"),
        (200, Some("bytes 10-13/36"), WHOLE, "a 200 with Content-Range and the whole"),
        (200, None, b"abcd", "a part called whole"),
        (200, None, b"xyz", "something else"),
        (416, Some("bytes */36"), b"", "beyond the end, which it is not"),
        (500, None, b"", "a failure"),
    ] {
        assert_eq!(judged(status, range, body), Outcome::Fail, "{why}");
    }
}
