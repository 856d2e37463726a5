//! The names of a group and who keeps each, for administrators.
//!
//! Must not know HTTP. Invariants: a page is bounded; a name that is released is looked for anew, by the group's order.

use std::sync::Arc;

use oci::RepositoryName;
use oci::limits::MAX_TAG_PAGE;
use serde::{Deserialize, Serialize};

use super::repository::{GroupRepository, GroupRoute};
use crate::core::Core;
use crate::error::PullError;

/// A name and its keeper.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupName {
    /// The name.
    pub name: String,
    /// The member that keeps it.
    pub member: String,
    /// Since when (RFC 3339).
    pub since: String,
    /// When the members before it were last found not to have it.
    pub checked_at: String,
}

/// A page of names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupNames {
    /// They, in the order of bytes.
    pub names: Vec<GroupName>,
    /// What to ask behind for the next page, if there is one.
    pub next: Option<String>,
}

/// Lists names behind `last`.
pub(crate) async fn list(
    core: &Core,
    group: &GroupRepository,
    n: Option<u32>,
    last: Option<&str>,
) -> Result<GroupNames, PullError> {
    let limit = n.map_or(MAX_TAG_PAGE, |n| n as usize).clamp(1, MAX_TAG_PAGE);
    let asked = u32::try_from(limit + 1).unwrap_or(u32::MAX);
    let rows = core.metadata.list_group_names(&group.spec().key, last.unwrap_or_default(), asked).await;
    let mut rows = rows.map_err(|error| PullError::storage(&error))?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let time = |time| humantime::format_rfc3339_seconds(time).to_string();
    let names = rows.into_iter().map(|row| GroupName {
        name: row.name.to_string(),
        member: row.member.to_string(),
        since: time(row.since),
        checked_at: time(row.checked_at),
    });
    let names: Vec<GroupName> = names.collect();
    let next = names.last().filter(|_| more).map(|last| last.name.clone());
    Ok(GroupNames { names, next })
}

/// Takes a name from whoever keeps it; false when nobody did.
pub(crate) async fn release(
    core: &Core,
    group: &Arc<GroupRepository>,
    name: &RepositoryName,
) -> Result<bool, PullError> {
    let released = core.metadata.release_group_name(&group.spec().key, name).await;
    let released = released.map_err(|error| PullError::storage(&error))?;
    core.groups.forget(&GroupRoute { repo: group.clone(), name: name.clone(), trace: None });
    if released {
        tracing::info!(repo_key = %group.key(), %name, "the name is kept by nobody any more; the next pull looks for it in order");
    }
    Ok(released)
}
