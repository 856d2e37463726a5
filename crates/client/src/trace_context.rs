//! The W3C trace context that calls carry upstream.
//!
//! A task-local, because it concerns every call alike and changes nothing about any of them: a parameter on each
//! method would be passed through by all and used by one. Must not know tracing libraries. Invariant: it is sent to
//! the upstream's own origin only, never to another host that a redirect leads to, nor to a token server.

use std::future::Future;

use http::HeaderValue;

tokio::task_local! {
    static TRACEPARENT: Option<HeaderValue>;
}

/// The value of a `traceparent` header (W3C Trace Context section 3.2), or none.
#[derive(Clone, Debug, Default)]
pub struct TraceContext(Option<HeaderValue>);

impl TraceContext {
    /// No trace.
    pub const NONE: Self = Self(None);

    /// The trace to carry. Text that no header can hold counts as none.
    pub fn new(traceparent: &str) -> Self {
        Self(HeaderValue::from_str(traceparent).ok())
    }
}

/// Runs `calls` so that every request it makes upstream carries the trace. A task spawned inside does not inherit it.
pub async fn with_traceparent<F: Future>(context: TraceContext, calls: F) -> F::Output {
    TRACEPARENT.scope(context.0, calls).await
}

/// The header value of the task at hand.
pub(crate) fn current() -> Option<HeaderValue> {
    TRACEPARENT.try_with(Clone::clone).ok().flatten()
}
