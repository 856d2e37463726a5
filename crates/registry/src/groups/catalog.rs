//! The names that were pushed to a group's members, for an address that is the group's alone.
//!
//! Must not know HTTP. Invariants: a name is in it only where a pull of it would go to a member that has it pushed; names
//! come in the order of bytes, each once; a page is bounded. What caches hold is not in it.

use std::sync::Arc;

use oci::RepositoryName;
use oci::limits::MAX_TAG_PAGE;

use super::repository::{GroupRepository, Member};
use crate::core::Core;
use crate::error::PullError;
use crate::hosted::CatalogPage;

/// Lists names behind `last`; `None` when no member takes pushes.
pub(crate) async fn catalog(
    core: &Core,
    group: &Arc<GroupRepository>,
    n: Option<u32>,
    last: Option<&str>,
) -> Result<Option<CatalogPage>, PullError> {
    let hosted = group.members().iter().enumerate().filter_map(|(index, member)| match member {
        Member::Hosted(repo) => Some((index, repo)),
        Member::Proxy(_) | Member::Unusable(_) => None,
    });
    let hosted: Vec<_> = hosted.collect();
    if hosted.is_empty() {
        return Ok(None);
    }
    let limit = n.map_or(MAX_TAG_PAGE, |n| n as usize).min(MAX_TAG_PAGE);
    let mut after = last.unwrap_or_default().to_owned();
    let mut names: Vec<RepositoryName> = Vec::new();
    // Names that rules lead elsewhere are passed over, so a page may take more than one look.
    while names.len() <= limit {
        let found = next_names(core, &hosted, &after).await?;
        let Some(end) = found.last() else { break };
        end.as_str().clone_into(&mut after);
        for name in found {
            let members = group.choose(&name).members;
            if hosted.iter().any(|(index, _)| members.contains(index)) {
                names.push(name);
            }
        }
    }
    let more = names.len() > limit;
    names.truncate(limit);
    let next = names.last().filter(|_| more).map(ToString::to_string);
    Ok(Some(CatalogPage { names: names.iter().map(ToString::to_string).collect(), next }))
}

/// The names that come next at any of these, each once: none is left out that comes before the last of them.
async fn next_names(
    core: &Core,
    hosted: &[(usize, &Arc<crate::hosted::HostedRepository>)],
    after: &str,
) -> Result<Vec<RepositoryName>, PullError> {
    let page = u32::try_from(MAX_TAG_PAGE).unwrap_or(u32::MAX);
    let (mut names, mut ends_at) = (Vec::new(), None::<RepositoryName>);
    for (_, repo) in hosted {
        let found = core.metadata.list_hosted_names(&repo.spec().key, after, page).await;
        let found = found.map_err(|error| PullError::storage(&error))?;
        if found.len() == MAX_TAG_PAGE {
            let end = found.last().cloned();
            ends_at = ends_at.into_iter().chain(end).min();
        }
        names.extend(found);
    }
    names.sort_unstable();
    names.dedup();
    if let Some(end) = ends_at {
        names.retain(|name| *name <= end);
    }
    Ok(names)
}
