//! The last exchanges of each repository with its upstreams, for whoever asks what has just happened.
//!
//! Must not know what an exchange was good for. Invariants: only what the client has redacted is kept; a repository's
//! log holds a bounded number of entries of bounded size, and goes with its repository.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use client::Exchange;
use serde::Serialize;

/// Exchanges kept of one repository.
pub(crate) const KEPT: usize = 200;
/// Longest text kept of anything, in characters.
const LONGEST: usize = 512;

/// One exchange with an upstream, redacted.
#[derive(Clone, Debug, Serialize)]
pub struct LoggedExchange {
    /// When it ended, RFC 3339.
    pub at: String,
    /// The upstream on whose behalf somebody was asked.
    pub upstream: String,
    /// `ping`, `token`, `manifest`, `blob`, `tags` or `referrers`.
    pub kind: &'static str,
    /// `GET`, `HEAD` or `POST`.
    pub method: String,
    /// Where the request went, without credentials and signatures.
    pub url: String,
    /// Which attempt of the call, counted from 1.
    pub attempt: u32,
    /// The status, when there was an answer.
    pub status: Option<u16>,
    /// Why it is not complete, when it is not.
    pub error: Option<String>,
    /// Milliseconds a new connection took; none was made when it is absent.
    pub connect_ms: Option<u64>,
    /// Milliseconds to the head of the answer.
    pub first_byte_ms: u64,
    /// Milliseconds to the end of the body.
    pub total_ms: u64,
    /// Bytes of the body that came.
    pub bytes: u64,
    /// Chosen response headers.
    pub headers: BTreeMap<&'static str, String>,
    /// Request headers, while upstreams are traced (`log.trace_upstream`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_headers: Option<Vec<(String, String)>>,
    /// Response headers, while upstreams are traced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_headers: Option<Vec<(String, String)>>,
}

impl LoggedExchange {
    fn of(exchange: &Exchange) -> Self {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self {
            at: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            upstream: exchange.upstream.to_string(),
            kind: exchange.kind.as_str(),
            method: exchange.method.to_string(),
            url: cut(&exchange.url),
            attempt: exchange.attempt,
            status: exchange.status,
            error: exchange.error.as_deref().map(cut),
            connect_ms: exchange.connect.map(millis),
            first_byte_ms: millis(exchange.first_byte),
            total_ms: millis(exchange.total),
            bytes: exchange.bytes,
            headers: exchange.headers.iter().map(|(name, value)| (*name, cut(value))).collect(),
            request_headers: exchange.heads.as_ref().map(|heads| heads.request.clone()),
            response_headers: exchange.heads.as_ref().map(|heads| heads.response.clone()),
        }
    }
}

fn cut(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

/// The log of one repository.
#[derive(Debug, Default)]
pub(crate) struct ExchangeLog {
    entries: Mutex<VecDeque<LoggedExchange>>,
}

impl ExchangeLog {
    /// Notes an exchange; the oldest goes when there are too many.
    pub(crate) fn note(&self, exchange: &Exchange) {
        let entry = LoggedExchange::of(exchange);
        let mut entries = lock(&self.entries);
        if entries.len() >= KEPT {
            entries.pop_front();
        }
        entries.push_back(entry);
    }

    /// At most `limit` of them, newest first.
    pub(crate) fn newest(&self, limit: usize) -> Vec<LoggedExchange> {
        lock(&self.entries).iter().rev().take(limit).cloned().collect()
    }
}

/// The logs of all repositories; they outlive a change of a repository's configuration.
#[derive(Debug, Default)]
pub(crate) struct ExchangeLogs {
    logs: Mutex<HashMap<Arc<str>, Arc<ExchangeLog>>>,
}

impl ExchangeLogs {
    /// The log of the repository with this key.
    pub(crate) fn of(&self, key: &Arc<str>) -> Arc<ExchangeLog> {
        lock(&self.logs).entry(key.clone()).or_default().clone()
    }

    /// Drops the logs of repositories that are gone.
    pub(crate) fn keep_only(&self, is_there: impl Fn(&str) -> bool) {
        lock(&self.logs).retain(|key, _| is_there(key));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
