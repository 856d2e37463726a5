//! Traces: spans of pulls, sent to an OpenTelemetry collector over OTLP/HTTP.
//!
//! A trace span is a `tracing` span whose target starts with [`TRACE_TARGET`]; only a request's root span is made
//! here. Must not know which others exist. Invariants: without an endpoint nothing here runs and the spans are
//! disabled; a span's trace id is the one in the request's log line; the exporter is built and shut down outside the
//! async runtime (its HTTP client blocks); a collector that does not answer delays the exit by a bounded time only.

use std::cell::Cell;
use std::time::Duration;

use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState, TracerProvider};
use opentelemetry::{Context as OtelContext, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, SdkTracerProvider};
use server::{Sampled, SpanSeed, TraceContext};
use tracing::{Metadata, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;
use url::Url;

use crate::logging::TRACE_TARGET;

/// Longest wait for the collector at exit.
const LAST_EXPORT: Duration = Duration::from_secs(3);
/// Longest time one export may take.
const EXPORT: Duration = Duration::from_secs(10);

/// The exporter of traces.
pub(crate) struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// Builds the exporter. Nothing is sent until there are spans. Must be called outside the async runtime.
    ///
    /// # Errors
    /// When the HTTP client cannot be built.
    pub(crate) fn start(endpoint: &Url) -> Result<Self, ExporterBuildError> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(traces_url(endpoint))
            .with_timeout(EXPORT)
            .build()?;
        let resource = Resource::builder()
            .with_service_name("transship")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_id_generator(Ids::default())
            .with_resource(resource)
            .build();
        Ok(Self { provider })
    }

    /// The layer that turns trace spans into exported ones.
    pub(crate) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let spans = tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("transship"))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false);
        spans.with_filter(filter_fn(is_trace))
    }

    /// Sends what is left and stops. Must be called outside the async runtime.
    ///
    /// # Errors
    /// When the collector did not take the last spans in time.
    pub(crate) fn stop(self) -> Result<(), OTelSdkError> {
        self.provider.shutdown_with_timeout(LAST_EXPORT)
    }
}

/// Where spans are posted: an endpoint without a path gets the standard one (OTLP specification, "OTLP/HTTP Request").
fn traces_url(endpoint: &Url) -> String {
    let mut url = endpoint.clone();
    if matches!(url.path(), "" | "/") {
        url.set_path("/v1/traces");
    }
    url.into()
}

fn is_trace(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.target().starts_with(TRACE_TARGET)
}

thread_local! {
    /// The ids for the root span being made. The trace id stands in the request's log line, and upstreams are told
    /// both in `traceparent`.
    static ROOT: Cell<Option<(TraceId, SpanId)>> = const { Cell::new(None) };
}

/// Random ids, except that a root span takes those its request was given.
#[derive(Debug, Default)]
struct Ids(RandomIdGenerator);

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        ROOT.get().map_or_else(|| self.0.new_trace_id(), |(trace_id, _)| trace_id)
    }

    fn new_span_id(&self) -> SpanId {
        ROOT.get().map_or_else(|| self.0.new_span_id(), |(_, span_id)| span_id)
    }
}

/// Makes the root span of a request: in the caller's trace, or the root of a trace of its own.
pub(crate) fn root_span(seed: &SpanSeed<'_>) -> Span {
    let span = tracing::info_span!(
        target: TRACE_TARGET,
        "request",
        otel.kind = "server",
        http.request.method = seed.method,
        url.path = seed.path,
        request_id = seed.request_id.as_str(),
    );
    place(&span, seed.trace);
    span
}

