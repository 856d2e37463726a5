//! `/api/repos`: the repositories, as JSON documents of the shape the configuration file has.
//!
//! Must not know what a repository's fields mean. Invariant: no credential is ever in an answer; the registry's views
//! hold none.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use oci::{ErrorCode, ErrorEntry, RepoKey};
use registry::{FieldProblem, RepositoryError, RepositoryView};
use serde_json::{Value, json};

use super::json_body;
use crate::respond::Failure;
use crate::state::App;

pub(super) type Answer = Result<Response, Failure>;
pub(super) type KeyParam = Result<Path<String>, PathRejection>;

/// `GET /api/repos`: all of them.
pub(crate) async fn list(State(app): State<Arc<App>>) -> Answer {
    let documents: Vec<Value> = app.registry.repositories().list().into_iter().map(|view| view.document).collect();
    Ok(Json(documents).into_response())
}

/// `POST /api/repos`: one more; 201 with its address.
pub(crate) async fn create(State(app): State<Arc<App>>, headers: HeaderMap, body: Body) -> Answer {
    let document = json_body::read(&headers, body).await?;
    let view = app.registry.repositories().create(&document).await?;
    let address = HeaderValue::try_from(format!("/api/repos/{}", view.key));
    let mut response = (StatusCode::CREATED, shown(view)).into_response();
    if let Ok(address) = address {
        response.headers_mut().insert(header::LOCATION, address);
    }
    Ok(response)
}

/// `GET /api/repos/{repoKey}`.
pub(crate) async fn read(State(app): State<Arc<App>>, key: KeyParam) -> Answer {
    let key = checked(key)?;
    let view = app.registry.repositories().get(&key).ok_or(RepositoryError::NotFound(key))?;
    Ok(shown(view).into_response())
}

/// `PUT /api/repos/{repoKey}`: its document becomes this one.
pub(crate) async fn replace(State(app): State<Arc<App>>, key: KeyParam, headers: HeaderMap, body: Body) -> Answer {
    let key = checked(key)?;
    let document = json_body::read(&headers, body).await?;
    Ok(shown(app.registry.repositories().replace(&key, &document).await?).into_response())
}

/// `DELETE /api/repos/{repoKey}`.
pub(crate) async fn delete(State(app): State<Arc<App>>, key: KeyParam) -> Answer {
    app.registry.repositories().delete(&checked(key)?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn shown(view: RepositoryView) -> Json<Value> {
    Json(view.document)
}

pub(super) fn checked(key: KeyParam) -> Result<RepoKey, Failure> {
    let bad = |message: String| Failure::new(StatusCode::BAD_REQUEST, ErrorCode::NameInvalid, message);
    let Path(key) = key.map_err(|rejection| bad(rejection.body_text()))?;
    key.parse().map_err(|error: oci::InvalidRepoKey| bad(error.to_string()))
}

impl From<RepositoryError> for Failure {
    fn from(error: RepositoryError) -> Self {
        let message = error.to_string();
        match error {
            RepositoryError::Invalid(problems) => {
                Self::with_entries(StatusCode::BAD_REQUEST, problems.into_iter().map(entry).collect())
            }
            RepositoryError::Exists(_) => Self::new(StatusCode::CONFLICT, ErrorCode::NameInvalid, message),
            RepositoryError::NotFound(_) => Self::new(StatusCode::NOT_FOUND, ErrorCode::NameUnknown, message),
            RepositoryError::FromFile(_)
            | RepositoryError::Builtin(_)
            | RepositoryError::HoldsContent(_)
            | RepositoryError::MemberOf { .. } => Self::new(StatusCode::CONFLICT, ErrorCode::Denied, message),
            RepositoryError::Uncheckable(_) => Self::new(StatusCode::CONFLICT, ErrorCode::Unsupported, message),
            RepositoryError::Storage(error) => error.into(),
        }
    }
}

/// One error for each field, so that a caller can put it beside the field.
fn entry(problem: FieldProblem) -> ErrorEntry {
    let FieldProblem { path, message } = problem;
    let code = if path == "key" { ErrorCode::NameInvalid } else { ErrorCode::Unsupported };
    let message = if path.is_empty() { message } else { format!("{path}: {message}") };
    ErrorEntry { code, message, detail: json!({ "field": path }) }
}
