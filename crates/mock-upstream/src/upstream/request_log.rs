//! Everything an upstream was asked, and how many body bytes it sent for it.
//!
//! Must not know: what the answers meant. Invariant: an entry exists before the answer starts, and its byte counter
//! grows with every write the socket took, so a test can read it mid-transfer.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use oci::Digest;
use tokio::sync::watch;

use super::target::Kind;

/// One logged request, as it stood when the log was read.
#[derive(Clone, Debug)]
pub struct Request {
    /// `GET`, `HEAD`, ...
    pub method: String,
    /// Percent-decoded path, without the query.
    pub path: String,
    /// The query as sent, without `?`; empty when there is none.
    pub query: String,
    /// Header names in lower case, values as sent, in order.
    pub headers: Vec<(String, String)>,
    /// The status that was answered; `None` while nothing was.
    pub status: Option<u16>,
    /// Body bytes given to the socket so far (framing and headers not counted).
    pub bytes_sent: u64,
    /// The body of the request: forms are short.
    pub body: Vec<u8>,
    /// When the head of the request was complete.
    pub at: Instant,
}

impl Request {
    /// What was asked for.
    pub fn kind(&self) -> Kind {
        Kind::of_path(&self.path)
    }

    /// The first value of a header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The `Authorization` value that arrived.
    pub fn authorization(&self) -> Option<&str> {
        self.header("authorization")
    }
}

/// The live entry behind a `Request`.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) at: Instant,
    status: AtomicU16,
    bytes_sent: AtomicU64,
}

impl Entry {
    pub(crate) fn new(method: String, path: String, query: String, headers: Vec<(String, String)>) -> Self {
        let body = Vec::new();
        let (status, bytes_sent) = (AtomicU16::new(0), AtomicU64::new(0));
        Self { method, path, query, headers, body, at: Instant::now(), status, bytes_sent }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn sending(&self, bytes: u64) {
        self.bytes_sent.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn not_sent(&self, bytes: u64) {
        self.bytes_sent.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn snapshot(&self) -> Request {
        let status = self.status.load(Ordering::Relaxed);
        Request {
            method: self.method.clone(),
            path: self.path.clone(),
            query: self.query.clone(),
            headers: self.headers.clone(),
            body: self.body.clone(),
            status: (status != 0).then_some(status),
            bytes_sent: self.bytes_sent.load(Ordering::Relaxed),
            at: self.at,
        }
    }
}

/// The log of one upstream.
#[derive(Debug, Default)]
pub(crate) struct RequestLog {
    entries: Mutex<Vec<Arc<Entry>>>,
    changes: watch::Sender<u64>,
}

impl RequestLog {
    pub(crate) fn open(&self, entry: Entry) -> Arc<Entry> {
        let entry = Arc::new(entry);
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&entry));
        self.bump();
        entry
    }

    pub(crate) fn answered(&self, entry: &Entry, status: u16) {
        entry.status.store(status, Ordering::Relaxed);
        self.bump();
    }

    /// Wakes those who wait for the log to change.
    pub(crate) fn bump(&self) {
        self.changes.send_modify(|version| *version += 1);
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.iter().map(|entry| entry.snapshot()).collect()
    }

    pub(crate) fn clear(&self) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.bump();
    }

    /// How often this address was asked, the current request included.
    pub(crate) fn times_asked(&self, path: &str, query: &str) -> usize {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.iter().filter(|entry| entry.path == path && entry.query == query).count()
    }

    pub(crate) fn bytes_sent_for(&self, digest: &Digest) -> u64 {
        let wanted = digest.to_string();
        self.requests().iter().filter(|seen| seen.path.ends_with(&wanted)).map(|seen| seen.bytes_sent).sum()
    }

    pub(crate) fn count_for(&self, method: &str, digest: &Digest) -> usize {
        let wanted = digest.to_string();
        self.requests().iter().filter(|seen| seen.method == method && seen.path.ends_with(&wanted)).count()
    }

    /// Waits until the log satisfies `done`; panics with the log after `patience`.
    pub(crate) async fn wait_until(&self, patience: Duration, done: impl Fn(&[Request]) -> bool) {
        let mut changes = self.changes.subscribe();
        let waited = tokio::time::timeout(patience, async {
            while !done(&self.requests()) {
                changes.changed().await.expect("the log holds its own sender");
            }
        });
        assert!(waited.await.is_ok(), "the upstream was not asked what the test waits for; its log:\n{}", self.print());
    }

    fn print(&self) -> String {
        self.requests().iter().fold(String::new(), |mut text, seen| {
            let Request { method, path, query, status, bytes_sent, .. } = seen;
            writeln!(text, "{method} {path}?{query} -> {status:?}, {bytes_sent} bytes").expect("a String takes all");
            text
        })
    }
}
