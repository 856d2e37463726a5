//! The HTTP face of a registry: `/v2`, `/api/repos`, `/metrics`, `/healthz`, `/readyz`.
//!
//! ```text
//!   Listeners ── ConnectionRunner ── Face ── Router ─┬─ v2 (path, query) ── registry
//!   (accept,      (TLS, HTTP/1.1,    (id,            ├─ api
//!    cap, drain)   HTTP/2, limits)    log, panics)   └─ health, metrics
//! ```
//!
//! This crate turns requests into calls of `registry` and its answers into heads and bodies. It must not know SQL,
//! object stores or upstream HTTP. Its promises, each with a test:
//!
//! * Bad input is a clear 4xx with the error body of the distribution spec; a panic is a 500 with the same.
//! * A body that cannot be completed is cut, never ended as if it were whole.
//! * Each request leaves one line in the log when its response has ended, and never waits for that.
//! * No client can hold the process: connections, headers, silence and unread responses are bounded.

mod api;
mod body;
mod face;
mod file_queue;
mod file_socket;
mod guarded_io;
mod head_timer;
mod health;
mod listener;
mod metrics;
mod middleware;
pub mod path;
mod process;
mod public_address;
pub mod query;
mod request;
mod request_body;
mod respond;
mod router;
mod serve;
mod state;
mod tls;
mod token;
mod v2;

pub use api::AdminToken;
pub use body::{BodyError, ReplyBody};
pub use face::{ConnectionFace, Face};
pub use listener::{Drained, ListenError, ListenFor, Listeners, MakeService};
pub use metrics::HttpMetrics;
pub use middleware::access_log::{AccessLog, AccessLogWriter};
pub use middleware::log_request::LogFormat;
pub use middleware::request_id::RequestId;
pub use middleware::trace_context::{Sampled, TraceContext};
pub use process::ProcessCollector;
pub use public_address::PublicAddress;
pub use serve::{ConnectionInfo, ServeLimits};
pub use state::{App, AppParts, MakeSpan, SpanSeed};
pub use tls::{Tls, TlsError};
