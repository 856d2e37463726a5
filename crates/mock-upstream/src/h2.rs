//! `H2Upstream`: an HTTP/2 server over TLS whose every frame is written by a script, right or wrong.
//!
//! For what `FakeUpstream`, which speaks HTTP/1.1, cannot do: resets, GOAWAY, floods of frames, connections that play
//! dead. Must not know: registries, and what a request asks for: scripts go by its number. Invariant: a script's frames
//! leave in its order, and what is counted as sent was taken by the socket.

mod conversation;
mod frame;

use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::upstream::Certificate;
use conversation::Conversation;
pub use conversation::{Exchange, Manner};
pub use frame::{Code, Kind, Setting};

type Script = dyn Fn(&mut Exchange<'_>) -> io::Result<()> + Send + Sync;

/// A running server. It ends with the process.
#[derive(Debug)]
pub struct H2Upstream {
    authority_pem: String,
    counts: Arc<Counts>,
}

/// What a server has seen and sent, and where it is.
#[derive(Debug, Default)]
struct Counts {
    url: String,
    connections: AtomicUsize,
    requests: AtomicUsize,
    sent: AtomicU64,
}

impl Counts {
    /// Counts a request and gives its number.
    fn next_request(&self) -> usize {
        self.requests.fetch_add(1, Ordering::SeqCst) + 1
    }

    fn add_sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::SeqCst);
    }
}

impl H2Upstream {
    /// Answers each request with what `script` does; an error of the script ends its connection.
    pub fn start(script: impl Fn(&mut Exchange<'_>) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self::start_with(&[], script)
    }

    /// The same, with these settings in its first frame.
    pub fn start_with(
        settings: &[(Setting, u32)],
        script: impl Fn(&mut Exchange<'_>) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let certificate = Certificate::for_loopback();
        let mut server = ServerConfig::clone(&certificate.server);
        server.alpn_protocols = vec![b"h2".to_vec()];
        let (server, script): (_, Arc<Script>) = (Arc::new(server), Arc::new(script));
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
        let address = listener.local_addr().expect("a listener has an address");
        let counts = Arc::new(Counts { url: format!("https://{address}"), ..Counts::default() });
        let (of_threads, settings) = (Arc::clone(&counts), settings.to_vec());
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                of_threads.connections.fetch_add(1, Ordering::SeqCst);
                let (server, script) = (Arc::clone(&server), Arc::clone(&script));
                let (counts, settings) = (Arc::clone(&of_threads), settings.clone());
                // An error is a script that ends the connection, or a client that does.
                thread::spawn(move || drop(converse(socket, server, &counts, &settings, &*script)));
            }
        });
        Self { authority_pem: certificate.authority_pem, counts }
    }

    /// `https://127.0.0.1:<port>`, without a trailing slash.
    pub fn url(&self) -> &str {
        &self.counts.url
    }

    /// The authority that signed its certificate, as PEM.
    pub fn ca_pem(&self) -> &str {
        &self.authority_pem
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.counts.connections.load(Ordering::SeqCst)
    }

    /// Requests begun so far, on all connections.
    pub fn requests(&self) -> usize {
        self.counts.requests.load(Ordering::SeqCst)
    }

    /// Bytes of frames sent so far, on all connections.
    pub fn sent(&self) -> u64 {
        self.counts.sent.load(Ordering::SeqCst)
    }
}

fn converse(
    socket: TcpStream,
    server: Arc<ServerConfig>,
    counts: &Counts,
    settings: &[(Setting, u32)],
    script: &Script,
) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let tls = ServerConnection::new(server).map_err(io::Error::other)?;
    Conversation::open(StreamOwned::new(tls, socket), counts, settings)?.run(script)
}
