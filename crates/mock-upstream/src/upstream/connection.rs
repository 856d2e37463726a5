//! One accepted connection, plain or TLS: reads request heads, writes bytes, ends by FIN or RST.
//!
//! Must not know: what requests mean. The HTTP/1.1 here is written by hand because a library refuses to send what the
//! faults need: wrong lengths, missing final chunks, broken header lines. Invariant: `cut` leaves nothing half-open.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::fault::Cut;
use super::request_log::Entry;

const MAX_HEAD_BYTES: usize = 64 * 1024;

/// The two kinds of transport.
enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection with the bytes read beyond the last request head.
pub(crate) struct Connection {
    transport: Transport,
    read_ahead: Vec<u8>,
}

impl Connection {
    /// Takes over an accepted socket; with TLS the handshake happens here.
    pub(crate) async fn accept(socket: TcpStream, tls: Option<&TlsAcceptor>) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        let transport = match tls {
            None => Transport::Plain(socket),
            Some(acceptor) => Transport::Tls(Box::new(acceptor.accept(socket).await?)),
        };
        Ok(Self { transport, read_ahead: Vec::new() })
    }

    /// The next request; `None` when the client closed the connection between requests.
    pub(crate) async fn next_request(&mut self) -> io::Result<Option<Entry>> {
        let head = loop {
            if let Some(end) = find(&self.read_ahead, b"\r\n\r\n") {
                let rest = self.read_ahead.split_off(end + 4);
                break std::mem::replace(&mut self.read_ahead, rest);
            }
            if self.read_ahead.len() > MAX_HEAD_BYTES {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "request head too long"));
            }
            if self.read_more().await? == 0 {
                return Ok(None);
            }
        };
        let mut request = parse_head(&head)?;
        let length = request.header("content-length").and_then(|value| value.parse::<usize>().ok()).unwrap_or(0);
        while self.read_ahead.len() < length {
            if self.read_more().await? == 0 {
                return Ok(None);
            }
        }
        request.body = self.read_ahead.drain(..length).collect();
        Ok(Some(request))
    }

    async fn read_more(&mut self) -> io::Result<usize> {
        match &mut self.transport {
            Transport::Plain(socket) => socket.read_buf(&mut self.read_ahead).await,
            Transport::Tls(stream) => stream.read_buf(&mut self.read_ahead).await,
        }
    }

    /// Writes all of it; with TLS also flushes the records.
    pub(crate) async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.transport {
            Transport::Plain(socket) => socket.write_all(bytes).await,
            Transport::Tls(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
        }
    }

    /// Ends the connection. FIN without a TLS close: that is what a crashed peer's kernel sends.
    pub(crate) fn cut(self, how: Cut) -> io::Result<()> {
        let socket = match self.transport {
            Transport::Plain(socket) => socket,
            Transport::Tls(stream) => stream.into_inner().0,
        };
        if how == Cut::Reset {
            socket.set_zero_linger()?;
        }
        drop(socket);
        Ok(())
    }

    /// Ends the connection politely.
    pub(crate) async fn close(self) -> io::Result<()> {
        match self.transport {
            Transport::Plain(mut socket) => socket.shutdown().await,
            Transport::Tls(mut stream) => stream.shutdown().await,
        }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn parse_head(head: &[u8]) -> io::Result<Entry> {
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, "malformed request head");
    let text = std::str::from_utf8(head).map_err(|_| malformed())?;
    let mut lines = text.split("\r\n");
    let mut words = lines.next().ok_or_else(malformed)?.split(' ');
    let (method, target) = words.next().zip(words.next()).ok_or_else(malformed)?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Ok(Entry::new(method.to_owned(), percent_decode(path), query.to_owned(), headers))
}

/// Decodes `%3A` in digests and the like; what is not a valid escape stays as it is.
fn percent_decode(path: &str) -> String {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let escape = (*first == b'%').then(|| tail.get(..2)).flatten();
        let byte =
            escape.and_then(|pair| std::str::from_utf8(pair).ok()).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        decoded.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}
