//! A blob's bytes on their way to a client.
//!
//! Must not know HTTP. Invariants: the stream gives exactly the bytes of its range or ends with an error; stored
//! bytes are read from the page cache inline and only go to the blocking pool when they are not in memory.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use blob_store::{BlobRead, FilePiece};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, Stream, StreamExt};
use oci::{ByteRange, Digest};

use super::{Attached, Demand, Growing, Origin, bypass, reader};
use crate::cache::{Cache, Lease, Reading};
use crate::counters::Counters;
use crate::error::PullError;
use crate::outcome::PullOutcome;
use crate::trace::blob_streaming;

/// Where the bytes come from.
pub(crate) enum BlobSource {
    /// The store.
    Stored(Arc<Lease>),
    /// A growing object.
    Growing(Attached),
    /// Upstream, past the cache.
    Bypass(Origin),
    /// The store of what was pushed.
    Hosted(Arc<HostedBlob>),
}

/// An open blob that was pushed here.
pub(crate) struct HostedBlob {
    pub(crate) handle: Arc<dyn BlobRead>,
    pub(crate) digest: Digest,
}

/// A stored blob that is being read.
enum Held {
    /// Of the cache: it is not evicted for as long.
    Cached(Arc<Lease>),
    /// Pushed here.
    Hosted(Arc<HostedBlob>),
}

impl Held {
    fn handle(&self) -> &Arc<dyn BlobRead> {
        match self {
            Self::Cached(lease) => lease.handle(),
            Self::Hosted(blob) => &blob.handle,
        }
    }

    fn again(&self) -> Self {
        match self {
            Self::Cached(lease) => Self::Cached(lease.clone()),
            Self::Hosted(blob) => Self::Hosted(blob.clone()),
        }
    }
}

/// What a stream gives next.
pub enum Piece {
    /// Bytes in memory.
    Bytes(Bytes),
    /// Bytes that are in the page cache, for whoever can send them from there.
    File(FilePiece),
}

impl Piece {
    fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::File(piece) => piece.len(),
        }
    }
}

/// Below this, asking whether a piece is in memory and sending it apart costs more than copying it.
const MIN_FILE_PIECE_BYTES: u64 = 16 * 1024;

/// A stream of bytes of one range. An `Err` item means: cut the connection.
pub struct BlobStream {
    inner: Inner,
    served: u64,
    account: Account,
    _reading: Reading,
    _span: tracing::Span,
}

/// Who the bytes are counted for.
#[derive(Clone)]
pub(crate) struct Account {
    pub(crate) counters: Arc<Counters>,
    pub(crate) outcome: PullOutcome,
}

enum Inner {
    Stored(Stored),
    Flowing(BoxStream<'static, Result<Bytes, PullError>>),
}

struct Stored {
    held: Held,
    cache: Arc<Cache>,
    at: u64,
    end: u64,
    waiting: Option<BoxFuture<'static, io::Result<Bytes>>>,
}

impl BlobStream {
    /// Opens `range` of a blob of `size` bytes.
    pub(crate) fn open(
        source: &BlobSource,
        digest: &Digest,
        cache: &Arc<Cache>,
        size: u64,
        range: ByteRange,
        account: Account,
    ) -> Self {
        let inner = match source {
            BlobSource::Stored(lease) => Inner::Stored(Stored::new(Held::Cached(lease.clone()), cache, range)),
            BlobSource::Hosted(blob) => Inner::Stored(Stored::new(Held::Hosted(blob.clone()), cache, range)),
            BlobSource::Growing(attached) => {
                let whole = range.start == 0 && range.end == size;
                let demand = if whole { Demand::Whole } else { Demand::Ranges { size, ranges: &[range] } };
                let attached = Growing::attach(&attached.growing, demand);
                Inner::Flowing(reader::stream(attached, cache.clone(), size, range))
            }
            BlobSource::Bypass(origin) => {
                let whole = range.start == 0 && range.end == size;
                let digester = whole.then(|| oci::Digester::new(digest.algorithm()));
                Inner::Flowing(bypass::stream(origin.clone(), range, digester).boxed())
            }
        };
        let span = blob_streaming(account.counters.repo_key(), account.outcome.as_str(), range.len());
        Self { inner, served: 0, account, _reading: cache.count_reader(), _span: span }
    }

