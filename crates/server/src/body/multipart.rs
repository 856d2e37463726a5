//! Several ranges in one answer: `multipart/byteranges` (RFC 9110 section 14.6).
//!
//! ```text
//! \r\n--<boundary>\r\nContent-Type: …\r\nContent-Range: bytes a-b/n\r\n\r\n<bytes>   for each range
//! \r\n--<boundary>--\r\n
//! ```
//!
//! Must not know HTTP heads. Invariants: the length is known before the first byte; one range is open at a time, so
//! that memory does not grow with the number of ranges.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use oci::{ByteRange, ContentRange};
use registry::PullError;

use super::BodyError;
use super::blob::Exact;

/// Opens one range of the blob.
type Open<S> = Box<dyn FnMut(ByteRange) -> S + Send>;

/// The parts still to be sent.
pub(crate) struct Multipart<S> {
    boundary: String,
    size: u64,
    remaining: u64,
    ranges: VecDeque<ByteRange>,
    open: Open<S>,
    current: Option<Exact<S>>,
}

impl<S> Multipart<S>
where
    S: Stream<Item = Result<Bytes, PullError>> + Unpin,
{
    /// Parts for `ranges` of a blob of `size` bytes, each opened with `open` when its turn comes.
    pub(crate) fn new(ranges: Vec<ByteRange>, size: u64, open: impl FnMut(ByteRange) -> S + Send + 'static) -> Self {
        // Random, so that no blob can hold it on purpose.
        let boundary = format!("{:032x}", fastrand::u128(..));
        let heads: usize = ranges.iter().map(|range| head(&boundary, *range, size).len()).sum();
        let bytes: u64 = ranges.iter().map(ByteRange::len).sum();
        let remaining = bytes + heads as u64 + tail(&boundary).len() as u64;
        Self { boundary, size, remaining, ranges: ranges.into(), open: Box::new(open), current: None }
    }

    /// The media type of the answer.
    pub(crate) fn content_type(&self) -> String {
        format!("multipart/byteranges; boundary={}", self.boundary)
    }

    /// Bytes still to come, boundaries included.
    pub(crate) fn remaining(&self) -> u64 {
        self.remaining
    }

    /// The next piece; `None` when all have come.
    pub(crate) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        if let Some(current) = &mut self.current {
            if let Some(piece) = ready!(current.poll_piece(cx)) {
                return Poll::Ready(Some(piece.inspect(|piece| self.remaining -= piece.len() as u64)));
            }
            self.current = None;
        }
        let text = match self.ranges.pop_front() {
            Some(range) => {
                self.current = Some(Exact::new((self.open)(range), range.len()));
                head(&self.boundary, range, self.size)
            }
            None if self.remaining == 0 => return Poll::Ready(None),
            None => tail(&self.boundary),
        };
        self.remaining -= text.len() as u64;
        Poll::Ready(Some(Ok(text.into())))
    }
}

fn head(boundary: &str, range: ByteRange, size: u64) -> String {
    let content_range = ContentRange { range, total: Some(size) };
    let mut text = String::with_capacity(160);
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\nContent-Range: {content_range}\r\n\r\n"
    );
    text
}

fn tail(boundary: &str) -> String {
    format!("\r\n--{boundary}--\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use std::future::poll_fn;

    const BLOB: &[u8] = b"0123456789abcdefghij";

    fn range(start: u64, end: u64) -> ByteRange {
        ByteRange::new(start, end).unwrap()
    }

    fn cut(range: ByteRange) -> Bytes {
        Bytes::from_static(&BLOB[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()])
    }

    #[tokio::test]
    async fn the_bytes_are_exactly_those_of_the_rfc_and_the_length_is_known_before() {
        let one_by_one = |range| {
            let mut pieces = Vec::new();
            for piece in cut(range).chunks(2) {
                pieces.push(Ok(Bytes::copy_from_slice(piece)));
            }
            stream::iter(pieces)
        };
        let mut parts = Multipart::new(vec![range(0, 3), range(18, 20), range(5, 6)], BLOB.len() as u64, one_by_one);
        let promised = parts.remaining();
        let content_type = parts.content_type();
        let boundary = content_type.strip_prefix("multipart/byteranges; boundary=").unwrap().to_owned();
        let mut sent = Vec::new();
        while let Some(piece) = poll_fn(|cx| parts.poll_piece(cx)).await {
            sent.extend_from_slice(&piece.unwrap());
        }
        let part = |range: &str, bytes: &str| {
            format!(
                "\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes {range}/20\r\n\r\n{bytes}"
            )
        };
        let expected =
            format!("{}{}{}\r\n--{boundary}--\r\n", part("0-2", "012"), part("18-19", "ij"), part("5-5", "5"));
        assert_eq!(String::from_utf8(sent).unwrap(), expected);
        assert_eq!(promised, expected.len() as u64);
        assert_eq!(parts.remaining(), 0);
    }

    #[tokio::test]
    async fn a_part_that_comes_short_fails_the_whole() {
        let mut parts =
            Multipart::new(vec![range(0, 3), range(5, 8)], 20, |_| stream::iter([Ok(Bytes::from_static(b"01"))]));
        let mut error = None;
        while let Some(piece) = poll_fn(|cx| parts.poll_piece(cx)).await {
            if let Err(found) = piece {
                error = Some(found);
                break;
            }
        }
        assert!(matches!(error, Some(BodyError::Short { missing: 1 })));
        assert!(parts.remaining() > 0);
    }
}
