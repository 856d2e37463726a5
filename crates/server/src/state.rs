//! What every handler may reach: handles only.
//!
//! Must not know how any of them was made. Invariant: immutable once built.

use std::sync::Arc;

use prometheus_client::registry::Registry as Exposition;
use registry::Registry;

use crate::api::AdminToken;
use crate::metrics::HttpMetrics;
use crate::middleware::access_log::AccessLog;
use crate::middleware::request_id::RequestId;
use crate::middleware::trace_context::TraceContext;
use crate::public_address::PublicAddress;
use crate::token::Tokens;

/// What a request's root span is made from.
#[derive(Clone, Copy, Debug)]
pub struct SpanSeed<'a> {
    /// The method.
    pub method: &'a str,
    /// The path, as it came, without the query.
    pub path: &'a str,
    /// The caller's trace, or the one begun for this request.
    pub trace: TraceContext,
    /// The request's id.
    pub request_id: &'a RequestId,
}

/// Makes root spans; the binary, which knows the tracing exporter, provides it.
pub type MakeSpan = Arc<dyn Fn(&SpanSeed<'_>) -> tracing::Span + Send + Sync>;

/// What the HTTP face is built from.
pub struct AppParts {
    /// What answers.
    pub registry: Registry,
    /// What `/metrics` shows, [`HttpMetrics`] included.
    pub exposition: Arc<Exposition>,
    /// What the HTTP face counts.
    pub metrics: HttpMetrics,
    /// Where request lines go.
    pub access_log: AccessLog,
    /// What `/api` calls must show.
    pub admin_token: AdminToken,
    /// Where clients reach us.
    pub public: PublicAddress,
    /// Makes each request's root span, when traces are exported.
    pub make_span: Option<MakeSpan>,
}

/// Where requests leave their traces.
pub(crate) struct Journal {
    pub(crate) log: AccessLog,
    pub(crate) metrics: HttpMetrics,
}

/// The state of the HTTP face.
pub struct App {
    pub(crate) registry: Registry,
    pub(crate) exposition: Arc<Exposition>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) admin_token: AdminToken,
    pub(crate) tokens: Tokens,
    pub(crate) public: PublicAddress,
    pub(crate) make_span: Option<MakeSpan>,
}

impl App {
    /// Takes its parts.
    pub fn new(parts: AppParts) -> Arc<Self> {
        let AppParts { registry, exposition, metrics, access_log, admin_token, public, make_span } = parts;
        Arc::new(Self {
            registry,
            exposition,
            journal: Arc::new(Journal { log: access_log, metrics }),
            admin_token,
            tokens: Tokens::new(),
            public,
            make_span,
        })
    }
}