    /// The next piece; like the stream's items, but stored bytes that are in memory stay in their file.
    pub fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, PullError>>> {
        let next = match &mut self.inner {
            Inner::Stored(stored) => ready!(stored.poll_piece(cx)),
            Inner::Flowing(flowing) => ready!(flowing.poll_next_unpin(cx)).map(|next| next.map(Piece::Bytes)),
        };
        if let Some(Ok(piece)) = &next {
            self.served += piece.len() as u64;
        }
        Poll::Ready(next)
    }
}

impl Stream for BlobStream {
    type Item = Result<Bytes, PullError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = match &mut self.inner {
            Inner::Stored(stored) => ready!(stored.poll_read(cx)),
            Inner::Flowing(flowing) => ready!(flowing.poll_next_unpin(cx)),
        };
        if let Some(Ok(bytes)) = &next {
            self.served += bytes.len() as u64;
        }
        Poll::Ready(next)
    }
}

impl Stored {
    fn new(held: Held, cache: &Arc<Cache>, range: ByteRange) -> Self {
        Self { held, cache: cache.clone(), at: range.start, end: range.end, waiting: None }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, PullError>>> {
        let left = self.end.saturating_sub(self.at);
        if self.waiting.is_none() && left >= MIN_FILE_PIECE_BYTES {
            let most = left.min(FilePiece::MAX_BYTES as u64) as usize;
            match self.held.handle().try_piece_at(self.at, most) {
                Ok(Some(piece)) => {
                    self.at += piece.len() as u64;
                    return Poll::Ready(Some(Ok(Piece::File(piece))));
                }
                Ok(None) => {}
                Err(error) => return Poll::Ready(Some(self.took(Err(error)).map(Piece::Bytes))),
            }
        }
        self.poll_read(cx).map(|next| next.map(|read| read.map(Piece::Bytes)))
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, PullError>>> {
        if self.at >= self.end {
            return Poll::Ready(None);
        }
        let read = match &mut self.waiting {
            Some(waiting) => {
                let read = ready!(waiting.poll_unpin(cx));
                self.waiting = None;
                read
            }
            None => match self.try_read() {
                Ok(Some(bytes)) => Ok(bytes),
                Ok(None) => {
                    self.waiting = Some(self.read_later());
                    return self.poll_read(cx);
                }
                Err(error) => Err(error),
            },
        };
        Poll::Ready(Some(self.took(read)))
    }

    fn next_len(&self) -> usize {
        (self.end - self.at).min(self.cache.piece_bytes() as u64) as usize
    }

    fn try_read(&self) -> io::Result<Option<Bytes>> {
        self.held.handle().try_read_at(self.at, self.next_len(), self.cache.buffers())
    }

    fn read_later(&self) -> BoxFuture<'static, io::Result<Bytes>> {
        let (held, cache, at, len) = (self.held.again(), self.cache.clone(), self.at, self.next_len());
        async move { held.handle().read_at(at, len, cache.buffers()).await }.boxed()
    }

    /// Notes what was read. A cached blob that cannot be read is thrown away, so that the next pull fetches it anew; one
    /// that was pushed here is the only copy, and stays for its operator to see.
    fn took(&mut self, read: io::Result<Bytes>) -> Result<Bytes, PullError> {
        let failed = match read {
            Ok(bytes) if !bytes.is_empty() => {
                self.at += bytes.len() as u64;
                return Ok(bytes);
            }
            Ok(_) => io::Error::new(io::ErrorKind::UnexpectedEof, "the stored file is shorter than it was"),
            Err(error) => error,
        };
        match &self.held {
            Held::Cached(lease) => {
                let (cache, digest) = (self.cache.clone(), *lease.digest());
                tracing::error!(%digest, at = self.at, error = %failed, "a stored blob cannot be read; it is dropped from the cache");
                tokio::spawn(async move {
                    if let Err(error) = cache.discard(&digest).await {
                        tracing::error!(%digest, %error, "a damaged blob could not be dropped");
                    }
                });
            }
            Held::Hosted(blob) => {
                tracing::error!(digest = %blob.digest, at = self.at, error = %failed, "a pushed blob cannot be read; restore it from a backup or push it again");
            }
        }
        self.at = self.end;
        Err(PullError::storage(&failed))
    }
}

impl Drop for BlobStream {
    fn drop(&mut self) {
        self.account.counters.served(self.account.outcome, self.served);
    }
}