/// Puts a span that has not started into its trace.
fn place(span: &Span, trace: TraceContext) {
    let trace_id = TraceId::from(trace.trace_id);
    let flags = match trace.sampled {
        Sampled::Yes => TraceFlags::SAMPLED,
        Sampled::No => TraceFlags::default(),
        Sampled::Undecided => {
            ROOT.set(Some((trace_id, SpanId::from(trace.parent_id))));
            // Asking for its context starts the span, which is when it takes its ids.
            drop(span.context());
            return ROOT.set(None);
        }
    };
    let caller = SpanContext::new(trace_id, SpanId::from(trace.parent_id), flags, true, TraceState::NONE);
    if let Err(error) = span.set_parent(OtelContext::new().with_remote_span_context(caller)) {
        tracing::debug!(%error, "a request's span cannot continue its caller's trace");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::mpsc;

    use tracing_subscriber::layer::SubscriberExt;

    /// Takes one POST on loopback and hands back its head and body.
    fn collector() -> (Url, mpsc::Receiver<(String, Vec<u8>)>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let (send, receive) = mpsc::channel();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
            loop {
                let read = stream.read(&mut piece).unwrap();
                bytes.extend_from_slice(&piece[..read]);
                let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
                let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
                let length =
                    head.lines().find_map(|l| l.strip_prefix("content-length: ")).unwrap().parse::<usize>().unwrap();
                if bytes.len() >= end + 4 + length {
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
                    send.send((head, bytes.split_off(end + 4))).unwrap();
                    return;
                }
            }
        });
        (url, receive)
    }

    fn holds(body: &[u8], part: &[u8]) -> bool {
        body.windows(part.len()).any(|w| w == part)
    }

    /// What the collector gets for one request with a child span.
    fn exported(trace: TraceContext) -> (String, Vec<u8>) {
        let (url, posts) = collector();
        let traces = Traces::start(&url).unwrap();
        let subscriber = tracing_subscriber::registry().with(traces.layer());
        tracing::subscriber::with_default(subscriber, || {
            let request = tracing::info_span!(target: TRACE_TARGET, "request");
            place(&request, trace);
            let fetch =
                || drop(tracing::info_span!(target: "transship::trace::fill", "upstream fetch", repo_key = "hub"));
            request.in_scope(fetch);
            drop(tracing::info_span!(target: "transship::other", "not a trace"));
        });
        traces.stop().unwrap();
        posts.recv_timeout(Duration::from_secs(30)).unwrap()
    }

    const TRACE: TraceContext = TraceContext {
        trace_id: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736,
        parent_id: 0x00f0_67aa_0ba9_02b7,
        sampled: Sampled::Yes,
    };

    #[test]
    fn trace_spans_reach_the_collector_in_the_callers_trace() {
        let (head, body) = exported(TRACE);
        assert!(head.starts_with("post /v1/traces http/1.1"), "{head}");
        assert!(head.contains("content-type: application/x-protobuf"), "{head}");
        assert!(holds(&body, b"request") && holds(&body, b"upstream fetch"));
        assert!(!holds(&body, b"not a trace"));
        let trace_id = TRACE.trace_id.to_be_bytes();
        assert_eq!(body.windows(16).filter(|w| *w == trace_id).count(), 2, "both spans are in the caller's trace");
        assert!(holds(&body, &TRACE.parent_id.to_be_bytes()), "the caller's span is the parent");
    }

    #[test]
    fn a_request_without_a_caller_is_a_root_with_the_trace_id_of_its_log_line() {
        let (_, body) = exported(TraceContext { sampled: Sampled::Undecided, ..TRACE });
        assert_eq!(body.windows(16).filter(|w| *w == TRACE.trace_id.to_be_bytes()).count(), 2);
        let span_id = TRACE.parent_id.to_be_bytes();
        assert_eq!(
            body.windows(8).filter(|w| *w == span_id).count(),
            2,
            "once as the root, once as the child's parent"
        );
    }

    #[test]
    fn an_endpoint_without_a_path_gets_the_standard_one() {
        for (endpoint, expected) in [
            ("http://collector:4318", "http://collector:4318/v1/traces"),
            ("http://collector:4318/", "http://collector:4318/v1/traces"),
            ("https://example.com/otlp/traces", "https://example.com/otlp/traces"),
        ] {
            assert_eq!(traces_url(&endpoint.parse().unwrap()), expected);
        }
    }
}
