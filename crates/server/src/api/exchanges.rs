//! `GET /api/repos/{repoKey}/exchanges?limit=`: the last exchanges of a repository with its upstreams, newest first.
//!
//! Must not know what is kept of them, nor how many. Invariant: what is answered was redacted before it was kept.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::IntoResponse;
use http::StatusCode;
use oci::ErrorCode;
use registry::RepositoryError;

use super::repos::{Answer, KeyParam, checked};
use crate::respond::Failure;
use crate::state::App;

/// Lists them.
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    key: KeyParam,
    pairs: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Answer {
    let key = checked(key)?;
    let Query(pairs) = pairs.map_err(|rejection| bad(rejection.body_text()))?;
    let limit = match super::once(&pairs, "limit")? {
        Some(text) => text.parse().map_err(|_| bad("limit: must be a whole number".to_owned()))?,
        None => usize::MAX,
    };
    let exchanges = app.registry.exchanges(key.as_ref(), limit).ok_or(RepositoryError::NotFound(key))?;
    Ok(Json(exchanges).into_response())
}

fn bad(message: String) -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, ErrorCode::Unsupported, message)
}
