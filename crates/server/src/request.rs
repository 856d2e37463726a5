//! One request as it goes through the house: what is noted about it, from its first byte to the end of its response.
//!
//! Must not know endpoints. Invariant: whatever happens (an answer, a panic, a client that leaves before or after the
//! head), exactly one record reaches the log and the metrics.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::{Request, StatusCode, header};

use crate::middleware::log_request::{End, RequestRecord};
use crate::middleware::request_id::RequestId;
use crate::middleware::trace_context::TraceContext;
use crate::state::Journal;

/// The record of a request under way. Dropped without a `close`, it says that the client left.
pub(crate) struct RequestLine {
    open: Option<OpenLine>,
}

struct OpenLine {
    record: Box<RequestRecord>,
    started: Instant,
    whole: bool,
    journal: Arc<Journal>,
    /// Kept so that a trace's root span covers the body.
    span: tracing::Span,
}

impl RequestLine {
    /// Begins the record of a request.
    pub(crate) fn begin<B>(request: &Request<B>, client: SocketAddr, journal: Arc<Journal>) -> Self {
        journal.metrics.in_flight.inc();
        let headers = request.headers();
        let record = RequestRecord {
            time: SystemTime::now(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            client,
            user_agent: headers.get(header::USER_AGENT).cloned(),
            request_id: RequestId::of(headers),
            trace: TraceContext::of(headers),
            subject: None,
            principal: None,
            pusher: None,
            outcome: None,
            error: None,
            status: 0,
            first_byte: None,
            latency: Duration::ZERO,
            bytes: 0,
            end: End::Complete,
        };
        let (started, span) = (Instant::now(), tracing::Span::none());
        let open = OpenLine { record: Box::new(record), started, whole: false, journal, span };
        Self { open: Some(open) }
    }

    /// The record, while the request is under way.
    pub(crate) fn record(&mut self) -> &mut RequestRecord {
        &mut self.open.as_mut().expect("a line is closed only by value or by drop").record
    }

    /// When the request began.
    pub(crate) fn started(&self) -> Instant {
        self.open.as_ref().expect("a line is closed only by value or by drop").started
    }

    /// Ties the request to a trace's span.
    pub(crate) fn set_span(&mut self, span: tracing::Span) {
        if let Some(open) = &mut self.open {
            open.span = span;
        }
    }

    /// Notes that the head of the response is ready.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        if let Some(open) = &mut self.open {
            open.record.status = status.as_u16();
            open.record.first_byte = Some(open.started.elapsed());
        }
    }

    /// Notes that the response is ready as a whole: the clock is read once, when it has been handed over.
    pub(crate) fn answered_whole(&mut self, status: StatusCode) {
        if let Some(open) = &mut self.open {
            open.record.status = status.as_u16();
            open.whole = true;
        }
    }

    /// Counts bytes handed to the connection.
    pub(crate) fn count(&mut self, bytes: usize) {
        if let Some(open) = &mut self.open {
            open.record.bytes += bytes as u64;
        }
    }

    /// Closes the record.
    pub(crate) fn close(mut self, end: End) {
        self.finish(end);
    }

    fn finish(&mut self, end: End) {
        let Some(OpenLine { mut record, started, whole, journal, span }) = self.open.take() else { return };
        record.latency = started.elapsed();
        record.first_byte = record.first_byte.or(whole.then_some(record.latency));
        record.end = end;
        journal.metrics.ended(&record);
        journal.log.push(&record);
        drop(span);
    }
}

impl Drop for RequestLine {
    fn drop(&mut self) {
        self.finish(End::ClientGone);
    }
}
