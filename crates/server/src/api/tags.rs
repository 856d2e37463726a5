//! `/api/repos/{repoKey}/tags/…`: the history of a tag, what it pointed to at a time, and putting it back.
//!
//! Must not know where history is kept. Invariant: a parameter that matters stands once, and one that nobody knows is
//! refused.

use std::sync::Arc;
use std::time::SystemTime;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::IntoResponse;
use http::{HeaderMap, StatusCode};
use oci::{Digest, ErrorCode, RepositoryName, Tag};
use registry::{Rollback, Shown};
use serde::Deserialize;

use super::json_body;
use super::repos::{Answer, KeyParam, checked};
use crate::respond::Failure;
use crate::state::App;

type Pairs = Result<Query<Vec<(String, String)>>, QueryRejection>;

/// Moves told when nobody says how many.
const USUAL: u32 = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    name: RepositoryName,
    tag: Tag,
    to: Option<Digest>,
    at: Option<String>,
    steps: Option<u32>,
}

/// `GET /api/repos/{repoKey}/tags/history?name=&tag=&limit=`: newest first.
pub(crate) async fn history(State(app): State<Arc<App>>, key: KeyParam, pairs: Pairs) -> Answer {
    let key = checked(key)?;
    let pairs = super::known_pairs(pairs, &["name", "tag", "limit"])?;
    let (name, tag) = named(&pairs)?;
    let limit = super::parsed(&pairs, "limit")?.unwrap_or(USUAL);
    Ok(Json(app.registry.tags_over_time().history(&key, name, &tag, limit).await?).into_response())
}

/// `GET /api/repos/{repoKey}/tags/resolve?name=&tag=&at=`; now, without a time.
pub(crate) async fn resolve(State(app): State<Arc<App>>, key: KeyParam, pairs: Pairs) -> Answer {
    let key = checked(key)?;
    let pairs = super::known_pairs(pairs, &["name", "tag", "at"])?;
    let (name, tag) = named(&pairs)?;
    let at = super::once(&pairs, "at")?.map(time).transpose()?.unwrap_or_else(SystemTime::now);
    Ok(Json(app.registry.tags_over_time().resolve(&key, name, &tag, at).await?).into_response())
}

/// `POST /api/repos/{repoKey}/tags/rollback`: `{"name", "tag"}` and one of `to`, `at`, `steps`; one step without.
pub(crate) async fn rollback(State(app): State<Arc<App>>, key: KeyParam, headers: HeaderMap, body: Body) -> Answer {
    let key = checked(key)?;
    let document = json_body::read(&headers, body).await?;
    let Wanted { name, tag, to, at, steps } =
        serde_json::from_value(document).map_err(|error| bad(format!("the body cannot be used: {error}")))?;
    let rollback = match (to, at, steps) {
        (Some(digest), None, None) => Rollback::To(digest),
        (None, Some(at), None) => Rollback::At(time(&at)?),
        (None, None, steps) => Rollback::Steps(steps.unwrap_or(1)),
        (Some(_) | None, Some(_) | None, Some(_) | None) => {
            return Err(bad("give one of to, at and steps".to_owned()));
        }
    };
    let rolled_back = app.registry.tags_over_time().rollback(&key, &name, &tag, rollback, Shown::AdminToken).await?;
    Ok(Json(rolled_back).into_response())
}

fn named(pairs: &[(String, String)]) -> Result<(RepositoryName, Tag), Failure> {
    let missing = |what: &str| bad(format!("{what}: say which, as in ?name=team/app&tag=v1"));
    let name = super::parsed(pairs, "name")?.ok_or_else(|| missing("name"))?;
    Ok((name, super::parsed(pairs, "tag")?.ok_or_else(|| missing("tag"))?))
}

fn time(text: &str) -> Result<SystemTime, Failure> {
    registry::parse_time(text).map_err(|error| bad(format!("at: {error}")))
}

fn bad(message: String) -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, ErrorCode::Unsupported, message)
}
