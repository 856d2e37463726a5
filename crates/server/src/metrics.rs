//! What the HTTP face counts, and `GET /metrics`.
//!
//! Must not know what the registry counts: the exposition holds both. Invariant: no label comes from a client; the
//! number of series is fixed at start.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, header};
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use registry::PullKind;

use crate::middleware::log_request::RequestRecord;

/// Methods told apart; the last stands for all others.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "other"];
/// Status classes told apart; the first is for clients that left before there was a status.
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    status: &'static str,
}

/// What the HTTP face counts. Handles are made once: counting a request looks nothing up.
#[derive(Debug)]
pub struct HttpMetrics {
    requests: [[Counter; CLASSES.len()]; METHODS.len()],
    /// Requests whose response has not ended.
    pub(crate) in_flight: Gauge,
    connections: Gauge,
    response_bytes: Counter,
    manifest_seconds: Histogram,
}

impl HttpMetrics {
    /// Makes the metrics and registers each with its help text.
    pub fn register(registry: &mut Registry) -> Self {
        let requests = Family::<RequestLabels, Counter>::default();
        let metrics = Self {
            requests: METHODS
                .map(|method| CLASSES.map(|status| requests.get_or_create_owned(&RequestLabels { method, status }))),
            in_flight: Gauge::default(),
            connections: Gauge::default(),
            response_bytes: Counter::default(),
            manifest_seconds: Histogram::new(exponential_buckets(0.000_05, 3.0, 12)),
        };
        registry.register("transship_http_requests", "Requests by method and status class", requests);
        registry.register(
            "transship_http_requests_in_flight",
            "Requests whose response has not ended",
            metrics.in_flight.clone(),
        );
        registry.register("transship_http_connections", "Client connections open", metrics.connections.clone());
        registry.register_with_unit(
            "transship_http_response",
            "Bytes of response bodies handed to connections",
            Unit::Bytes,
            metrics.response_bytes.clone(),
        );
        registry.register_with_unit(
            "transship_http_manifest",
            "Time from a manifest request to the end of its response",
            Unit::Seconds,
            metrics.manifest_seconds.clone(),
        );
        metrics
    }

    /// The gauge of open connections, for [`Listeners::new`](crate::Listeners::new).
    pub fn connections(&self) -> Gauge {
        self.connections.clone()
    }

    /// Counts a request whose response has ended.
    pub(crate) fn ended(&self, record: &RequestRecord) {
        self.in_flight.dec();
        self.requests[method_index(&record.method)][class_index(record.status)].inc();
        self.response_bytes.inc_by(record.bytes);
        if record.subject.as_ref().is_some_and(|subject| subject.kind == PullKind::Manifest) {
            self.manifest_seconds.observe(record.latency.as_secs_f64());
        }
    }
}

fn method_index(method: &Method) -> usize {
    METHODS.iter().position(|known| *known == method.as_str()).unwrap_or(METHODS.len() - 1)
}

fn class_index(status: u16) -> usize {
    usize::from(status / 100).min(CLASSES.len() - 1)
}

const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
const PLAIN_TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// The text of `GET /metrics` and its content type. One text serves both formats: Prometheus' older one reads
/// OpenMetrics' extra lines as comments.
pub(crate) fn expose(
    exposition: &Arc<Registry>,
    headers: &HeaderMap,
) -> Result<(HeaderValue, String), std::fmt::Error> {
    let mut body = String::with_capacity(16 * 1024);
    text::encode(&mut body, exposition)?;
    let wanted = headers.get_all(header::ACCEPT).iter();
    let open_metrics =
        wanted.filter_map(|value| value.to_str().ok()).any(|v| v.contains("application/openmetrics-text"));
    Ok((if open_metrics { OPEN_METRICS } else { PLAIN_TEXT }, body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::middleware::log_request::tests::record;
    use crate::process::ProcessCollector;

    fn exposed(accept: &'static str, count: impl FnOnce(&HttpMetrics)) -> (HeaderValue, String) {
        let mut registry = Registry::default();
        let metrics = HttpMetrics::register(&mut registry);
        registry.register_collector(Box::new(ProcessCollector::default()));
        count(&metrics);
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        expose(&Arc::new(registry), &headers).unwrap()
    }

    #[test]
    fn requests_are_counted_by_method_and_class_whatever_the_method() {
        let (_, text) = exposed("*/*", |metrics| {
            for (method, status) in [("GET", 200), ("GET", 304), ("BREW", 405), ("HEAD", 0), ("DELETE", 999)] {
                let mut record = record("/x");
                record.method = method.parse().unwrap();
                record.status = status;
                metrics.in_flight.inc();
                metrics.ended(&record);
            }
        });
        for line in [
            "transship_http_requests_total{method=\"GET\",status=\"2xx\"} 1",
            "transship_http_requests_total{method=\"GET\",status=\"3xx\"} 1",
            "transship_http_requests_total{method=\"other\",status=\"4xx\"} 1",
            "transship_http_requests_total{method=\"HEAD\",status=\"none\"} 1",
            "transship_http_requests_total{method=\"DELETE\",status=\"5xx\"} 1",
            "transship_http_requests_in_flight 0",
            "transship_http_response_bytes_total 210",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("BREW"));
    }

    #[test]
    fn the_content_type_follows_the_scraper() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
        assert_eq!(exposed(prometheus, |_| {}).0, OPEN_METRICS);
        assert_eq!(exposed("text/html,*/*;q=0.8", |_| {}).0, PLAIN_TEXT);
        assert!(exposed("*/*", |_| {}).1.ends_with("# EOF\n"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_process_tells_of_itself() {
        let (_, text) = exposed("*/*", |_| {});
        for name in [
            "process_resident_memory_bytes",
            "process_open_fds",
            "process_cpu_seconds_total",
            "process_start_time_seconds",
        ] {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            assert!(value.unwrap().parse::<f64>().unwrap() > 0.0, "{name} in\n{text}");
        }
    }
}
