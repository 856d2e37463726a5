//! Where a request goes, to a repository of any kind.
//!
//! Must not know HTTP requests. Invariant: `ns` never leads to a hosted repository or a group: it names an upstream, and
//! these have none.

use std::net::SocketAddr;
use std::sync::Arc;

use oci::{RegistryHost, RepositoryName};

use super::repository::{HostedRepository, HostedRoute};
use crate::counters::Counters;
use crate::groups::GroupRoute;
use crate::repositories::{Addressed, Addresses, Route};

/// Where a request goes.
#[derive(Clone, Debug)]
pub enum Place {
    /// To a repository that pulls from upstreams.
    Proxy(Route),
    /// To one that was pushed to.
    Hosted(HostedRoute),
    /// To a group, which finds the member that answers.
    Group(GroupRoute),
}

/// The same, borrowed: what the verbs of reading take.
#[derive(Clone, Copy, Debug)]
pub enum At<'a> {
    /// A repository that pulls from upstreams.
    Proxy(&'a Route),
    /// One that was pushed to.
    Hosted(&'a HostedRoute),
    /// A group.
    Group(&'a GroupRoute),
}

impl<'a> From<&'a Place> for At<'a> {
    fn from(place: &'a Place) -> Self {
        match place {
            Place::Proxy(route) => Self::Proxy(route),
            Place::Hosted(route) => Self::Hosted(route),
            Place::Group(route) => Self::Group(route),
        }
    }
}

impl<'a> From<&'a Route> for At<'a> {
    fn from(route: &'a Route) -> Self {
        Self::Proxy(route)
    }
}

impl<'a> From<&'a HostedRoute> for At<'a> {
    fn from(route: &'a HostedRoute) -> Self {
        Self::Hosted(route)
    }
}

impl Place {
    /// The repository's key.
    pub fn repo_key(&self) -> &Arc<str> {
        match self {
            Self::Proxy(route) => route.repo.key(),
            Self::Hosted(route) => route.repo.key(),
            Self::Group(route) => route.repo.key(),
        }
    }

    /// The address of its upstream, if it has one.
    pub fn upstream(&self) -> Option<&Arc<str>> {
        match self {
            Self::Proxy(route) => Some(route.repo.upstream()),
            Self::Hosted(_) | Self::Group(_) => None,
        }
    }

    /// The name in it.
    pub fn name(&self) -> &RepositoryName {
        match self {
            Self::Proxy(route) => &route.name,
            Self::Hosted(route) => &route.name,
            Self::Group(route) => &route.name,
        }
    }

    /// The `ns` that scoped the request.
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::Proxy(route) => route.namespace.as_deref(),
            Self::Hosted(_) | Self::Group(_) => None,
        }
    }

    /// What is counted of the repository.
    pub fn counters(&self) -> &Arc<Counters> {
        match self {
            Self::Proxy(route) => route.repo.counters(),
            Self::Hosted(route) => route.repo.counters(),
            Self::Group(route) => route.repo.counters(),
        }
    }
}

/// The hosted repositories, indexed for routing.
pub(crate) type HostedMap = Addresses<HostedRepository>;

impl Addressed for HostedRepository {
    fn key(&self) -> &Arc<str> {
        self.key()
    }

    fn hosts(&self) -> &[RegistryHost] {
        &self.spec().hosts
    }

    fn listen(&self) -> &[SocketAddr] {
        &self.spec().listen
    }
}
