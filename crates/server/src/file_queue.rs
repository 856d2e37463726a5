//! Pieces of files between a body and the socket, with hyper in between.
//!
//! Hyper takes bytes, not files. So a body gives it a *stand-in*: a slice, as long as the piece, of one region of zeroes
//! that nothing ever writes to or reads from. Hyper counts and orders it like any bytes; the socket below knows it by
//! its address and sends the piece at the queue's front in its place. One queue belongs to one connection.
//!
//! Must not know HTTP. Invariants: only [`FileQueue::push`] hands out slices of the region, so no real content lies in
//! it; a stand-in that does not match the piece at the front is an error, never a write.
//!
//! What this relies on in hyper (`proto/h1/io.rs` and `encode.rs`, 1.x):
//! - `Buffered` with `WriteStrategy::Queue`, which `is_write_vectored` and `.writev(true)` choose, keeps each body piece
//!   as the `Bytes` it was given and passes its unsent rest as one slice of `poll_write_vectored`. Under
//!   `WriteStrategy::Flatten` (without vectored writes, or with `.pipeline_flush(true)`) it would copy the zeroes.
//! - Pieces leave in the order in which the body gave them, and a body's piece is queued as soon as it is polled.
//! - `poll_flush` reaches the socket only when all queued bytes are written.
//!
//! `file_socket/tests.rs` compares whole conversations byte by byte, and fails if any of it changes.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use registry::FilePiece;
use tokio::net::TcpStream;

/// The region of stand-ins. Asked for zeroed and never touched, so it takes addresses and hardly any memory.
static REGION: LazyLock<&'static [u8]> = LazyLock::new(|| Box::leak(vec![0; FilePiece::MAX_BYTES].into_boxed_slice()));

/// The pieces of one connection, in the order of their stand-ins. Cheap to clone; clones are the same queue.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileQueue {
    waiting: Arc<Mutex<VecDeque<FilePiece>>>,
}

impl FileQueue {
    /// Queues a piece and gives its stand-in.
    pub(crate) fn push(&self, piece: FilePiece) -> Bytes {
        let stand_in = &REGION[..piece.len()];
        if !piece.is_empty() {
            self.lock().push_back(piece);
        }
        Bytes::from_static(stand_in)
    }

    /// Whether every piece has been sent.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Sends what the socket takes of the piece at the front, whose stand-in has `len` bytes left; says how many bytes
    /// that were. `WouldBlock` when the socket takes nothing now.
    pub(crate) fn send_front(&self, socket: &TcpStream, len: usize) -> io::Result<usize> {
        let mut waiting = self.lock();
        let Some(piece) = waiting.front_mut().filter(|piece| piece.len() == len) else {
            let queued = waiting.front().map(FilePiece::len);
            tracing::error!(len, ?queued, "a stand-in has no piece of a file; the connection is cut");
            return Err(io::Error::other("the body and the socket disagree about what comes next"));
        };
        let sent = system::send(socket, piece)?;
        if sent == 0 {
            tracing::error!(at = piece.offset(), "a stored file is shorter than it was; the connection is cut");
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the stored file is shorter than it was"));
        }
        piece.advance(sent);
        if piece.is_empty() {
            waiting.pop_front();
        }
        Ok(sent)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<FilePiece>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether these bytes only stand for a file's.
pub(crate) fn is_stand_in(bytes: &[u8]) -> bool {
    !bytes.is_empty() && REGION.as_ptr_range().contains(&bytes.as_ptr())
}

#[cfg(target_os = "linux")]
mod system {
    use std::io;

    use registry::FilePiece;
    use rustix::io::retry_on_intr;
    use tokio::net::TcpStream;

    pub(super) fn send(socket: &TcpStream, piece: &FilePiece) -> io::Result<usize> {
        let sent =
            retry_on_intr(|| rustix::fs::sendfile(socket, piece.file(), Some(&mut piece.offset()), piece.len()))?;
        Ok(sent)
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::io;

    use registry::FilePiece;
    use tokio::net::TcpStream;

    /// Not reached: no connection gets a queue here.
    pub(super) fn send(_socket: &TcpStream, _piece: &FilePiece) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
