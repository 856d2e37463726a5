//! The one body type of all our responses; it notes when and how the response ended.
//!
//! Must not know endpoints. Invariant: the end is noted exactly once: complete, cut by us, or left by the client, the
//! last being noticed by this value's drop.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::BodyError;
use super::blob::Exact;
use super::multipart::Multipart;
use super::outgoing::Outgoing;
use crate::middleware::log_request::End;
use crate::request::RequestLine;

/// What a body holds.
pub(crate) enum Content {
    /// Nothing: HEAD, 304, or an answer that is all head.
    Empty,
    /// Bytes in memory.
    Whole(Bytes),
    /// One range of a blob, or all of it.
    Blob(Box<Exact<Outgoing>>),
    /// Several ranges of a blob.
    Parts(Box<Multipart<Outgoing>>),
    /// An answer made by the router.
    Routed(axum::body::Body),
}

/// A response body.
pub struct ReplyBody {
    content: Content,
    line: Option<RequestLine>,
}

impl ReplyBody {
    pub(crate) fn new(content: Content) -> Self {
        Self { content, line: None }
    }

    /// Hands over the request's record, to be closed when the body ends.
    pub(crate) fn with_line(mut self, line: RequestLine) -> Self {
        self.line = Some(line);
        self
    }

    fn end(&mut self, end: End) {
        if let Some(line) = self.line.take() {
            line.close(end);
        }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let piece = ready!(self.content.poll_piece(cx));
        match &piece {
            Some(Ok(bytes)) => {
                if let Some(line) = &mut self.line {
                    line.count(bytes.len());
                }
            }
            Some(Err(error)) => {
                let why = error.to_string();
                self.end(End::Cut(why));
            }
            None => self.end(End::Complete),
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_end()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Empty => SizeHint::with_exact(0),
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Blob(blob) => SizeHint::with_exact(blob.remaining()),
            Content::Parts(parts) => SizeHint::with_exact(parts.remaining()),
            Content::Routed(body) => body.size_hint(),
        }
    }
}

impl Content {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        match self {
            Self::Empty => Poll::Ready(None),
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(std::mem::take(bytes)))),
            Self::Blob(blob) => blob.poll_piece(cx),
            Self::Parts(parts) => parts.poll_piece(cx),
            Self::Routed(body) => loop {
                match ready!(Pin::new(&mut *body).poll_frame(cx)) {
                    // Our routes send no trailers; one that did would be heard as the end of the body it is.
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(bytes) => return Poll::Ready(Some(Ok(bytes))),
                        Err(_trailers) => {}
                    },
                    Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                    None => return Poll::Ready(None),
                }
            },
        }
    }

    fn is_end(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Blob(blob) => blob.remaining() == 0,
            Self::Parts(parts) => parts.remaining() == 0,
            Self::Routed(body) => body.is_end_stream(),
        }
    }
}

impl Drop for ReplyBody {
    fn drop(&mut self) {
        // Hyper drops a body as soon as nothing more is to come, without asking for the end.
        let end = if self.content.is_end() { End::Complete } else { End::ClientGone };
        self.end(end);
    }
}
