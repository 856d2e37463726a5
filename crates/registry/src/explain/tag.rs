//! What is known of a tag.
//!
//! Must not decide whether it may be served; `pull::tag` does. Invariant: a time is said both as it was and as an age.

use std::time::SystemTime;

use oci::Tag;

use super::answer::ExplainedTag;
use super::words;
use crate::core::Core;
use crate::error::PullError;
use crate::outcome::Freshness;
use crate::pull::TagKnowledge;
use crate::repositories::Route;

/// Most changes counted: as many as are kept.
const CHANGES: u32 = 1000;

/// The tag, explained.
pub(super) async fn explained(
    core: &Core,
    route: &Route,
    tag: &Tag,
    known: &TagKnowledge,
) -> Result<ExplainedTag, PullError> {
    let spec = route.repo.spec();
    let history = core.metadata.tag_history(&spec.key, &route.name, tag, CHANGES).await;
    let changes = history.map_err(|error| PullError::storage(&error))?.len();
    let age = known.known.map(|(_, age)| age);
    let immutable = route.repo.is_immutable(tag);
    let resting = match (&known.answer, &known.absent) {
        (Some(answer), _) => match &answer.freshness {
            Freshness::Fresh { .. } | Freshness::Immutable => None,
            Freshness::Stale { reason, .. } => Some(format!("the last check failed: {reason}")),
        },
        (None, Some(absent)) => Some(absent.to_string()),
        (None, None) => None,
    };
    let is_fresh = known.answer.is_some() && resting.is_none();
    let state = match (known.known, &known.absent) {
        (Some(_), _) if is_fresh => "fresh",
        (_, Some(_)) => "absent",
        (Some(_), None) => "stale",
        (None, None) => "unknown",
    };
    Ok(ExplainedTag {
        tag: tag.to_string(),
        digest: known.known.map(|(digest, _)| digest.to_string()),
        confirmed_at: age
            .and_then(|age| SystemTime::now().checked_sub(age))
            .map(|at| humantime::format_rfc3339_seconds(at).to_string()),
        age_s: age.map(|age| age.as_secs()),
        ttl_s: spec.tag_ttl.as_secs(),
        left_s: age.map(|age| spec.tag_ttl.saturating_sub(age).as_secs()),
        immutable,
        changes,
        resting,
        served_meanwhile: known.meanwhile.as_ref().map(|resolved| match &resolved.freshness {
            Freshness::Stale { reason, .. } => reason.to_string(),
            Freshness::Fresh { .. } | Freshness::Immutable => String::new(),
        }),
        state: state.to_owned(),
    })
}

/// Why a pull asks for a known tag, or does not.
pub(super) fn why(tag: &ExplainedTag) -> String {
    let Some(age) = tag.age_s else { return format!("the tag {} is not known here", tag.tag) };
    format!("the tag was confirmed {} ago, tag_ttl {}", words::seconds(age), words::seconds(tag.ttl_s))
}
