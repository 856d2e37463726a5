//! Whole conversations over real sockets, through hyper, compared byte by byte.
//!
//! The path of a request says what its body is made of: `f5+100` is 100 bytes of the file from offset 5, `b7` is seven
//! bytes from memory. No byte of the file is zero, so a stand-in that got out would show.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fs::File;
use std::future::{Ready, ready};
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::Service;
use prometheus_client::metrics::gauge::Gauge;
use registry::FilePiece;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use super::*;
use crate::listener::{ListenFor, Listeners, MakeService};
use crate::serve::{ConnectionInfo, ServeLimits};

const FILE_BYTES: usize = 3 * 1024 * 1024 + 77;

fn content() -> Vec<u8> {
    (0..FILE_BYTES as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8 | 1).collect()
}

#[derive(Clone, Copy)]
enum Part {
    Memory(usize),
    File(u64, usize),
    /// A stand-in of this length for nothing.
    Nothing(usize),
    /// A stand-in that is shorter than its piece.
    Shorter(usize),
    /// A queued piece without a stand-in, before these bytes of memory.
    Unsent(usize),
}

impl Part {
    fn of(text: &str) -> Self {
        let (kind, rest) = text.split_at(1);
        let number = || rest.parse().unwrap();
        match kind {
            "b" => Self::Memory(number()),
            "n" => Self::Nothing(number()),
            "s" => Self::Shorter(number()),
            "u" => Self::Unsent(number()),
            _ => {
                let (offset, len) = rest.split_once('+').unwrap();
                Self::File(offset.parse().unwrap(), len.parse().unwrap())
            }
        }
    }

    fn len(self) -> usize {
        match self {
            Self::Memory(len) | Self::File(_, len) | Self::Nothing(len) | Self::Shorter(len) | Self::Unsent(len) => len,
        }
    }
}

fn parts(path: &str) -> VecDeque<Part> {
    path.trim_start_matches('/').split(',').map(Part::of).collect()
}

fn expected(path: &str, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts(path) {
        match part {
            Part::File(offset, len) => bytes.extend_from_slice(&content[offset as usize..][..len]),
            memory => bytes.extend(std::iter::repeat_n(b'm', memory.len())),
        }
    }
    bytes
}

struct Mixed {
    parts: VecDeque<Part>,
    file: Arc<File>,
    files: FileQueue,
}

impl Mixed {
    fn next(&mut self) -> Option<Bytes> {
        let piece = |offset, len| FilePiece::new(self.file.clone(), offset, len);
        Some(match self.parts.pop_front()? {
            Part::Memory(len) => Bytes::from(vec![b'm'; len]),
            Part::Nothing(len) => FileQueue::default().push(piece(0, len)),
            Part::Shorter(len) => self.files.push(piece(0, len + 1)).slice(1..),
            Part::Unsent(len) => {
                self.files.push(piece(0, 9));
                Bytes::from(vec![b'm'; len])
            }
            Part::File(offset, len) => {
                let piece = piece(offset, len);
                if piece.len() < len {
                    self.parts.push_front(Part::File(offset + piece.len() as u64, len - piece.len()));
                }
                self.files.push(piece)
            }
        })
    }
}

impl Body for Mixed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.next().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.parts.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.parts.iter().map(|part| part.len() as u64).sum())
    }
}

#[derive(Clone)]
struct Mixer {
    file: Arc<File>,
    files: FileQueue,
}

impl MakeService for Mixer {
    type Body = Mixed;
    type Service = Self;

    fn make(&self, connection: ConnectionInfo) -> Self {
        let files = connection.files.expect("a plain connection has a queue");
        Self { file: self.file.clone(), files }
    }
}

impl Service<Request<Incoming>> for Mixer {
    type Response = Response<Mixed>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let parts = parts(request.uri().path());
        ready(Ok(Response::new(Mixed { parts, file: self.file.clone(), files: self.files.clone() })))
    }
}

struct Lab {
    content: Vec<u8>,
    file: Arc<File>,
    address: SocketAddr,
    connections: Gauge,
    _listeners: Listeners<Mixer>,
}

impl Lab {
    fn new() -> Self {
        let content = content();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&content).unwrap();
        let (file, connections) = (Arc::new(file), Gauge::default());
        let mixer = Mixer { file: file.clone(), files: FileQueue::default() };
        let listeners = Listeners::new(mixer, ServeLimits::default(), None, connections.clone());
        let address = listeners.listen("127.0.0.1:0".parse().unwrap(), ListenFor::Process).unwrap();
        Self { content, file, address, connections, _listeners: listeners }
    }

    async fn connect(&self, receive_buffer: u32) -> Client {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(receive_buffer).unwrap();
        Client(socket.connect(self.address).await.unwrap())
    }

    /// Asks for one path on a fresh connection and reads until that ends; the head is cut off.
    async fn all_of(&self, path: &str) -> Vec<u8> {
        let mut client = self.connect(64 * 1024).await;
        client.ask("GET", path).await;
        let mut all = Vec::new();
        // A cut connection may end in a reset; what came before is what counts.
        let _ = client.0.read_to_end(&mut all).await;
        let head = all.windows(4).position(|four| four == b"\r\n\r\n").map_or(all.len(), |at| at + 4);
        all.split_off(head)
    }

    async fn until_let_go(&self) {
        tokio::time::timeout(Duration::from_secs(30), async {
            // One is ours, one the service's.
            while self.connections.get() != 0 || Arc::strong_count(&self.file) != 2 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .expect("the connection ends and lets go of the file");
    }
}

struct Client(TcpStream);

impl Client {
    async fn ask(&mut self, method: &str, path: &str) {
        self.0.write_all(format!("{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await.unwrap();
    }

    async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.unwrap());
        }
        String::from_utf8(head).expect("a head follows a body at once")
    }

    async fn check(&mut self, path: &str, content: &[u8]) {
        let expected = expected(path, content);
        let head = self.head().await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{path}: {head}");
        assert!(head.contains(&format!("content-length: {}\r\n", expected.len())), "{path}: {head}");
        let mut body = vec![0; expected.len()];
        self.0.read_exact(&mut body).await.unwrap();
        let wrong = body.iter().zip(&expected).position(|(is, should)| is != should);
        assert_eq!(wrong, None, "{path}: the first wrong byte");
    }
}

