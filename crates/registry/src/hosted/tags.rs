//! Lists of pushed tags.
//!
//! Must not know HTTP. Invariant: a page is in the order of bytes and bounded.

use oci::limits::MAX_TAG_PAGE;

use super::error::HostedError;
use super::repository::HostedRoute;
use crate::core::Core;
use crate::error::PullError;
use crate::metrics::PullKind;
use crate::outcome::PullOutcome;
use crate::pull::{TagsAnswer, TagsQuery};

/// Lists tags.
pub(crate) async fn list(core: &Core, route: &HostedRoute, query: &TagsQuery) -> Result<TagsAnswer, PullError> {
    let (repo, name) = route.place();
    let limit = page(query.n);
    let after = query.last.as_deref().unwrap_or_default();
    let listed = core.hosted.metadata.list_hosted_tags(repo, name, after, limit + 1).await;
    let mut tags = listed.map_err(HostedError::from)?;
    if tags.is_empty() && !core.hosted.metadata.has_hosted_name(repo, name).await.map_err(HostedError::from)? {
        return Err(HostedError::NameUnknown(format!("{}/{}", route.repo.key(), route.name).into()).into());
    }
    let more = tags.len() > limit as usize;
    tags.truncate(limit as usize);
    let next = tags.last().filter(|_| more).map(ToString::to_string);
    route.repo.counters().pulled(PullKind::Tags, PullOutcome::Hit);
    Ok(TagsAnswer { tags, next, outcome: PullOutcome::Hit, stale: None })
}

/// How many entries a page has.
pub(super) fn page(wanted: Option<u32>) -> u32 {
    let most = u32::try_from(MAX_TAG_PAGE).unwrap_or(u32::MAX);
    wanted.map_or(most, |wanted| wanted.min(most))
}
