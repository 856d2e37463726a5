//! What is particular to groups: who keeps which name, and tags that members have at different digests.
//!
//! Must not know how members are found. Invariant: nobody upstream is asked.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::IntoResponse;
use http::StatusCode;
use oci::{ErrorCode, RepoKey, RepositoryName};
use registry::RepositoryError;

use super::repos::{Answer, KeyParam, checked};
use crate::respond::Failure;
use crate::state::App;

type Pairs = Result<Query<Vec<(String, String)>>, QueryRejection>;

/// `GET /api/repos/{repoKey}/conflicts`.
pub(crate) async fn conflicts(State(app): State<Arc<App>>, key: KeyParam) -> Answer {
    let key = checked(key)?;
    let conflicts = app.registry.group_conflicts(&key).await?;
    Ok(Json(conflicts.ok_or_else(|| no_group(&app, key))?).into_response())
}

/// `GET /api/repos/{repoKey}/names?n=&last=`: a page of the names that members keep.
pub(crate) async fn names(State(app): State<Arc<App>>, key: KeyParam, pairs: Pairs) -> Answer {
    let key = checked(key)?;
    let pairs = super::known_pairs(pairs, &["n", "last"])?;
    let n = match super::once(&pairs, "n")? {
        Some(text) => Some(text.parse().map_err(|_| bad("n: must be a whole number".to_owned()))?),
        None => None,
    };
    let names = app.registry.group_names(&key, n, super::once(&pairs, "last")?).await?;
    Ok(Json(names.ok_or_else(|| no_group(&app, key))?).into_response())
}

/// `DELETE /api/repos/{repoKey}/names/{name}`: nobody keeps the name any more.
pub(crate) async fn release(
    State(app): State<Arc<App>>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Answer {
    let invalid = |message: String| Failure::new(StatusCode::BAD_REQUEST, ErrorCode::NameInvalid, message);
    let Path((key, name)) = path.map_err(|rejection| invalid(rejection.body_text()))?;
    let key: RepoKey = key.parse().map_err(|error: oci::InvalidRepoKey| invalid(error.to_string()))?;
    let name: RepositoryName = name.parse().map_err(|error: oci::InvalidRepositoryName| invalid(error.to_string()))?;
    match app.registry.release_group_name(&key, &name).await? {
        None => Err(no_group(&app, key)),
        Some(true) => Ok(StatusCode::NO_CONTENT.into_response()),
        Some(false) => {
            let message = format!("nobody keeps '{name}' in group '{key}'");
            Err(Failure::new(StatusCode::NOT_FOUND, ErrorCode::NameUnknown, message))
        }
    }
}

fn no_group(app: &App, key: RepoKey) -> Failure {
    match app.registry.repositories().get(&key) {
        Some(_) => Failure::new(StatusCode::CONFLICT, ErrorCode::Unsupported, format!("'{key}' is not a group")),
        None => RepositoryError::NotFound(key).into(),
    }
}

fn bad(message: String) -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, ErrorCode::Unsupported, message)
}
