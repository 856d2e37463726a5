//! One log line and one set of metrics for each exchange with an upstream.
//!
//! Must not change what happens. Invariant: only what the client library has redacted is printed.

use std::sync::Arc;

use client::{Exchange, ExchangeObserver};

use crate::exchange_log::ExchangeLog;
use crate::metrics::Metrics;
use crate::repositories::HeaderTrace;

/// Watches the exchanges of one repository.
pub(crate) struct Observer {
    repo_key: Arc<str>,
    metrics: Metrics,
    log: Arc<ExchangeLog>,
    trace: HeaderTrace,
}

impl Observer {
    pub(crate) fn new(repo_key: Arc<str>, metrics: Metrics, log: Arc<ExchangeLog>, trace: HeaderTrace) -> Self {
        Self { repo_key, metrics, log, trace }
    }
}

impl ExchangeObserver for Observer {
    fn exchange(&self, exchange: &Exchange) {
        self.metrics.exchanged(&self.repo_key, exchange);
        self.log.note(exchange);
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
            request_headers = exchange.heads.as_ref().map(|heads| tracing::field::debug(&heads.request)),
            response_headers = exchange.heads.as_ref().map(|heads| tracing::field::debug(&heads.response)),
            "upstream exchange"
        );
    }

    fn wants_heads(&self) -> bool {
        self.trace == HeaderTrace::On
    }
}
