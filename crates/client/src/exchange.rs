//! One request and its answer, as it is reported to whoever watches.
//!
//! Must not know loggers or metrics. Invariant: a record that was begun is reported exactly once, when it is dropped:
//! after the body's end, after a failure, or when the caller gave up.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};
use tokio::time::Instant;
use url::Url;

use crate::connect_time::ConnectSlot;
use crate::heads::{self, ExchangeHeads};
use crate::redact;
use crate::weather::Passage;

/// Response headers that are worth a log line and carry no secret.
const SHOWN_HEADERS: [&str; 15] = [
    "age",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "date",
    "docker-content-digest",
    "docker-ratelimit-source",
    "etag",
    "ratelimit-limit",
    "ratelimit-remaining",
    "retry-after",
    "server",
    "via",
    "x-cache",
];

/// Longest header value reported, in characters.
const SHOWN_VALUE: usize = 256;

/// What a request was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExchangeKind {
    /// `/v2/`.
    Ping,
    /// A token from the upstream's token server.
    Token,
    /// A manifest.
    Manifest,
    /// A blob.
    Blob,
    /// A page of tags.
    Tags,
    /// Referrers of a manifest.
    Referrers,
    /// A blob on its way to the registry.
    Upload,
    /// A page of repository names.
    Catalog,
}

impl ExchangeKind {
    /// One word, for labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::Token => "token",
            Self::Manifest => "manifest",
            Self::Blob => "blob",
            Self::Tags => "tags",
            Self::Referrers => "referrers",
            Self::Upload => "upload",
            Self::Catalog => "catalog",
        }
    }
}

/// One finished exchange. Redirect hops and token requests are exchanges of their own.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The `host[:port]` of the configured upstream, also when another host was asked on its behalf.
    pub upstream: Arc<str>,
    /// Of the request.
    pub method: Method,
    /// Where the request went, redacted.
    pub url: String,
    /// What it was for.
    pub kind: ExchangeKind,
    /// Which attempt of the call, counted from 1.
    pub attempt: u32,
    /// The status, when there was an answer.
    pub status: Option<u16>,
    /// Why the exchange is not complete, when it is not.
    pub error: Option<String>,
    /// How long the new connection took (name resolution, TCP, TLS); `None` when a pooled one was used.
    pub connect: Option<Duration>,
    /// From the start to the head of the answer, or to the failure before it.
    pub first_byte: Duration,
    /// From the start to the end of the body.
    pub total: Duration,
    /// Bytes of the body that came.
    pub bytes: u64,
    /// Chosen response headers, names in lowercase.
    pub headers: Vec<(&'static str, String)>,
    /// All headers, when the observer wants them.
    pub heads: Option<ExchangeHeads>,
}

/// Watches exchanges. Called on the task that made the request; must be quick and must not block.
pub trait ExchangeObserver: Send + Sync {
    /// An exchange has ended.
    fn exchange(&self, exchange: &Exchange);

    /// Whether it wants to see the headers of requests and answers, redacted ([`Exchange::heads`]).
    fn wants_heads(&self) -> bool {
        false
    }
}

/// Watches nothing.
#[derive(Clone, Copy, Debug)]
pub struct NoObserver;

impl ExchangeObserver for NoObserver {
    fn exchange(&self, _: &Exchange) {}
}

/// An exchange under way.
pub(crate) struct ExchangeRecord {
    observer: Arc<dyn ExchangeObserver>,
    started: Instant,
    connect: ConnectSlot,
    head_at: Option<Instant>,
    ended: bool,
    exchange: Exchange,
    passage: Passage,
}

/// What is known of an exchange before it begins.
pub(crate) struct ExchangeStart<'a> {
    pub(crate) upstream: &'a Arc<str>,
    pub(crate) method: &'a Method,
    pub(crate) url: &'a Url,
    pub(crate) kind: ExchangeKind,
    pub(crate) attempt: u32,
}

impl ExchangeRecord {
    pub(crate) fn begin(observer: &Arc<dyn ExchangeObserver>, start: &ExchangeStart<'_>) -> Self {
        Self {
            observer: observer.clone(),
            started: Instant::now(),
            connect: ConnectSlot::default(),
            head_at: None,
            ended: false,
            passage: Passage::default(),
            exchange: Exchange {
                upstream: start.upstream.clone(),
                method: start.method.clone(),
                url: redact::url(start.url),
                kind: start.kind,
                attempt: start.attempt,
                status: None,
                error: None,
                connect: None,
                first_byte: Duration::ZERO,
                total: Duration::ZERO,
                bytes: 0,
                headers: Vec::new(),
                heads: observer.wants_heads().then(ExchangeHeads::default),
            },
        }
    }

    /// Notes what is sent.
    pub(crate) fn sends(&mut self, headers: &HeaderMap) {
        if let Some(heads) = &mut self.exchange.heads {
            heads.request = heads::shown(headers);
        }
    }

    /// Where the connector notes how long a new connection took.
    pub(crate) fn connect_slot(&self) -> ConnectSlot {
        self.connect.clone()
    }

    /// Whether a connection was made for it, and none came from the pool.
    pub(crate) fn is_on_new_connection(&self) -> bool {
        self.connect.get().is_some()
    }

    pub(crate) fn head(&mut self, status: StatusCode, headers: &HeaderMap) {
        self.head_at = Some(Instant::now());
        self.exchange.status = Some(status.as_u16());
        // Read here and not at the end: a connection that lost the race to a pooled one may still complete later.
        self.exchange.connect = self.connect.get().copied();
        self.exchange.headers = SHOWN_HEADERS
            .into_iter()
            .filter_map(|name| Some((name, headers.get(name)?.to_str().ok()?.chars().take(SHOWN_VALUE).collect())))
            .collect();
        if let Some(heads) = &mut self.exchange.heads {
            heads.response = heads::shown(headers);
        }
    }

    /// Counts bytes of the body; says when more may be read, if that is not now.
    pub(crate) fn add_bytes(&mut self, count: usize) -> Option<Instant> {
        self.exchange.bytes += count as u64;
        self.passage.bytes(count)
    }

    /// The turn among our own limits that this exchange takes until it ends.
    pub(crate) fn takes(&mut self, passage: Passage) {
        self.passage = passage;
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.exchange.bytes
    }

    /// The answer is complete, or all of it that we wanted.
    pub(crate) fn complete(&mut self) {
        self.ended = true;
        self.passage.leave();
    }

    pub(crate) fn fail(&mut self, error: impl Into<String>) {
        self.ended = true;
        self.passage.leave();
        self.exchange.error = Some(error.into());
    }
}

impl Drop for ExchangeRecord {
    fn drop(&mut self) {
        let now = Instant::now();
        self.exchange.total = now - self.started;
        self.exchange.first_byte = self.head_at.unwrap_or(now) - self.started;
        if self.head_at.is_none() {
            self.exchange.connect = self.connect.get().copied();
        }
        if !self.ended {
            self.exchange.error = Some("given up by the caller".to_owned());
        }
        self.observer.exchange(&self.exchange);
    }
}
