//! A blob's bytes as the connection wants them: real, or stood for while the file waits in the connection's queue.
//!
//! Must not know ranges or heads. Invariant: a piece of a file is queued in the same poll that gives out its stand-in,
//! so that both sides keep the same order.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use registry::{BlobStream, Piece, PullError};

use crate::file_queue::FileQueue;

/// A blob's stream on its way to one connection.
pub(crate) struct Outgoing {
    stream: BlobStream,
    files: Option<FileQueue>,
}

impl Outgoing {
    pub(crate) fn new(stream: BlobStream, files: Option<FileQueue>) -> Self {
        Self { stream, files }
    }
}

impl Stream for Outgoing {
    type Item = Result<Bytes, PullError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { stream, files } = &mut *self;
        let Some(files) = files else { return stream.poll_next_unpin(cx) };
        let next = ready!(stream.poll_piece(cx));
        Poll::Ready(next.map(|next| {
            next.map(|piece| match piece {
                Piece::Bytes(bytes) => bytes,
                Piece::File(piece) => files.push(piece),
            })
        }))
    }
}
