//! What can go wrong at an upstream, as data: a `Target` says which requests, a `Fault` says what happens to them.
//!
//! Must not know: sockets; `script.rs` folds the faults of one request into one plan, `delivery.rs` carries it out.
//! Invariant: faults of several matching rules add up; a rule counts only requests that passed authentication.

use std::time::Duration;

use bytes::Bytes;
use oci::Digest;

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

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `/v2/`
    Ping,
    /// `/token`
    Token,
    /// `/v2/<name>/manifests/<reference>`
    Manifest,
    /// `/v2/<name>/blobs/<digest>` and `/cdn/<digest>`
    Blob,
    /// `/v2/<name>/tags/list`
    Tags,
    /// Anything else.
    Other,
}

impl Kind {
    /// The kind of a decoded path.
    pub fn of_path(path: &str) -> Self {
        if path == "/v2/" || path == "/v2" {
            Self::Ping
        } else if path == "/token" {
            Self::Token
        } else if path.starts_with("/cdn/") || path.contains("/blobs/") {
            Self::Blob
        } else if path.contains("/manifests/") {
            Self::Manifest
        } else if path.ends_with("/tags/list") {
            Self::Tags
        } else {
            Self::Other
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Occurrences {
    All,
    First(usize),
    Only(usize),
    From(usize),
    Every(usize),
}

/// Which requests a fault hits. Conditions narrow; without any, all requests are hit.
#[derive(Clone, Debug)]
pub struct Target {
    kind: Option<Kind>,
    method: Option<&'static str>,
    path_contains: Option<String>,
    occurrences: Occurrences,
}

impl Target {
    /// All requests.
    pub fn any() -> Self {
        Self { kind: None, method: None, path_contains: None, occurrences: Occurrences::All }
    }

    /// All requests of one kind.
    pub fn kind(kind: Kind) -> Self {
        Self { kind: Some(kind), ..Self::any() }
    }

    /// All requests for one blob, at the registry or the CDN.
    pub fn blob(digest: &Digest) -> Self {
        Self::kind(Kind::Blob).path(&digest.to_string())
    }

    /// All requests for manifests under this tag or digest.
    pub fn manifest(reference: &str) -> Self {
        Self::kind(Kind::Manifest).path(&format!("/manifests/{reference}"))
    }

    /// Only paths that contain this text.
    #[must_use]
    pub fn path(mut self, contains: &str) -> Self {
        self.path_contains = Some(contains.to_owned());
        self
    }

    /// Only GET.
    #[must_use]
    pub fn get(mut self) -> Self {
        self.method = Some("GET");
        self
    }

    /// Only HEAD.
    #[must_use]
    pub fn head(mut self) -> Self {
        self.method = Some("HEAD");
        self
    }

    /// Only the first `count` matching requests.
    #[must_use]
    pub fn first(mut self, count: usize) -> Self {
        self.occurrences = Occurrences::First(count);
        self
    }

    /// Only the `number`-th matching request, counted from 1.
    #[must_use]
    pub fn nth(mut self, number: usize) -> Self {
        self.occurrences = Occurrences::Only(number);
        self
    }

    /// The `number`-th matching request and all later ones, counted from 1.
    #[must_use]
    pub fn from_nth(mut self, number: usize) -> Self {
        self.occurrences = Occurrences::From(number);
        self
    }

    /// Every `step`-th matching request.
    #[must_use]
    pub fn every(mut self, step: usize) -> Self {
        self.occurrences = Occurrences::Every(step);
        self
    }

    fn matches(&self, method: &str, path: &str) -> bool {
        self.kind.is_none_or(|kind| kind == Kind::of_path(path))
            && self.method.is_none_or(|wanted| wanted == method)
            && self.path_contains.as_deref().is_none_or(|part| path.contains(part))
    }

    fn hits(&self, number: usize) -> bool {
        match self.occurrences {
            Occurrences::All => true,
            Occurrences::First(count) => number <= count,
            Occurrences::Only(wanted) => number == wanted,
            Occurrences::From(first) => number >= first,
            Occurrences::Every(step) => number.is_multiple_of(step),
        }
    }
}

/// A target, its fault, and how many requests matched so far.
#[derive(Debug)]
pub(crate) struct Rule {
    target: Target,
    fault: Fault,
    matched: usize,
}

impl Rule {
    pub(crate) fn new(target: Target, fault: Fault) -> Self {
        Self { target, fault, matched: 0 }
    }

    /// Counts the request and says whether the fault hits it.
    pub(crate) fn strike(&mut self, method: &str, path: &str) -> Option<Fault> {
        if !self.target.matches(method, path) {
            return None;
        }
        self.matched += 1;
        self.target.hits(self.matched).then(|| self.fault.clone())
    }
}
