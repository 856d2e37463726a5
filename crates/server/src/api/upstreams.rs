//! `GET /api/upstreams`: what is known of every upstream host that a repository pulls from.
//!
//! Must not know what the weather is made of. Invariant: nothing is asked of an upstream to answer.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;

use super::repos::Answer;
use crate::state::App;

/// All hosts, by name.
pub(crate) async fn list(State(app): State<Arc<App>>) -> Answer {
    Ok(Json(app.registry.upstreams()).into_response())
}
