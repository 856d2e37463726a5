//! `POST /api/gc[?dry_run=true][&now=true]`: collects garbage of hosted repositories; `GET /api/gc`: what the last run did.
//!
//! Must not know what garbage is. Invariants: a run that is asked for changes things only when it was not asked for as a dry
//! run, and a wish that is not understood is refused and not passed over.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::IntoResponse;
use http::{HeaderMap, StatusCode};
use http_body::Body as _;
use oci::ErrorCode;
use registry::{GcMode, GcPatience, GcRequest};
use serde_json::{Value, json};

use super::json_body;
use super::repos::Answer;
use crate::respond::Failure;
use crate::state::App;

type Pairs = Result<Query<Vec<(String, String)>>, QueryRejection>;

/// Runs once; the answer is the report.
pub(crate) async fn collect(State(app): State<Arc<App>>, pairs: Pairs, headers: HeaderMap, body: Body) -> Answer {
    let Query(pairs) = pairs.map_err(|rejection| bad(rejection.body_text()))?;
    let request = wanted(&pairs)?;
    let document = if body.is_end_stream() { Value::Null } else { json_body::read(&headers, body).await? };
    if document != Value::Null && document != json!({}) {
        return Err(
            bad("the body says nothing here; write dry_run and now into the query, as in ?dry_run=true".into()),
        );
    }
    Ok(Json(app.registry.collect_garbage(request).await?).into_response())
}

/// The last report.
pub(crate) async fn last(State(app): State<Arc<App>>) -> Answer {
    let none = || {
        let message = "no garbage collection has ended since the start; POST /api/gc runs one";
        Failure::new(StatusCode::NOT_FOUND, ErrorCode::Unsupported, message)
    };
    Ok(Json(app.registry.last_gc().ok_or_else(none)?).into_response())
}

fn wanted(pairs: &[(String, String)]) -> Result<GcRequest, Failure> {
    if let Some((unknown, _)) = pairs.iter().find(|(name, _)| name != "dry_run" && name != "now") {
        return Err(bad(format!("{unknown}: unknown parameter; there are dry_run and now")));
    }
    let flag = |name: &str| match super::once(pairs, name)? {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(bad(format!("{name}: must be true or false, not '{other}'"))),
    };
    Ok(GcRequest {
        mode: if flag("dry_run")? { GcMode::DryRun } else { GcMode::Collect },
        patience: if flag("now")? { GcPatience::None } else { GcPatience::Grace },
    })
}

fn bad(message: String) -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, ErrorCode::Unsupported, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_is_read_and_everything_else_refused() {
        let read = |pairs: &[(&str, &str)]| {
            let pairs: Vec<_> = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            wanted(&pairs).map_err(|failure| failure.message())
        };
        let (collect, patient) = (GcMode::Collect, GcPatience::Grace);
        assert_eq!(read(&[]), Ok(GcRequest { mode: collect, patience: patient }));
        assert_eq!(read(&[("dry_run", "true")]), Ok(GcRequest { mode: GcMode::DryRun, patience: patient }));
        let both = [("dry_run", "false"), ("now", "true")];
        assert_eq!(read(&both), Ok(GcRequest { mode: collect, patience: GcPatience::None }));
        for (pairs, word) in [
            (&[("dry-run", "true")][..], "dry-run: unknown"),
            (&[("dry_run", "1")], "true or false"),
            (&[("dry_run", "true"), ("dry_run", "false")], "more than once"),
        ] {
            let message = read(pairs).unwrap_err();
            assert!(message.contains(word), "{message}");
        }
    }
}
