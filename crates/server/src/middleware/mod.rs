//! What surrounds every request: its identity, its place in a trace, its line in the log.
//!
//! Must not know endpoints. Invariant: each request has exactly one id, one trace id and one log record.

pub(crate) mod access_log;
pub(crate) mod json_line;
pub(crate) mod log_request;
pub(crate) mod request_id;
pub(crate) mod subject;
pub(crate) mod trace_context;
