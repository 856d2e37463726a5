//! One log line and one set of metrics for each exchange with an upstream.
//!
//! Must not change what happens. Invariant: only what the client library has redacted is printed.

use std::sync::Arc;

use client::{Exchange, ExchangeObserver};

use crate::metrics::Metrics;

/// Watches the exchanges of one repository.
pub(crate) struct Observer {
    repo_key: Arc<str>,
    metrics: Metrics,
}

impl Observer {
    pub(crate) fn new(repo_key: Arc<str>, metrics: Metrics) -> Self {
        Self { repo_key, metrics }
    }
}

impl ExchangeObserver for Observer {
    fn exchange(&self, exchange: &Exchange) {
        self.metrics.exchanged(&self.repo_key, exchange);
        let millis = |d: std::time::Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(
            target: "transship::upstream",
            repo_key = &*self.repo_key,
            upstream = &*exchange.upstream,
            kind = exchange.kind.as_str(),
            method = %exchange.method,
            url = %exchange.url,
            status = exchange.status,
            error = exchange.error.as_deref(),
            attempt = exchange.attempt,
            connect_ms = exchange.connect.map(millis),
            ttfb_ms = millis(exchange.first_byte),
            total_ms = millis(exchange.total),
            bytes = exchange.bytes,
            headers = ?exchange.headers,
            "upstream exchange"
        );
    }
}
