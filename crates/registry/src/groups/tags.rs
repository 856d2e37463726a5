//! The tags of a name over all members that may be asked for it.
//!
//! Must not know HTTP. Invariants: the list is in the order of bytes, and each tag is once in it; it is bounded; a list
//! that lacks a member's tags says so.

use std::sync::Arc;

use oci::limits::MAX_TAG_PAGE;
use oci::{Tag, limits};

use super::error::GroupError;
use super::lookup::is_absence;
use super::repository::{GroupRoute, Member};
use crate::core::Core;
use crate::error::PullError;
use crate::hosted;
use crate::metrics::PullKind;
use crate::outcome::PullOutcome;
use crate::pull::{self, TagsAnswer, TagsQuery};

/// Most pages of one member that are read.
const MOST_PAGES: usize = 50;

/// All tags of a name.
#[derive(Debug)]
pub(super) struct MergedTags {
    tags: Vec<Tag>,
    /// What is missing, and why.
    lacks: Option<Arc<str>>,
}

impl MergedTags {
    pub(super) fn weight(&self) -> u32 {
        let bytes: usize = self.tags.iter().map(|tag| tag.as_str().len() + size_of::<Tag>()).sum();
        u32::try_from(bytes + 256).unwrap_or(u32::MAX)
    }
}

/// A page of the tags of all members.
pub(crate) async fn list(core: &Arc<Core>, route: &GroupRoute, query: &TagsQuery) -> Result<TagsAnswer, PullError> {
    let key = (route.repo.key().clone(), route.name.clone());
    let merged = if let Some(merged) = core.groups.lists.get(&key) {
        merged
    } else {
        let merged = Arc::new(Box::pin(collect(core, route)).await?);
        // One that lacks something is not kept: the next one may have it.
        if merged.lacks.is_none() {
            core.groups.lists.insert(key, merged.clone());
        }
        merged
    };
    let after = query.last.as_deref().unwrap_or_default();
    let limit = query.n.map_or(MAX_TAG_PAGE, |n| n as usize).min(MAX_TAG_PAGE);
    let mut rest = merged.tags.iter().filter(|tag| tag.as_str() > after);
    let tags: Vec<Tag> = rest.by_ref().take(limit).cloned().collect();
    let next = rest.next().and_then(|_| tags.last().map(ToString::to_string));
    let outcome = if merged.lacks.is_some() { PullOutcome::Stale } else { PullOutcome::Miss };
    route.repo.counters().pulled(PullKind::Tags, outcome);
    Ok(TagsAnswer { tags, next, outcome, stale: merged.lacks.clone() })
}

async fn collect(core: &Arc<Core>, route: &GroupRoute) -> Result<MergedTags, PullError> {
    let choice = route.repo.choose(&route.name);
    let (mut tags, mut lacking, mut answered, mut failed) = (Vec::new(), Vec::new(), false, None);
    for index in choice.members {
        match of_member(core, route, index).await {
            Ok((found, lacks)) => {
                answered = true;
                lacking.extend(lacks.map(|why| format!("member '{}': {why}", route.member(index))));
                tags.extend(found);
            }
            Err(error) if is_absence(&error) => {}
            Err(error) => {
                lacking.push(format!("the tags of member '{}' are not in this list: {error}", route.member(index)));
                failed.get_or_insert((index, error));
            }
        }
    }
    match (answered, failed) {
        (true, _) => {}
        (false, Some((index, error))) => {
            let (group, member) = (route.repo.key().clone(), route.member(index));
            return Err(GroupError::MemberFailed { group, member, error: Box::new(error) }.into());
        }
        (false, None) => return Err(nobody(route)),
    }
    tags.sort_unstable();
    tags.dedup();
    if !lacking.is_empty() {
        tracing::warn!(repo_key = %route.repo.key(), name = %route.name, lacking = lacking.join("; "), "a list of tags is not whole");
    }
    Ok(MergedTags { tags, lacks: (!lacking.is_empty()).then(|| lacking.join("; ").into()) })
}

fn nobody(route: &GroupRoute) -> PullError {
    GroupError::NobodyHas {
        group: route.repo.key().clone(),
        sought: super::Sought::Name,
        what: format!("'{}'", route.name).into(),
        asked: "none of those that may be asked has it".into(),
    }
    .into()
}

/// All tags of one member, and what they lack.
async fn of_member(
    core: &Arc<Core>,
    route: &GroupRoute,
    index: usize,
) -> Result<(Vec<Tag>, Option<Arc<str>>), PullError> {
    let page_size = u32::try_from(limits::MAX_TAG_PAGE).unwrap_or(u32::MAX);
    let mut query = TagsQuery { n: Some(page_size), last: None };
    let mut tags = Vec::new();
    for _ in 0..MOST_PAGES {
        let page = match &route.repo.members()[index] {
            Member::Proxy(repo) => pull::list_tags(core, &route.at_proxy(repo), &query).await?,
            Member::Hosted(repo) => hosted::list_tags(core, &route.at_hosted(repo), &query).await?,
            Member::Unusable(_) => return Err(route.at(index).map_or_else(PullError::from, |_| nobody(route))),
        };
        tags.extend(page.tags);
        if page.stale.is_some() || page.next.is_none() || page.next == query.last {
            return Ok((tags, page.stale));
        }
        query.last = page.next;
    }
    Ok((tags, Some(format!("only {MOST_PAGES} pages of its tags are read").into())))
}
