//! One live group, and the way a request takes to it.
//!
//! Must not know what members hold. Invariant: immutable once built, from the repositories of the same snapshot; a member
//! that cannot be asked stays in its place: nobody behind it may stand in for it.

use std::net::SocketAddr;
use std::sync::Arc;

use oci::{RegistryHost, RepoKey, RepositoryName};

use super::error::GroupError;
use super::rules::Choice;
use super::spec::GroupSpec;
use crate::access::Admission;
use crate::counters::Counters;
use crate::hosted::{HostedRepository, HostedRoute, Place};
use crate::repositories::{Addressed, Repository, Route, Source};
use crate::trace::TraceParent;

/// A member of a group.
#[derive(Clone, Debug)]
pub(crate) enum Member {
    /// A cache.
    Proxy(Arc<Repository>),
    /// A place for pushes.
    Hosted(Arc<HostedRepository>),
    /// One that cannot be asked, and why.
    Unusable(Arc<str>),
}

/// A group.
#[derive(Debug)]
pub struct GroupRepository {
    spec: GroupSpec,
    source: Source,
    key: Arc<str>,
    members: Vec<Member>,
    counters: Arc<Counters>,
}

impl Addressed for GroupRepository {
    fn key(&self) -> &Arc<str> {
        &self.key
    }

    fn hosts(&self) -> &[RegistryHost] {
        &self.spec.hosts
    }

    fn listen(&self) -> &[SocketAddr] {
        &self.spec.listen
    }
}

impl GroupRepository {
    pub(crate) fn new(spec: GroupSpec, source: Source, members: Vec<Member>, counters: Arc<Counters>) -> Self {
        Self { key: Arc::from(spec.key.as_ref()), spec, source, members, counters }
    }

    /// Its checked configuration.
    pub fn spec(&self) -> &GroupSpec {
        &self.spec
    }

    /// Where its configuration stands.
    pub fn source(&self) -> Source {
        self.source
    }

    /// Its key.
    pub fn key(&self) -> &Arc<str> {
        &self.key
    }

    /// What is counted of it.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Its members, in their order.
    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }

    /// The key of a member.
    pub(crate) fn member_key(&self, index: usize) -> &RepoKey {
        &self.spec.members[index]
    }

    /// Where a member stands.
    pub(crate) fn position(&self, key: &RepoKey) -> Option<usize> {
        self.spec.members.iter().position(|member| member == key)
    }

    /// The hosted member that takes pushes.
    pub(crate) fn push_member(&self) -> Option<(usize, &Arc<HostedRepository>)> {
        let index = self.spec.push_to?;
        match &self.members[index] {
            Member::Hosted(repo) => Some((index, repo)),
            Member::Proxy(_) | Member::Unusable(_) => None,
        }
    }

    /// The repository that pushes go to.
    pub fn push_target(&self) -> Option<&Arc<HostedRepository>> {
        self.push_member().map(|(_, repo)| repo)
    }

    /// The members that may be asked for a name.
    pub(crate) fn choose(&self, name: &RepositoryName) -> Choice {
        self.spec.rules.choose_with_aliases(name.as_str(), |index| match &self.members[index] {
            Member::Proxy(repo) => Some(repo.canonical_name(name.clone()).to_string()),
            Member::Hosted(_) | Member::Unusable(_) => None,
        })
    }
}

/// Where a request to a group goes.
#[derive(Clone, Debug)]
pub struct GroupRoute {
    /// The group.
    pub repo: Arc<GroupRepository>,
    /// The name in it, as written.
    pub name: RepositoryName,
    /// The trace the request belongs to.
    pub trace: Option<TraceParent>,
}

impl GroupRoute {
    /// The same request to a member.
    pub(crate) fn at(&self, index: usize) -> Result<Place, GroupError> {
        match &self.repo.members[index] {
            Member::Proxy(repo) => Ok(Place::Proxy(self.at_proxy(repo))),
            Member::Hosted(repo) => Ok(Place::Hosted(self.at_hosted(repo))),
            Member::Unusable(why) => Err(GroupError::MemberUnusable {
                group: self.repo.key.clone(),
                member: Arc::from(self.repo.member_key(index).as_str()),
                why: why.clone(),
            }),
        }
    }

    pub(crate) fn at_proxy(&self, repo: &Arc<Repository>) -> Route {
        repo.sources().usage().touch();
        Route {
            name: repo.canonical_name(self.name.clone()),
            repo: repo.clone(),
            namespace: None,
            trace: self.trace,
            answered: None,
            // Members whose callers have rights of their own are not taken.
            admission: if repo.access().is_some() { Admission::Unchecked } else { Admission::Open },
        }
    }

    pub(crate) fn at_hosted(&self, repo: &Arc<HostedRepository>) -> HostedRoute {
        HostedRoute { repo: repo.clone(), name: self.name.clone() }
    }

    /// A member's key, for messages.
    pub(crate) fn member(&self, index: usize) -> Arc<str> {
        Arc::from(self.repo.member_key(index).as_str())
    }
}
