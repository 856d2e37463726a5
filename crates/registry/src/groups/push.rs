//! Where pushes to a group go, and what follows when a name was pushed.
//!
//! Must not know who may push (that is the member's own rule). Invariants: all of one push, blobs and manifest, goes to
//! one member; nothing is taken that could not be pulled again under the same address.

use std::sync::Arc;

use oci::{RepoKey, RepositoryName};

use super::error::GroupError;
use super::repository::{GroupRoute, Member};
use super::rules::ChosenBy;
use super::spec::NameKeeping;
use crate::core::Core;
use crate::error::PullError;
use crate::hosted::HostedRoute;

/// The member that takes pushes, once it is clear that the name is its own or free.
pub(crate) async fn push_route(core: &Core, route: &GroupRoute) -> Result<HostedRoute, PullError> {
    let group = route.repo.key();
    if route.repo.spec().push_to.is_none() {
        return Err(GroupError::TakesNoPushes { group: group.clone(), hosted: hosted_members(route).into() }.into());
    }
    let Some((index, repo)) = route.repo.push_member() else {
        let index = route.repo.spec().push_to.unwrap_or_default();
        let why = "is the one to push to, and is not there or not hosted".into();
        return Err(GroupError::MemberUnusable { group: group.clone(), member: route.member(index), why }.into());
    };
    let refused = |why: String, hint: String| GroupError::KeptByAnother {
        group: group.clone(),
        name: route.name.as_str().into(),
        push_to: route.member(index),
        why: why.into(),
        hint: hint.into(),
    };
    let choice = route.repo.choose(&route.name);
    if !choice.members.contains(&index) {
        let (why, hint) = match choice.by {
            ChosenBy::Pin(pattern) => {
                let member = choice.members.first().map(|index| route.member(*index)).unwrap_or_default();
                (format!("'{pattern}' is pinned to member '{member}'"), "push under another name, or change the pin")
            }
            ChosenBy::Routes | ChosenBy::Order => {
                ("its routes do not lead there".to_owned(), "push under another name, or change the routes")
            }
        };
        return Err(refused(why, hint.to_owned()).into());
    }
    if route.repo.spec().names == NameKeeping::Kept
        && let Some((keeper, _)) = core.groups.keeper(route, &choice.members).await?
        && keeper != index
    {
        let hint =
            format!("push under another name, or release it first: DELETE /api/repos/{group}/names/{}", route.name);
        return Err(refused(format!("member '{}' keeps the name", route.member(keeper)), hint).into());
    }
    Ok(route.at_hosted(repo))
}

fn hosted_members(route: &GroupRoute) -> String {
    let hosted = route.repo.members().iter().enumerate().filter_map(|(index, member)| match member {
        Member::Hosted(_) => Some(route.repo.member_key(index).as_str()),
        Member::Proxy(_) | Member::Unusable(_) => None,
    });
    let hosted = hosted.collect::<Vec<_>>().join(", ");
    if hosted.is_empty() { "there is none".to_owned() } else { hosted }
}

/// Where a blob may be mounted from that is named by an address of the group: what is pushed lies in hosted members.
pub(crate) async fn mount_source(core: &Core, route: &GroupRoute) -> Result<Option<HostedRoute>, PullError> {
    let choice = route.repo.choose(&route.name);
    let keeper = match (&choice.members[..], route.repo.spec().names) {
        ([only], _) => Some(*only),
        (_, NameKeeping::Kept) => core.groups.keeper(route, &choice.members).await?.map(|(index, _)| index),
        (members, NameKeeping::Merged) => route.repo.spec().push_to.filter(|index| members.contains(index)),
    };
    Ok(keeper.and_then(|index| match &route.repo.members()[index] {
        Member::Hosted(repo) => Some(route.at_hosted(repo)),
        Member::Proxy(_) | Member::Unusable(_) => None,
    }))
}

/// Lets the groups of a hosted repository know that tags of a name moved or went there. Who keeps the name stays.
pub(crate) fn tags_moved(core: &Core, repo: &RepoKey, name: &RepositoryName) {
    let map = core.map();
    for group in map.groups().iter().filter(|group| group.position(repo).is_some()) {
        core.groups.forget(&GroupRoute { repo: Arc::clone(group), name: name.clone(), trace: None });
    }
}

/// Lets the groups of a hosted repository know that a name was pushed to it, so that they serve it from now on.
pub(crate) async fn pushed(core: &Core, pushed: &HostedRoute) {
    let map = core.map().clone();
    let key = &pushed.repo.spec().key;
    for group in map.groups().iter().filter(|group| group.position(key).is_some()) {
        let route = GroupRoute { repo: Arc::clone(group), name: pushed.name.clone(), trace: None };
        core.groups.forget(&route);
        if group.spec().names == NameKeeping::Merged {
            continue;
        }
        let choice = group.choose(&route.name);
        if choice.members.len() < 2 {
            continue;
        }
        if let Err(error) = core.groups.keeper(&route, &choice.members).await {
            tracing::error!(repo_key = %group.key(), name = %route.name, %error, "who keeps a name that was pushed could not be recorded; the next pull does it");
        }
    }
}
