//! `/metrics`, `/healthz` and `/readyz`: what machines ask of us.
//!
//! Must not know pulls. Invariants: `/healthz` says that the process runs, nothing else, so that nobody restarts it for
//! a full disk; `/readyz` says whether new work should come here, and why not.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use registry::Readiness;
use serde_json::json;

use crate::metrics::expose;
use crate::respond::Failure;
use crate::state::App;

/// `GET /metrics`.
pub(crate) async fn metrics(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, Failure> {
    app.registry.refresh_metrics();
    let (content_type, body) = expose(&app.exposition, &headers).map_err(|error| {
        tracing::error!(%error, "the metrics could not be written");
        Failure::internal()
    })?;
    Ok(([(header::CONTENT_TYPE, content_type)], body).into_response())
}

/// `GET /healthz`.
pub(crate) async fn alive() -> Response {
    Json(json!({ "status": "ok" })).into_response()
}

/// `GET /readyz`.
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Response {
    match app.registry.readiness() {
        Readiness::Ready => Json(json!({ "status": "ready" })).into_response(),
        Readiness::NotReady(reason) => {
            let body = Json(json!({ "status": "not ready", "reason": reason }));
            (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
        }
    }
}
