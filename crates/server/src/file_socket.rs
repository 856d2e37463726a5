//! A plain socket that sends pieces of files in place of their stand-ins, without copying them.
//!
//! Must not know HTTP. Invariants: not one byte of a stand-in is written; what is reported as written went out, in the
//! order of the slices; one call writes either real bytes or from one piece, and the caller comes back for the rest.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::file_queue::{FileQueue, is_stand_in};

/// A TCP connection and the pieces of files that are to leave through it.
pub(crate) struct FileSocket {
    stream: TcpStream,
    files: FileQueue,
}

impl FileSocket {
    pub(crate) fn new(stream: TcpStream, files: FileQueue) -> Self {
        Self { stream, files }
    }

    fn poll_send_front(&mut self, cx: &mut Context<'_>, len: usize) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            let sent = self.stream.try_io(Interest::WRITABLE, || self.files.send_front(&self.stream, len));
            match sent {
                // The readiness is used up; ask for the next.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(_) | Err(_) => return Poll::Ready(sent),
            }
        }
    }
}

impl AsyncRead for FileSocket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for FileSocket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if is_stand_in(buf) {
            return self.poll_send_front(cx, buf.len());
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let real = bufs.iter().take_while(|buf| !is_stand_in(buf)).count();
        let (real, rest) = bufs.split_at(real);
        match rest.first() {
            Some(stand_in) if real.iter().all(|buf| buf.is_empty()) => self.poll_send_front(cx, stand_in.len()),
            Some(_) | None => Pin::new(&mut self.stream).poll_write_vectored(cx, real),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.files.is_empty() {
            tracing::error!("a piece of a file was not sent although all bytes are written; the connection is cut");
            return Poll::Ready(Err(io::Error::other("the body and the socket disagree about what was sent")));
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
