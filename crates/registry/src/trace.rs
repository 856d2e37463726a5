//! Traces: which one a pull belongs to, and the spans of its parts.
//!
//! Spans are `tracing` spans whose target starts with `transship::trace`; without an exporter they are disabled and
//! cost nothing. Must not know any exporter. Invariant: work that moves to a task of its own keeps the trace of the
//! request that started it, inwards as parent span and outwards as `traceparent`.

use tracing::{Instrument, Span};

use crate::error::PullError;

/// Where a pull stands in a trace (W3C Trace Context section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace.
    pub trace_id: u128,
    /// The span that upstream's work belongs to.
    pub span_id: u64,
    /// Whether the trace is recorded.
    pub sampled: bool,
}

impl TraceParent {
    fn context(self) -> client::TraceContext {
        client::TraceContext::new(&format!(
            "00-{:032x}-{:016x}-{:02x}",
            self.trace_id,
            self.span_id,
            u8::from(self.sampled)
        ))
    }
}

/// Runs work that asks upstream: under a span of its own, and with `traceparent` on every request it sends.
pub(crate) fn upstream_fetch<T, F>(
    trace: Option<TraceParent>,
    repo_key: &str,
    what: &'static str,
    work: F,
) -> impl Future<Output = T> + Send + use<T, F>
where
    F: Future<Output = T> + Send,
{
    let span = tracing::info_span!(target: "transship::trace::upstream", "upstream fetch", otel.kind = "client", repo_key, what);
    let context = trace.map_or(client::TraceContext::NONE, TraceParent::context);
    // Boxed: an exchange is large, and the futures that may lead to one are made on every hit.
    client::with_traceparent(context, Box::pin(work)).instrument(span)
}

/// Runs a look into memory and store.
pub(crate) fn cache_lookup<T, F>(
    repo_key: &str,
    what: &'static str,
    work: F,
) -> impl Future<Output = Result<T, PullError>> + use<T, F>
where
    F: Future<Output = Result<T, PullError>>,
{
    work.instrument(tracing::info_span!(target: "transship::trace::cache", "cache lookup", repo_key, what))
}

/// The span of a body on its way to a client.
pub(crate) fn blob_streaming(repo_key: &str, outcome: &'static str, bytes: u64) -> Span {
    tracing::info_span!(target: "transship::trace::stream", "blob streaming", repo_key, outcome, bytes)
}
