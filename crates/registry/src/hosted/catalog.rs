//! The names that were pushed to, over all hosted repositories that answer here.
//!
//! Must not know HTTP. Invariants: names come as clients write them, in the order of bytes; a page is bounded; a
//! repository that the caller may not read is not in it.

use super::error::HostedError;
use super::tags::page;
use crate::core::Core;
use crate::error::PullError;
use crate::repositories::RouteQuery;

/// A page of names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CatalogPage {
    /// The names, with the repository's key before them where clients write it.
    pub names: Vec<String>,
    /// Where the next page starts, if there is one.
    pub next: Option<String>,
}

/// Lists names behind `last`; `None` when no hosted repository answers here.
pub(crate) async fn list(
    core: &Core,
    query: &RouteQuery<'_>,
    n: Option<u32>,
    last: Option<&str>,
) -> Result<Option<CatalogPage>, PullError> {
    let map = core.map().clone();
    if let Some(group) = map.groups().dedicated(query) {
        return crate::groups::catalog(core, group, n, last).await;
    }
    let dedicated = map.hosted().dedicated(query);
    let repos: Vec<_> = match dedicated {
        Some(repo) => vec![(repo, String::new())],
        None if map.dedicated(query).is_some() => return Ok(None),
        None => map.hosted().iter().map(|repo| (repo, format!("{}/", repo.key()))).collect(),
    };
    if repos.is_empty() {
        return Ok(None);
    }
    let (limit, last) = (page(n) as usize, last.unwrap_or_default());
    let mut names = Vec::new();
    for (repo, prefix) in repos {
        let left = limit + 1 - names.len();
        let after = match last.strip_prefix(&*prefix) {
            Some(after) => after,
            // The mark is beyond all of this repository.
            None if *last > *prefix => continue,
            None => "",
        };
        let left = u32::try_from(left).unwrap_or(u32::MAX);
        let found = core.metadata.list_hosted_names(&repo.spec().key, after, left).await.map_err(HostedError::from)?;
        names.extend(found.into_iter().map(|name| format!("{prefix}{name}")));
        if names.len() > limit {
            break;
        }
    }
    let more = names.len() > limit;
    names.truncate(limit);
    let next = names.last().filter(|_| more).cloned();
    Ok(Some(CatalogPage { names, next }))
}
