//! The bytes of one range as a body of known length.
//!
//! Must not know where the bytes come from. Invariant: exactly the promised number of bytes, or an error.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use registry::PullError;

use super::BodyError;

/// A stream under a promise of its length.
pub(crate) struct Exact<S> {
    stream: S,
    remaining: u64,
}

impl<S> Exact<S>
where
    S: Stream<Item = Result<Bytes, PullError>> + Unpin,
{
    pub(crate) fn new(stream: S, length: u64) -> Self {
        Self { stream, remaining: length }
    }

    /// Bytes still to come.
    pub(crate) fn remaining(&self) -> u64 {
        self.remaining
    }

    /// The next piece; `None` when all have come.
    pub(crate) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        if self.remaining == 0 {
            return Poll::Ready(None);
        }
        let piece = match ready!(Pin::new(&mut self.stream).poll_next(cx)) {
            Some(Ok(piece)) => piece,
            Some(Err(error)) => return Poll::Ready(Some(Err(BodyError::Pull(Box::new(error))))),
            None => return Poll::Ready(Some(Err(BodyError::Short { missing: self.remaining }))),
        };
        match self.remaining.checked_sub(piece.len() as u64) {
            Some(remaining) => {
                self.remaining = remaining;
                Poll::Ready(Some(Ok(piece)))
            }
            None => Poll::Ready(Some(Err(BodyError::Long))),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use futures_util::stream;
    use std::future::poll_fn;

    /// A stream of these pieces.
    pub(crate) fn pieces(
        pieces: &[&'static str],
    ) -> impl Stream<Item = Result<Bytes, PullError>> + Unpin + Send + use<> {
        let mut items = Vec::new();
        for piece in pieces {
            items.push(Ok(Bytes::from_static(piece.as_bytes())));
        }
        stream::iter(items)
    }

    async fn read(given: &[&'static str], length: u64) -> (String, Option<BodyError>) {
        let mut exact = Exact::new(pieces(given), length);
        let mut text = String::new();
        while let Some(piece) = poll_fn(|cx| exact.poll_piece(cx)).await {
            match piece {
                Ok(piece) => text.push_str(std::str::from_utf8(&piece).unwrap()),
                Err(error) => return (text, Some(error)),
            }
        }
        (text, None)
    }

    #[tokio::test]
    async fn the_promised_length_is_kept_or_the_body_fails() {
        assert!(matches!(read(&["abc", "de"], 5).await, (text, None) if text == "abcde"));
        assert!(matches!(read(&[], 0).await, (text, None) if text.is_empty()));
        assert!(matches!(read(&["abc"], 5).await, (text, Some(BodyError::Short { missing: 2 })) if text == "abc"));
        assert!(matches!(read(&["abc", "def"], 5).await, (text, Some(BodyError::Long)) if text == "abc"));
        assert!(matches!(read(&["abcde", "f"], 5).await, (text, None) if text == "abcde"), "what follows is not sent");
    }

    #[tokio::test]
    async fn an_error_is_passed_on() {
        let stream = stream::iter([Ok(Bytes::from_static(b"abc")), Err(PullError::ShuttingDown)]);
        let mut exact = Exact::new(stream, 5);
        assert!(matches!(poll_fn(|cx| exact.poll_piece(cx)).await, Some(Ok(_))));
        let cut = poll_fn(|cx| exact.poll_piece(cx)).await;
        assert!(matches!(cut, Some(Err(BodyError::Pull(error))) if matches!(*error, PullError::ShuttingDown)));
    }
}
