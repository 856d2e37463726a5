//! A client that sees the bytes on the wire, because a real one hides what the faults do.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use mock_upstream::upstream::FakeUpstream;

/// Everything one connection delivered.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Status of the answer; 0 when none came.
    pub(crate) status: u16,
    /// The head, lines as sent.
    pub(crate) head: String,
    /// Bytes after the head, framing included.
    pub(crate) body: Vec<u8>,
    /// How reading ended: `None` is a FIN.
    pub(crate) error: Option<ErrorKind>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// Sends a request and hands out the open connection.
pub(crate) fn open(upstream: &FakeUpstream, method: &str, path: &str, headers: &[(&str, &str)]) -> TcpStream {
    let mut socket = TcpStream::connect(upstream.host()).expect("the upstream listens");
    socket.set_read_timeout(Some(Duration::from_mins(1))).expect("a socket takes options");
    let mut lines = vec![format!("{method} {path} HTTP/1.1"), format!("Host: {}", upstream.host())];
    lines.push("Connection: close".to_owned());
    lines.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
    socket.write_all((lines.join("\r\n") + "\r\n\r\n").as_bytes()).expect("the upstream reads");
    socket
}

/// What is left on the connection, as bytes.
pub(crate) fn rest(mut socket: TcpStream) -> (Vec<u8>, Option<ErrorKind>) {
    let mut bytes = Vec::new();
    let error = socket.read_to_end(&mut bytes).err().map(|error| error.kind());
    (bytes, error)
}

/// Reads head and body until the connection ends.
pub(crate) fn drain(socket: TcpStream) -> Seen {
    let (mut bytes, error) = rest(socket);
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
    let body = bytes.split_off(end);
    let head = String::from_utf8_lossy(&bytes).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Seen { status, head, body, error }
}

/// One request, read to the end of its connection.
pub(crate) fn ask(upstream: &FakeUpstream, method: &str, path: &str, headers: &[(&str, &str)]) -> Seen {
    drain(open(upstream, method, path, headers))
}

/// GET without further headers.
pub(crate) fn get(upstream: &FakeUpstream, path: &str) -> Seen {
    ask(upstream, "GET", path, &[])
}

/// GET of a range.
pub(crate) fn get_range(upstream: &FakeUpstream, path: &str, range: &str) -> Seen {
    ask(upstream, "GET", path, &[("Range", range)])
}
