//! Looks, once in a while, whether a cache before the one that keeps a name has it by now.
//!
//! Must not hold up a request: it runs beside. Invariant: a name changes hands only to a member that comes first and says
//! itself that it has it; one that cannot be asked changes nothing.

use std::sync::Arc;
use std::time::SystemTime;

use super::keepers::Kept;
use super::lookup::{Unclear, has_name};
use super::repository::{GroupRoute, Member};
use crate::core::Core;
use crate::error::PullError;

/// Looks if the time has come: what a hosted member keeps is never looked for elsewhere.
pub(super) fn when_due(core: &Arc<Core>, route: &GroupRoute, candidates: &[usize], keeper: usize, kept: &Kept) {
    if !matches!(route.repo.members()[keeper], Member::Proxy(_)) {
        return;
    }
    // A clock that was set back makes the look late, never frequent.
    let age = SystemTime::now().duration_since(kept.checked_at).unwrap_or_default();
    if age < route.repo.spec().name_ttl || !core.groups.may_recheck(route) {
        return;
    }
    let before: Vec<usize> = candidates.iter().copied().take_while(|index| *index != keeper).collect();
    let (core, route) = (core.clone(), route.clone());
    tokio::spawn(async move {
        match first_with_name(&core, &route, &before).await {
            Ok(found) => {
                if let Some(index) = found {
                    core.groups.tell_change(&route, keeper, index);
                }
                core.groups.keep(&route, found.unwrap_or(keeper)).await;
                core.groups.forget(&route);
            }
            Err(error) => {
                tracing::info!(repo_key = %route.repo.key(), name = %route.name, %error, "whether a member that comes first has the name by now cannot be asked; it stays where it is");
            }
        }
    });
}

async fn first_with_name(core: &Arc<Core>, route: &GroupRoute, before: &[usize]) -> Result<Option<usize>, PullError> {
    for index in before {
        match &route.repo.members()[*index] {
            Member::Proxy(repo) if has_name(core, &route.at_proxy(repo), Unclear::Fails).await? => {
                return Ok(Some(*index));
            }
            // A hosted one is looked at with each request.
            Member::Proxy(_) | Member::Hosted(_) => {}
            Member::Unusable(_) => return route.at(*index).map(|_| None).map_err(Into::into),
        }
    }
    Ok(None)
}