/// Bodies of one file piece, of many, and of pieces between bytes from memory as in `multipart/byteranges`.
const MIXES: &[&str] = &[
    "/f0+1",
    "/f7+2",
    "/f0+100",
    "/f3+16383",
    "/f0+16384",
    "/f1+16385",
    "/f0+65535",
    "/f0+65536",
    "/f9+65537",
    "/f0+1048575",
    "/f0+1048576",
    "/f0+1048577",
    "/f5+3000000",
    "/b1",
    "/b300000",
    "/b100,f0+1,b20",
    "/f0+1,f1+1,f2+1,f3+1,b1,f4+1",
    "/b120,f0+20000,b120,f50000+20000,b120,f90000+20000,b40",
    "/b120,f9+1048576,b1,f2+2000000,b70000,f7+3,b40",
    "/f1000+30000,f2000+30000,f3000+30000,f4000+30000,b5",
    "/f0+10,f0+10,f0+10,f0+10,f0+10,f0+10,f0+10,f0+10,f0+10,f0+10,f0+10,f0+10,f0+10,f0+10,f0+10,f0+10,f0+10,f0+10,b3",
];

#[tokio::test]
async fn every_mix_arrives_byte_by_byte_on_one_connection() {
    let lab = Lab::new();
    let mut client = lab.connect(256 * 1024).await;
    for path in MIXES {
        client.ask("GET", path).await;
        client.check(path, &lab.content).await;
        client.ask("HEAD", path).await;
        let head = client.head().await;
        assert!(head.contains(&format!("content-length: {}\r\n", expected(path, &lab.content).len())), "{head}");
    }
    drop(client);
    lab.until_let_go().await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_whole_and_in_order() {
    let lab = Lab::new();
    let mut client = lab.connect(64 * 1024).await;
    for path in MIXES {
        client.ask("GET", path).await;
    }
    for path in MIXES {
        client.check(path, &lab.content).await;
    }
}

#[tokio::test]
async fn a_client_that_takes_little_at_a_time_gets_every_byte() {
    let lab = Lab::new();
    // The smallest the system gives, so that nearly every write is a partial one.
    let mut client = lab.connect(1).await;
    for path in MIXES.iter().filter(|path| expected(path, &lab.content).len() < 400_000) {
        client.ask("GET", path).await;
        client.check(path, &lab.content).await;
    }
}

#[tokio::test]
async fn many_connections_at_once_do_not_mix_their_pieces() {
    let lab = Lab::new();
    let conversations = (0..8).map(|first| {
        let lab = &lab;
        async move {
            let mut client = lab.connect(16 * 1024).await;
            for path in MIXES.iter().cycle().skip(first * 3).take(MIXES.len()) {
                client.ask("GET", path).await;
                client.check(path, &lab.content).await;
            }
        }
    });
    futures_util::future::join_all(conversations).await;
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_leaves_nothing_behind() {
    let lab = Lab::new();
    let mut client = lab.connect(1).await;
    client.ask("GET", "/b10,f0+3000000,f0+20000").await;
    client.head().await;
    let mut some = vec![0; 50_000];
    client.0.read_exact(&mut some).await.unwrap();
    assert_eq!(some[10..], lab.content[..some.len() - 10]);
    drop(client);
    lab.until_let_go().await;
}

#[tokio::test]
async fn a_file_that_lost_bytes_cuts_the_connection_after_its_last_byte() {
    let lab = Lab::new();
    lab.file.set_len(500_000).unwrap();
    let body = lab.all_of("/f0+1000000,b100").await;
    assert!(body.len() <= 500_000 && body == lab.content[..body.len()], "{} bytes", body.len());
    lab.until_let_go().await;
}

#[tokio::test]
async fn a_stand_in_without_its_piece_cuts_the_connection_and_not_one_byte_of_it_goes_out() {
    let lab = Lab::new();
    for path in ["/n20000", "/n1", "/b10,n20000,b10", "/b10,s20000", "/f0+100,n100"] {
        let body = lab.all_of(path).await;
        assert!(!body.contains(&0) && body.len() <= 100, "{path}: {} bytes", body.len());
        lab.until_let_go().await;
    }
}

#[tokio::test]
async fn a_piece_that_was_passed_over_cuts_the_connection() {
    let lab = Lab::new();
    let mut client = lab.connect(64 * 1024).await;
    client.ask("GET", "/u10").await;
    client.ask("GET", "/b10").await;
    let mut all = Vec::new();
    let _ = client.0.read_to_end(&mut all).await;
    assert!(all.windows(4).filter(|four| four == b"\r\n\r\n").count() <= 1, "no further answer on this connection");
    lab.until_let_go().await;
}
