//! What can go wrong at an upstream, as data.
//!
//! Must not know: sockets, requests; `target.rs` says which requests are hit, `script.rs` folds the faults of one
//! request, `delivery.rs` carries them out. Invariant: every variant has a test that looks at the bytes on the wire.

use std::time::Duration;

use bytes::Bytes;

use super::gate::Gate;

/// How a connection ends when it is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// TCP reset: the peer's next read fails.
    Reset,
    /// Orderly end: the peer reads end of file.
    Finish,
}

/// What the `Docker-Content-Digest` header says.
#[derive(Clone, Debug)]
pub enum DigestHeader {
    /// The header is left out.
    Missing,
    /// The header holds this text, well-formed or not.
    Says(String),
}

/// Where a redirect leads.
#[derive(Clone, Debug)]
pub enum Location {
    /// `<base>/cdn/<digest>?signature=<n>` with a fresh signature each time; for another upstream's `url()`.
    Cdn(String),
    /// Exactly this value.
    Fixed(String),
    /// The address that was asked: a loop.
    Itself,
    /// `<base>/artifacts-downloads/<digest>`: a download on a host that takes the login along; empty for the own one.
    Download(String),
    /// `<base><path>`, with the first `from` of the path replaced by `to`; the base is empty for the own host.
    Rewritten {
        /// Scheme, host and port.
        base: String,
        /// What is replaced.
        from: String,
        /// By what.
        to: String,
    },
}

/// One misbehaviour. Offsets and lengths are bytes of the body of this one answer unless said otherwise.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Waits at the gate before the answer is worked out, so changes made meanwhile are seen.
    Hold(Gate),
    /// Sends nothing for this long.
    DelayFirstByte(Duration),
    /// Ends the connection without any answer.
    HangUp(Cut),
    /// Ends the connection after this many body bytes.
    CutAfter(u64, Cut),
    /// Ends the connection after this fraction (0 to 1) of the body.
    CutAtFraction(f64, Cut),
    /// Waits at the gate after this many body bytes.
    StallAfter(u64, Gate),
    /// Pauses for this long after this many body bytes.
    PauseAfter(u64, Duration),
    /// Sends at most this many body bytes per second, in pieces of about 50 ms.
    Bandwidth(u64),
    /// Sends pieces of this many bytes with this pause after each.
    Drip(u64, Duration),
    /// Inverts the byte at this offset of the blob, whichever range is asked for.
    FlipByte(u64),
    /// `Content-Length` promises this many bytes more than are sent; then the connection ends.
    OverstateLength(u64),
    /// `Content-Length` promises this many bytes fewer than are sent; then the connection ends.
    UnderstateLength(u64),
    /// Appends this many bytes to the representation, honestly counted; `u64::MAX` never ends.
    Surplus(u64),
    /// Chunked transfer coding instead of `Content-Length`.
    NoLength,
    /// HTTP/1.1 without length: the end of the connection ends the body.
    CloseDelimited,
    /// Chunked transfer coding without the final chunk.
    NoFinalChunk,
    /// Answers 200 with everything although a range was asked.
    IgnoreRange,
    /// Ranges with several parts are answered 400.
    RefuseMultiRange,
    /// 206 with a range that starts this much later (or earlier) than asked, said honestly.
    ShiftRangeStart(i64),
    /// 206 with a range that ends this much later (or earlier) than asked, said honestly.
    ShiftRangeEnd(i64),
    /// `Content-Range` names a start this much off; the bytes are the ones asked for.
    LieAboutRangeStart(i64),
    /// `Content-Range` names this total.
    LieAboutRangeTotal(u64),
    /// A whole 200 answer that carries a `Content-Range`.
    ContentRangeOn200,
    /// Changes `Docker-Content-Digest`.
    ContentDigest(DigestHeader),
    /// Other bytes under the same headers; the content type changes when one is given.
    ReplaceBody(Bytes, Option<String>),
    /// The body is gzip-compressed and says so in `Content-Encoding`.
    ContentEncodingGzip,
    /// This status, these headers, this body, instead of the answer.
    Reply(u16, Vec<(String, String)>, Bytes),
    /// This redirect status and place, instead of the answer.
    Redirect(u16, Location),
    /// An address (with its query) that was asked more often than this is answered 403.
    ExpireAfter(usize),
    /// Adds a header line exactly as written, even one that breaks the protocol.
    AddHeader(String, String),
    /// Leaves the header out.
    RemoveHeader(String),
}

impl Fault {
    /// A status alone, with the error body registries send.
    pub fn status(status: u16) -> Self {
        let body = format!("{{\"errors\":[{{\"code\":\"FAULT\",\"message\":\"scripted {status}\",\"detail\":null}}]}}");
        Self::Reply(status, vec![("Content-Type".into(), "application/json".into())], Bytes::from(body))
    }

    /// 429 with `Retry-After` (seconds or a date) when one is given.
    pub fn too_many_requests(retry_after: Option<&str>) -> Self {
        let mut headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        headers.extend(retry_after.map(|value| ("Retry-After".to_owned(), value.to_owned())));
        let body = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"scripted limit","detail":null}]}"#;
        Self::Reply(429, headers, Bytes::from_static(body.as_bytes()))
    }

    /// A captive portal: 200 with a login page instead of the content.
    pub fn html_page() -> Self {
        let page = "<!doctype html><html><body>Please sign in</body></html>";
        Self::Reply(
            200,
            vec![("Content-Type".into(), "text/html; charset=utf-8".into())],
            Bytes::from_static(page.as_bytes()),
        )
    }
}
