//! Tags that members of a group have at different digests.
//!
//! Must not ask anybody: what was pushed and what was pulled is compared. Invariants: a list is bounded and says when there
//! is more; only members that may be asked for the name are in it; a conflict is told in the log at most once an hour.

use std::collections::BTreeMap;
use std::sync::Arc;

use metadata::TagsOf;
use oci::{Digest, RepositoryName, Tag};
use serde::{Deserialize, Serialize};

use super::repository::{GroupRepository, GroupRoute, Member};
use super::spec::NameKeeping;
use crate::core::Core;
use crate::error::PullError;

/// Most conflicts told.
const MOST: usize = 1000;

/// Where members have a tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupConflict {
    /// The name.
    pub name: String,
    /// The tag.
    pub tag: String,
    /// The member whose tag a pull through the group gets.
    pub served_by: String,
    /// What each has, in the group's order.
    pub members: Vec<ConflictSide>,
}

/// One member's digest of a tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConflictSide {
    /// The member.
    pub member: String,
    /// Where it has the tag.
    pub digest: String,
}

/// A list of conflicts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupConflicts {
    /// They, by name and tag.
    pub conflicts: Vec<GroupConflict>,
    /// Whether there are more.
    pub truncated: bool,
}

/// Compares what is known of all members.
pub(crate) async fn list(core: &Core, group: &Arc<GroupRepository>) -> Result<GroupConflicts, PullError> {
    let known: Vec<_> =
        group.members().iter().enumerate().filter_map(|(at, member)| Some((at, tags_of(member)?))).collect();
    let most = u32::try_from(MOST + 1).unwrap_or(u32::MAX);
    let mut sides: BTreeMap<(RepositoryName, Tag), BTreeMap<usize, Digest>> = BTreeMap::new();
    let mut truncated = false;
    for (at, (first, of_first)) in known.iter().enumerate() {
        for (second, of_second) in &known[at + 1..] {
            let found = core.metadata.differing_tags(*of_first, *of_second, most).await;
            let found = found.map_err(|error| PullError::storage(&error))?;
            truncated |= found.len() > MOST;
            for one in found {
                let members = group.choose(&one.name).members;
                if members.contains(first) && members.contains(second) {
                    let entry = sides.entry((one.name, one.tag)).or_default();
                    entry.insert(*first, one.first);
                    entry.insert(*second, one.second);
                }
            }
        }
    }
    truncated |= sides.len() > MOST;
    let mut conflicts = Vec::with_capacity(sides.len().min(MOST));
    for ((name, tag), sides) in sides.into_iter().take(MOST) {
        conflicts.push(told(core, group, name, &tag, &sides).await?);
    }
    Ok(GroupConflicts { conflicts, truncated })
}

async fn told(
    core: &Core,
    group: &Arc<GroupRepository>,
    name: RepositoryName,
    tag: &Tag,
    sides: &BTreeMap<usize, Digest>,
) -> Result<GroupConflict, PullError> {
    let route = GroupRoute { repo: group.clone(), name, trace: None };
    let keeper = match group.spec().names {
        NameKeeping::Kept => core.groups.keeper(&route, &group.choose(&route.name).members).await?,
        NameKeeping::Merged => None,
    };
    let first = sides.keys().next().copied().unwrap_or_default();
    let served_by = keeper.map_or(first, |(index, _)| index);
    let side = |(index, digest): (&usize, &Digest)| ConflictSide {
        member: group.member_key(*index).to_string(),
        digest: digest.to_string(),
    };
    Ok(GroupConflict {
        name: route.name.to_string(),
        tag: tag.to_string(),
        served_by: group.member_key(served_by).to_string(),
        members: sides.iter().map(side).collect(),
    })
}

fn tags_of(member: &Member) -> Option<TagsOf<'_>> {
    match member {
        Member::Hosted(repo) => Some(TagsOf::Hosted(&repo.spec().key)),
        Member::Proxy(repo) => Some(TagsOf::Proxy(&repo.spec().key)),
        Member::Unusable(_) => None,
    }
}

/// Looks, beside a pull of a tag, whether another member is known to have it elsewhere.
pub(super) fn notice(core: &Arc<Core>, route: &GroupRoute, tag: &Tag, candidates: &[usize]) {
    if candidates.len() < 2 || !core.groups.may_compare(route, tag) {
        return;
    }
    let (core, route, tag, candidates) = (core.clone(), route.clone(), tag.clone(), candidates.to_vec());
    tokio::spawn(async move {
        if let Err(error) = compare(&core, &route, &tag, &candidates).await {
            tracing::warn!(repo_key = %route.repo.key(), name = %route.name, %tag, %error, "the members' tags could not be compared");
        }
    });
}

async fn compare(core: &Core, route: &GroupRoute, tag: &Tag, candidates: &[usize]) -> Result<(), PullError> {
    let mut known: Vec<(Arc<str>, Digest)> = Vec::new();
    for index in candidates {
        let digest = match &route.repo.members()[*index] {
            Member::Hosted(repo) => {
                let row = core.metadata.find_hosted_tag(&repo.spec().key, &route.name, tag).await;
                row.map_err(|error| PullError::storage(&error))?.map(|row| row.digest)
            }
            Member::Proxy(repo) => {
                let name = repo.canonical_name(route.name.clone());
                let row = core.metadata.find_tag(&repo.spec().key, &name, tag).await;
                row.map_err(|error| PullError::storage(&error))?.map(|row| row.digest)
            }
            Member::Unusable(_) => None,
        };
        known.extend(digest.map(|digest| (route.member(*index), digest)));
    }
    let Some((_, first)) = known.first() else { return Ok(()) };
    if known.iter().all(|(_, digest)| digest == first) || !core.groups.may_tell(route, tag) {
        return Ok(());
    }
    core.groups.metrics.group_conflict(route.repo.key());
    let members: Vec<String> = known.iter().map(|(member, digest)| format!("{member} {digest}")).collect();
    tracing::warn!(repo_key = %route.repo.key(), name = %route.name, %tag, members = members.join(", "), "members have a tag at different digests; the order of the group decides");
    Ok(())
}
