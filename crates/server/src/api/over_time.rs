//! `/api/repos/{repoKey}/retention` and `…/channels`.
//!
//! Must not know what is kept, nor why. Invariant: nothing is deleted without the id of the plan that says so.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::IntoResponse;
use http::{HeaderMap, StatusCode};
use oci::{ErrorCode, RepositoryName, Tag};
use registry::Shown;
use serde::Deserialize;

use super::json_body;
use super::repos::{Answer, KeyParam, checked};
use crate::respond::Failure;
use crate::state::App;

type Pairs = Result<Query<Vec<(String, String)>>, QueryRejection>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Running {
    plan: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Setting {
    name: RepositoryName,
    channel: Tag,
    to: Tag,
}

/// `GET /api/repos/{repoKey}/retention`: what would go now.
pub(crate) async fn plan(State(app): State<Arc<App>>, key: KeyParam) -> Answer {
    Ok(Json(app.registry.retention().plan(&checked(key)?).await?).into_response())
}

/// `POST /api/repos/{repoKey}/retention`: `{"plan": "<id>"}` does what that plan says.
pub(crate) async fn run(State(app): State<Arc<App>>, key: KeyParam, headers: HeaderMap, body: Body) -> Answer {
    let key = checked(key)?;
    let Running { plan } = read(&headers, body).await?;
    Ok(Json(app.registry.retention().run(&key, &plan, Shown::AdminToken).await?).into_response())
}

/// `GET /api/repos/{repoKey}/channels?name=`: where they point.
pub(crate) async fn channels(State(app): State<Arc<App>>, key: KeyParam, pairs: Pairs) -> Answer {
    let key = checked(key)?;
    let pairs = super::known_pairs(pairs, &["name"])?;
    let name: Option<RepositoryName> = super::parsed(&pairs, "name")?;
    let name = name.ok_or_else(|| bad("name: say which, as in ?name=team/app".to_owned()))?;
    Ok(Json(app.registry.channels().list(&key, &name).await?).into_response())
}

/// `POST /api/repos/{repoKey}/channels`: `{"name", "channel", "to"}` sets a channel to a version.
pub(crate) async fn set_channel(State(app): State<Arc<App>>, key: KeyParam, headers: HeaderMap, body: Body) -> Answer {
    let key = checked(key)?;
    let Setting { name, channel, to } = read(&headers, body).await?;
    let channels = app.registry.channels();
    Ok(Json(channels.set(&key, &name, (&channel, &to), Shown::AdminToken).await?).into_response())
}

async fn read<T: for<'a> Deserialize<'a>>(headers: &HeaderMap, body: Body) -> Result<T, Failure> {
    let document = json_body::read(headers, body).await?;
    serde_json::from_value(document).map_err(|error| bad(format!("the body cannot be used: {error}")))
}

fn bad(message: String) -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, ErrorCode::Unsupported, message)
}
