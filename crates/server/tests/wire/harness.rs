//! A service whose responses a test holds in its hand, and a client that shows the bytes of the wire.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, header};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::Service;
use prometheus_client::metrics::gauge::Gauge;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use transship_server::{ConnectionInfo, ListenFor, Listeners, MakeService, ServeLimits, Tls};

/// Long enough for any machine; reached only by a fault.
const BOUND: Duration = Duration::from_secs(30);

/// Waits for something that must come.
pub(crate) async fn soon<T>(wait: impl Future<Output = T>) -> T {
    timeout(BOUND, wait).await.expect("this must come, and did not")
}

/// One piece of a held body.
pub(crate) type Piece = Result<Bytes, io::Error>;

/// A body whose pieces a test sends.
pub(crate) struct HeldBody {
    pieces: mpsc::UnboundedReceiver<Piece>,
    length: u64,
}

impl Body for HeldBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.pieces.poll_recv(cx).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length)
    }
}

/// Answers `/held` with a body that the test sends, and anything else with `ok`.
#[derive(Clone)]
pub(crate) struct Held {
    /// The length that `/held` promises.
    pub(crate) length: u64,
    pieces: Arc<Mutex<Option<mpsc::UnboundedReceiver<Piece>>>>,
}

impl Held {
    /// The service, and the end into which the test puts the pieces of the one held body.
    pub(crate) fn new(length: u64) -> (Self, mpsc::UnboundedSender<Piece>) {
        let (send, receive) = mpsc::unbounded_channel();
        (Self { length, pieces: Arc::new(Mutex::new(Some(receive))) }, send)
    }
}

impl MakeService for Held {
    type Body = HeldBody;
    type Service = Self;

    fn make(&self, _connection: ConnectionInfo) -> Self {
        self.clone()
    }
}

impl Service<Request<Incoming>> for Held {
    type Response = Response<HeldBody>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let held = (request.uri().path() == "/held").then(|| self.pieces.lock().unwrap().take()).flatten();
        let (pieces, length) = if let Some(pieces) = held {
            (pieces, self.length)
        } else {
            let (send, pieces) = mpsc::unbounded_channel();
            send.send(Ok(Bytes::from_static(b"ok"))).unwrap();
            (pieces, 2)
        };
        let response = Response::builder().header(header::CONTENT_TYPE, "text/plain");
        ready(Ok(response.body(HeldBody { pieces, length }).unwrap()))
    }
}

/// A server on a free port of loopback.
pub(crate) struct Server {
    pub(crate) listeners: Listeners<Held>,
    pub(crate) address: SocketAddr,
    pub(crate) connections: Gauge,
}

impl Server {
    pub(crate) fn start(service: Held, limits: ServeLimits, tls: Option<Tls>) -> Self {
        let connections = Gauge::default();
        let listeners = Listeners::new(service, limits, tls, connections.clone());
        let address = listeners.listen("127.0.0.1:0".parse().unwrap(), ListenFor::Process).unwrap();
        Self { listeners, address, connections }
    }

    /// A server that answers everything with `ok`.
    pub(crate) fn plain(limits: ServeLimits) -> Self {
        Self::start(Held::new(0).0, limits, None)
    }

    pub(crate) async fn connect(&self) -> Wire {
        Wire(soon(TcpStream::connect(self.address)).await.unwrap())
    }

    /// Waits until so many connections are open.
    pub(crate) async fn until_open(&self, connections: i64) {
        soon(async {
            while self.connections.get() != connections {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }
}

/// A client's connection, byte by byte.
pub(crate) struct Wire(pub(crate) TcpStream);

impl Wire {
    pub(crate) async fn send(&mut self, text: &str) {
        soon(self.0.write_all(text.as_bytes())).await.unwrap();
    }

    /// Reads until the text that has come ends with `end`.
    pub(crate) async fn read_until(&mut self, end: &str) -> String {
        let mut read = Vec::new();
        while !read.ends_with(end.as_bytes()) {
            read.push(soon(self.0.read_u8()).await.expect("the text must come before the connection ends"));
        }
        String::from_utf8(read).unwrap()
    }

    /// Everything that still comes until the server closes; a reset counts as a close.
    pub(crate) async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        if let Err(error) = soon(self.0.read_to_end(&mut rest)).await {
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        }
        String::from_utf8(rest).unwrap()
    }
}

pub(crate) const GET: &str = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
pub(crate) const GET_HELD: &str = "GET /held HTTP/1.1\r\nHost: a\r\n\r\n";
