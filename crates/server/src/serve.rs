//! One connection: TLS handshake, then HTTP/1.1 or HTTP/2 by what the client speaks.
//!
//! Every limit that keeps one client from harming others stands here (CVE-2023-44487 and its kin, slow headers,
//! unread responses). Must not know routes. Invariant: whatever the client does, the connection's task ends: by the
//! client, by a limit, by a drain, or by the cut.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::Watcher;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::file_queue::FileQueue;
use crate::file_socket::FileSocket;
use crate::guarded_io::{GuardedIo, Patience, Transport};
use crate::head_timer::HeadTimer;
use crate::tls::Tls;

/// What is known about a connection before its first request.
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    /// The client's address.
    pub peer: SocketAddr,
    /// Our address on this connection; its port selects repositories with a listener of their own.
    pub local: SocketAddr,
    /// Where HTTP/1 bodies may put pieces of files, when this connection's socket can take them as they are.
    pub(crate) files: Option<FileQueue>,
}

/// How much of us a client may hold, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct ServeLimits {
    /// Connections open at once, over all listeners. More wait to be accepted.
    pub max_connections: usize,
    /// Until a fresh connection's first byte.
    pub first_byte: Duration,
    /// Until a TLS handshake is complete.
    pub handshake: Duration,
    /// Until a request's headers are complete; also how long an idle HTTP/1.1 connection is kept.
    pub headers: Duration,
    /// Until a client that does not read its response is cut off.
    pub write_stall: Duration,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            first_byte: Duration::from_secs(30),
            handshake: Duration::from_secs(10),
            headers: Duration::from_secs(30),
            write_stall: Duration::from_mins(5),
        }
    }
}

/// HTTP/1.1 buffers: headers must fit; a body piece larger than this is alone in the queue, so that a slow client
/// holds about one piece.
const H1_BUFFER_BYTES: usize = 32 * 1024;
/// HTTP/2 streams open at once on one connection.
const H2_STREAMS: u32 = 200;
/// HTTP/2 headers of one request, decoded.
const H2_HEADER_BYTES: u32 = 16 * 1024;
/// HTTP/2 bytes queued for one stream beyond the piece being sent.
const H2_SEND_BUFFER_BYTES: usize = 64 * 1024;
/// HTTP/2 liveness: a ping after this much silence.
const H2_PING_EVERY: Duration = Duration::from_secs(30);
/// HTTP/2 liveness: the connection ends when the ping stays unanswered.
const H2_PING_ANSWER: Duration = Duration::from_secs(20);

/// Runs connections with one set of limits.
#[derive(Clone)]
pub(crate) struct ConnectionRunner {
    http: auto::Builder<TokioExecutor>,
    tls: Option<Tls>,
    limits: ServeLimits,
}

impl ConnectionRunner {
    pub(crate) fn new(limits: ServeLimits, tls: Option<Tls>) -> Self {
        let mut http = auto::Builder::new(TokioExecutor::new());
        http.http1()
            .header_read_timeout(limits.headers)
            .max_buf_size(H1_BUFFER_BYTES)
            // Body pieces stay what they are until they are written: `file_queue` relies on it.
            .writev(true)
            .half_close(false);
        http.http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(H2_STREAMS)
            .max_header_list_size(H2_HEADER_BYTES)
            .max_send_buf_size(H2_SEND_BUFFER_BYTES)
            .keep_alive_interval(H2_PING_EVERY)
            .keep_alive_timeout(H2_PING_ANSWER);
        Self { http, tls, limits }
    }

    /// What bodies of a new connection put pieces of files into; `None` when they are encrypted on their way, or when
    /// the system cannot send from a file.
    pub(crate) fn file_queue(&self) -> Option<FileQueue> {
        (self.tls.is_none() && cfg!(target_os = "linux")).then(FileQueue::default)
    }

    /// Serves one connection to its end. `drain` lets the response under way finish and takes no further request.
    pub(crate) async fn run<S, B>(&self, stream: TcpStream, info: ConnectionInfo, service: S, drain: Watcher)
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
        S::Future: Send + 'static,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(peer = %info.peer, %error, "cannot turn off Nagle's algorithm");
        }
        let peer = info.peer;
        let Some(transport) = self.handshake(stream, info).await else { return };
        let patience = Patience { first_byte: self.limits.first_byte, write_stall: self.limits.write_stall };
        let io = TokioIo::new(GuardedIo::new(transport, patience));
        let mut http = self.http.clone();
        http.http1().timer(HeadTimer::default());
        let connection = http.serve_connection(io, service);
        if let Err(error) = drain.watch(connection.into_owned()).await {
            tracing::debug!(%peer, error = &*error as &dyn std::error::Error, "connection ended early");
        }
    }

    async fn handshake(&self, stream: TcpStream, info: ConnectionInfo) -> Option<Transport> {
        let Some(tls) = &self.tls else {
            return Some(Transport::Plain(FileSocket::new(stream, info.files.unwrap_or_default())));
        };
        match timeout(self.limits.handshake, tls.acceptor().accept(stream)).await {
            Ok(Ok(stream)) => return Some(Transport::Tls(Box::new(stream))),
            Ok(Err(error)) => tracing::debug!(peer = %info.peer, %error, "TLS handshake failed"),
            Err(_) => tracing::debug!(peer = %info.peer, "TLS handshake took too long"),
        }
        None
    }
}
