//! The byte stream of one connection, plain or TLS, with the two clocks that hyper does not have.
//!
//! Hyper limits how long a request's headers may take, but not how long a fresh connection may stay silent, nor how
//! long a client may refuse to read its response. Must not know HTTP. Invariant: a connection on which nothing moves
//! in the direction we wait for ends with `TimedOut`; one that moves, however slowly, is left alone.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};
use tokio_rustls::server::TlsStream;

use crate::file_socket::FileSocket;

/// What carries the bytes.
pub(crate) enum Transport {
    Plain(FileSocket),
    Tls(Box<TlsStream<TcpStream>>),
}

/// How long a connection may be without progress.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// From the first read to the first byte.
    pub(crate) first_byte: Duration,
    /// Of a write that the client does not take.
    pub(crate) write_stall: Duration,
}

/// A transport under watch.
pub(crate) struct GuardedIo {
    transport: Transport,
    write_stall: Duration,
    /// Runs until the first byte has come.
    silence: Option<Pin<Box<Sleep>>>,
    /// Made when a write first has to wait, then kept: arming a timer for every full socket buffer would cost more
    /// than the write.
    stall: Option<Pin<Box<Sleep>>>,
    /// Since when the current write waits.
    waiting_since: Option<Instant>,
}

impl GuardedIo {
    pub(crate) fn new(transport: Transport, patience: Patience) -> Self {
        Self {
            transport,
            write_stall: patience.write_stall,
            silence: Some(Box::pin(sleep(patience.first_byte))),
            stall: None,
            waiting_since: None,
        }
    }

    /// Passes a write's outcome on, unless it has waited too long.
    fn check_stall<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.waiting_since = None;
            return outcome;
        }
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let limit = since + self.write_stall;
        let patience = self.write_stall;
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(patience)));
        while stall.as_mut().poll(cx).is_ready() {
            if Instant::now() >= limit {
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the client does not read its response",
                )));
            }
            stall.as_mut().reset(limit);
        }
        Poll::Pending
    }
}

impl AsyncRead for GuardedIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let outcome = match &mut this.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Transport::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buf),
        };
        if let Some(silence) = &mut this.silence {
            if outcome.is_pending() {
                ready!(silence.as_mut().poll(cx));
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client sent nothing")));
            }
            this.silence = None;
        }
        outcome
    }
}

impl AsyncWrite for GuardedIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = match &mut this.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Transport::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, buf),
        };
        this.check_stall(cx, outcome)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = match &mut this.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Transport::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(cx, bufs),
        };
        this.check_stall(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Plain(stream) => stream.is_write_vectored(),
            Transport::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let outcome = match &mut this.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Transport::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        };
        this.check_stall(cx, outcome)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let outcome = match &mut this.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Transport::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        };
        this.check_stall(cx, outcome)
    }
}
