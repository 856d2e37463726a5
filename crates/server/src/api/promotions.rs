//! `/api/promotions`: promote, list, look at, take back, approve.
//!
//! Must not know how an image is promoted. Invariants: a request with a field that nobody knows is refused, for a rule
//! with a typing error would be an open gate; every rule that is not met is an error of its own.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::IntoResponse;
use http::{HeaderMap, StatusCode};
use http_body::Body as _;
use oci::{ErrorCode, RepoKey};
use registry::{HostedAddress, IfMoved, Promoted, PromotionId, PromotionRequest, Rehearsal, Rule, Shown};
use serde::Deserialize;
use serde_json::{Value, json};

use super::json_body;
use super::repos::Answer;
use crate::respond::Failure;
use crate::state::App;

type Pairs = Result<Query<Vec<(String, String)>>, QueryRejection>;
type IdParam = Result<Path<String>, PathRejection>;

/// Longest note of an approval, in characters.
const LONGEST_NOTE: usize = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    from: String,
    to: String,
    #[serde(default)]
    require: Vec<Value>,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Approval {
    image: String,
    #[serde(default)]
    note: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reverting {
    #[serde(default)]
    force: bool,
}

/// `POST /api/promotions`: 201 when it was promoted, 200 when it was there already or only tried.
pub(crate) async fn create(State(app): State<Arc<App>>, headers: HeaderMap, body: Body) -> Answer {
    let wanted: Wanted = read(&headers, body).await?;
    let rule = |(index, rule): (usize, &Value)| {
        Rule::from_document(rule).map_err(|error| bad(format!("require[{index}]: {error}")))
    };
    let request = PromotionRequest {
        from: address("from", &wanted.from)?,
        to: address("to", &wanted.to)?,
        require: wanted.require.iter().enumerate().map(rule).collect::<Result<_, _>>()?,
        rehearsal: if wanted.dry_run { Rehearsal::Only } else { Rehearsal::No },
    };
    Ok(match app.registry.promotions().promote(request, Shown::AdminToken).await? {
        Promoted::New(promotion) => (StatusCode::CREATED, Json(promotion)).into_response(),
        Promoted::Already(promotion) | Promoted::Possible(promotion) => Json(promotion).into_response(),
    })
}

/// `GET /api/promotions?state=&to=&limit=&before=`: newest first.
pub(crate) async fn list(State(app): State<Arc<App>>, pairs: Pairs) -> Answer {
    let pairs = super::known_pairs(pairs, &["state", "to", "limit", "before"])?;
    let state = super::parsed(&pairs, "state")?;
    let to: Option<RepoKey> = super::parsed(&pairs, "to")?;
    let before: Option<PromotionId> = super::parsed(&pairs, "before")?;
    let limit: Option<u32> = super::parsed(&pairs, "limit")?;
    let promotions = app.registry.promotions();
    let listed = promotions.list(before.as_ref(), state, to.as_ref(), limit.unwrap_or(u32::MAX)).await?;
    Ok(Json(listed).into_response())
}

/// `GET /api/promotions/{id}`.
pub(crate) async fn show(State(app): State<Arc<App>>, id: IdParam) -> Answer {
    Ok(Json(app.registry.promotions().get(&checked(id)?).await?).into_response())
}

/// `POST /api/promotions/{id}/revert`: `{"force": true}` also when the tag was moved since.
pub(crate) async fn revert(State(app): State<Arc<App>>, id: IdParam, headers: HeaderMap, body: Body) -> Answer {
    let id = checked(id)?;
    let Reverting { force } = if body.is_end_stream() { Reverting::default() } else { read(&headers, body).await? };
    let if_moved = if force { IfMoved::Force } else { IfMoved::Refuse };
    Ok(Json(app.registry.promotions().revert(&id, if_moved, Shown::AdminToken).await?).into_response())
}

/// `POST /api/promotions/approvals`: `{"image": "dev/app@sha256:…", "note": "…"}`.
pub(crate) async fn approve(State(app): State<Arc<App>>, headers: HeaderMap, body: Body) -> Answer {
    let Approval { image, note } = read(&headers, body).await?;
    if note.chars().count() > LONGEST_NOTE || note.contains(char::is_control) {
        return Err(bad(format!("note: at most {LONGEST_NOTE} characters on one line")));
    }
    let image = address("image", &image)?;
    let digest = app.registry.promotions().approve(&image, note, registry::Pusher::Admin).await?;
    let approved = json!({ "image": format!("{}/{}@{digest}", image.repo, image.name), "digest": digest });
    Ok((StatusCode::CREATED, Json(approved)).into_response())
}

async fn read<T: for<'a> Deserialize<'a>>(headers: &HeaderMap, body: Body) -> Result<T, Failure> {
    let document = json_body::read(headers, body).await?;
    serde_json::from_value(document).map_err(|error| bad(format!("the body cannot be used: {error}")))
}

fn address(field: &str, text: &str) -> Result<HostedAddress, Failure> {
    text.parse().map_err(|error: registry::InvalidHostedAddress| bad(format!("{field}: {error}")))
}

fn checked(id: IdParam) -> Result<PromotionId, Failure> {
    let Path(id) = id.map_err(|rejection| bad(rejection.body_text()))?;
    id.parse().map_err(|error: registry::InvalidPromotionId| bad(error.to_string()))
}

fn bad(message: String) -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, ErrorCode::Unsupported, message)
}
