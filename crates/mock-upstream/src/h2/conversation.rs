//! One connection: its greeting, its requests, and what a script writes for each.
//!
//! Must not know what is asked. Invariant: between two frames of a script the peer's SETTINGS and PINGs are answered
//! when the script reads, and only then.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use tokio_rustls::rustls::{ServerConnection, StreamOwned};

use super::frame::{ACK, Code, END_HEADERS, END_STREAM, HEAD_BYTES, Kind, Setting, frame, header_block};
use super::{Counts, Script};

/// What every client says first (RFC 9113 section 3.4).
const PREFACE: usize = 24;
/// Most payload in one frame, without a setting that allows more.
const MOST_PAYLOAD: usize = 16 * 1024;

/// How a server behaves while it says nothing of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// It answers PINGs: somebody is there.
    Alive,
    /// It reads, and answers nothing: as a machine that is gone, or a broken path.
    Dead,
}

pub(super) struct Conversation<'c> {
    stream: StreamOwned<ServerConnection, TcpStream>,
    counts: &'c Counts,
}

/// A frame of the client.
struct Seen {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// One request, to be answered by a script.
pub struct Exchange<'c> {
    conversation: &'c mut dyn Speak,
    /// Which request it is, counted from 1 over all connections.
    pub number: usize,
    /// The number of its stream on its connection.
    pub stream: u32,
    /// The server's own URL.
    pub url: &'c str,
}

impl std::fmt::Debug for Exchange<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { number, stream, .. } = self;
        formatter.debug_struct("Exchange").field("number", number).field("stream", stream).finish_non_exhaustive()
    }
}

/// A connection as a script sees it.
trait Speak {
    fn say(&mut self, bytes: &[u8]) -> io::Result<()>;
    fn listen(&mut self, manner: Manner) -> io::Result<()>;
}

impl<'c> Conversation<'c> {
    /// Greets the client.
    pub(super) fn open(
        mut stream: StreamOwned<ServerConnection, TcpStream>,
        counts: &'c Counts,
        settings: &[(Setting, u32)],
    ) -> io::Result<Self> {
        stream.read_exact(&mut [0; PREFACE])?;
        let mut conversation = Self { stream, counts };
        let payload: Vec<u8> = settings
            .iter()
            .flat_map(|(setting, value)| [&(*setting as u16).to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        conversation.say(&frame(Kind::Settings, 0, 0, &payload))?;
        Ok(conversation)
    }

    /// Answers requests until one side ends it.
    pub(super) fn run(mut self, script: &Script) -> io::Result<()> {
        loop {
            let seen = self.next()?;
            if seen.kind == Kind::Headers as u8 {
                let number = self.counts.next_request();
                let (stream, url) = (seen.stream, self.counts.url.as_str());
                script(&mut Exchange { conversation: &mut self, number, stream, url })?;
            } else {
                self.be_polite(&seen)?;
            }
        }
    }

    fn next(&mut self) -> io::Result<Seen> {
        let mut head = [0; HEAD_BYTES];
        self.stream.read_exact(&mut head)?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.stream.read_exact(&mut payload)?;
        Ok(Seen { kind, flags, stream: u32::from_be_bytes(stream) & 0x7fff_ffff, payload })
    }

    fn be_polite(&mut self, seen: &Seen) -> io::Result<()> {
        let is_ack = seen.flags & ACK != 0;
        if seen.kind == Kind::Settings as u8 && !is_ack {
            self.say(&frame(Kind::Settings, ACK, 0, &[]))
        } else if seen.kind == Kind::Ping as u8 && !is_ack {
            self.say(&frame(Kind::Ping, ACK, 0, &seen.payload))
        } else {
            Ok(())
        }
    }
}

impl Speak for Conversation<'_> {
    fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()?;
        self.counts.add_sent(bytes.len());
        Ok(())
    }

    fn listen(&mut self, manner: Manner) -> io::Result<()> {
        loop {
            let seen = self.next()?;
            if manner == Manner::Alive {
                self.be_polite(&seen)?;
            }
        }
    }
}

impl Exchange<'_> {
    /// A whole answer. The body must fit the window a client begins with: 64 KiB less one byte.
    pub fn answer(&mut self, status: u16, headers: &[(&str, &str)], body: &[u8]) -> io::Result<()> {
        self.head(status, headers)?;
        self.data(body)?;
        self.frame(Kind::Data, END_STREAM, self.stream, &[])
    }

    /// Status and headers; a body follows.
    pub fn head(&mut self, status: u16, headers: &[(&str, &str)]) -> io::Result<()> {
        self.frame(Kind::Headers, END_HEADERS, self.stream, &header_block(status, headers))
    }

    /// A header block that is not complete: CONTINUATION frames follow.
    pub fn begin_head(&mut self, status: u16) -> io::Result<()> {
        self.frame(Kind::Headers, 0, self.stream, &header_block(status, &[]))
    }

    /// Bytes of the body, more to come.
    pub fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        bytes.chunks(MOST_PAYLOAD).try_for_each(|piece| self.frame(Kind::Data, 0, self.stream, piece))
    }

    /// Any frame.
    pub fn frame(&mut self, kind: Kind, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        self.conversation.say(&frame(kind, flags, stream, payload))
    }

    /// Many frames in one piece, as a flood has them.
    pub fn frames(&mut self, kind: Kind, stream: u32, payload: &[u8], count: usize) -> io::Result<()> {
        self.conversation.say(&frame(kind, 0, stream, payload).repeat(count))
    }

    /// RST_STREAM for this request.
    pub fn reset(&mut self, code: Code) -> io::Result<()> {
        self.frame(Kind::ResetStream, 0, self.stream, &(code as u32).to_be_bytes())
    }

    /// GOAWAY: nothing after the stream `last` was or will be worked on.
    pub fn go_away(&mut self, last: u32, code: Code) -> io::Result<()> {
        let payload = [last.to_be_bytes(), (code as u32).to_be_bytes()].concat();
        self.frame(Kind::GoAway, 0, 0, &payload)
    }

    /// Says nothing more on this connection until the client ends it.
    pub fn fall_silent(&mut self, manner: Manner) -> io::Result<()> {
        self.conversation.listen(manner)
    }

    /// Ends the connection.
    pub fn hang_up(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::ConnectionAborted.into())
    }
}
