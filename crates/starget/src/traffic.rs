//! Counts and logs what is asked of registries.
//!
//! Must not know what it is asked for. Invariant: every exchange is counted once, redirect hops and token requests
//! included; what is logged was redacted by `client`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use client::{Exchange, ExchangeKind, ExchangeObserver};
use serde::Serialize;

/// The traffic of this run.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    manifests: AtomicU64,
    blobs: AtomicU64,
    other: AtomicU64,
    retries: AtomicU64,
    failed: AtomicU64,
    manifest_bytes: AtomicU64,
    blob_bytes: AtomicU64,
    other_bytes: AtomicU64,
    heads: bool,
}

/// The sums.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Sums {
    /// All requests.
    pub(crate) requests: u64,
    /// For manifests.
    pub(crate) manifest_requests: u64,
    /// For layers.
    pub(crate) blob_requests: u64,
    /// Logins and the like.
    pub(crate) other_requests: u64,
    /// Of all these, those that were not the first attempt.
    pub(crate) retries: u64,
    /// Of all these, those without a complete answer.
    pub(crate) failed: u64,
    /// Bytes of all bodies.
    pub(crate) bytes: u64,
    /// Bytes of layers.
    pub(crate) blob_bytes: u64,
}

impl Traffic {
    /// With the headers of all exchanges in the log, or without.
    pub(crate) fn new(heads: bool) -> Self {
        Self { heads, ..Self::default() }
    }

    /// What was counted so far.
    pub(crate) fn sums(&self) -> Sums {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (manifest_requests, blob_requests, other_requests) =
            (read(&self.manifests), read(&self.blobs), read(&self.other));
        let blob_bytes = read(&self.blob_bytes);
        Sums {
            requests: manifest_requests + blob_requests + other_requests,
            manifest_requests,
            blob_requests,
            other_requests,
            retries: read(&self.retries),
            failed: read(&self.failed),
            bytes: read(&self.manifest_bytes) + blob_bytes + read(&self.other_bytes),
            blob_bytes,
        }
    }
}

impl ExchangeObserver for Traffic {
    fn exchange(&self, exchange: &Exchange) {
        let (requests, bytes) = match exchange.kind {
            ExchangeKind::Manifest => (&self.manifests, &self.manifest_bytes),
            ExchangeKind::Blob => (&self.blobs, &self.blob_bytes),
            ExchangeKind::Ping
            | ExchangeKind::Token
            | ExchangeKind::Tags
            | ExchangeKind::Referrers
            | ExchangeKind::Upload
            | ExchangeKind::Catalog => (&self.other, &self.other_bytes),
        };
        requests.fetch_add(1, Ordering::Relaxed);
        bytes.fetch_add(exchange.bytes, Ordering::Relaxed);
        self.retries.fetch_add(u64::from(exchange.attempt > 1), Ordering::Relaxed);
        self.failed.fetch_add(u64::from(exchange.error.is_some()), Ordering::Relaxed);
        log(exchange);
    }

    fn wants_heads(&self) -> bool {
        self.heads
    }
}

fn log(exchange: &Exchange) {
    let Exchange {
        method, url, kind, attempt, status, error, connect, first_byte, total, bytes, headers, heads, ..
    } = exchange;
    let ms = |time: &Duration| time.as_millis() as u64;
    tracing::info!(
        %method, url, kind = kind.as_str(), attempt, status, error, bytes,
        connect_ms = connect.as_ref().map(ms), first_byte_ms = ms(first_byte), total_ms = ms(total),
        range = headers.iter().find(|(name, _)| *name == "content-range").map(|(_, value)| value.as_str()),
        "exchange"
    );
    if let Some(heads) = heads {
        for (name, value) in &heads.request {
            tracing::debug!(name = %name, value = %value, "sent");
        }
        for (name, value) in &heads.response {
            tracing::debug!(name = %name, value = %value, "received");
        }
    }
}
