//! Where a request goes, to a repository of any kind; and which hosted one it is.
//!
//! Must not know HTTP requests. Invariants: routing never does I/O and is a pure function of one snapshot; a listener or
//! host name of one repository wins, then the key in the path. `ns` never leads to a hosted repository: it names an
//! upstream, and a hosted one has none.

use std::collections::HashMap;
use std::sync::Arc;

use oci::RepositoryName;

use super::repository::{HostedRepository, HostedRoute};
use crate::counters::Counters;
use crate::error::PullError;
use crate::repositories::{Route, RouteQuery};

/// Where a request goes.
#[derive(Clone, Debug)]
pub enum Place {
    /// To a repository that pulls from upstreams.
    Proxy(Route),
    /// To one that was pushed to.
    Hosted(HostedRoute),
}

/// The same, borrowed: what the verbs of reading take.
#[derive(Clone, Copy, Debug)]
pub enum At<'a> {
    /// A repository that pulls from upstreams.
    Proxy(&'a Route),
    /// One that was pushed to.
    Hosted(&'a HostedRoute),
}

impl<'a> From<&'a Place> for At<'a> {
    fn from(place: &'a Place) -> Self {
        match place {
            Place::Proxy(route) => Self::Proxy(route),
            Place::Hosted(route) => Self::Hosted(route),
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
        }
    }

    /// The address of its upstream, if it has one.
    pub fn upstream(&self) -> Option<&Arc<str>> {
        match self {
            Self::Proxy(route) => Some(route.repo.upstream()),
            Self::Hosted(_) => None,
        }
    }

    /// The name in it.
    pub fn name(&self) -> &RepositoryName {
        match self {
            Self::Proxy(route) => &route.name,
            Self::Hosted(route) => &route.name,
        }
    }

    /// The `ns` that scoped the request.
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::Proxy(route) => route.namespace.as_deref(),
            Self::Hosted(_) => None,
        }
    }

    /// What is counted of the repository.
    pub fn counters(&self) -> &Arc<Counters> {
        match self {
            Self::Proxy(route) => route.repo.counters(),
            Self::Hosted(route) => route.repo.counters(),
        }
    }
}

/// The hosted repositories, indexed for routing.
#[derive(Debug, Default)]
pub(crate) struct HostedMap {
    by_key: HashMap<String, Arc<HostedRepository>>,
    by_host: HashMap<String, Arc<HostedRepository>>,
    by_port: HashMap<u16, Arc<HostedRepository>>,
    /// In the order of their keys as they stand before a name: `a-b/` comes before `a/`.
    order: Vec<Arc<HostedRepository>>,
}

impl HostedMap {
    pub(crate) fn new(mut repositories: Vec<Arc<HostedRepository>>) -> Self {
        repositories.sort_by_key(|repo| format!("{}/", repo.key()));
        let mut map = Self::default();
        for repo in repositories {
            for host in &repo.spec().hosts {
                map.by_host.entry(host.as_ref().to_owned()).or_insert_with(|| repo.clone());
            }
            for address in &repo.spec().listen {
                map.by_port.entry(address.port()).or_insert_with(|| repo.clone());
            }
            map.by_key.insert(repo.key().to_string(), repo.clone());
            map.order.push(repo);
        }
        map
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<HostedRepository>> {
        self.order.iter()
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Arc<HostedRepository>> {
        self.by_key.get(key)
    }

    /// The repository that has the request's listener or host name for itself.
    pub(crate) fn dedicated(&self, query: &RouteQuery<'_>) -> Option<&Arc<HostedRepository>> {
        if let Some(repo) = query.local_port.and_then(|port| self.by_port.get(&port)) {
            return Some(repo);
        }
        if self.by_host.is_empty() {
            return None;
        }
        let host = query.host?.to_ascii_lowercase();
        self.by_host.get(&host).or_else(|| self.by_host.get(host.rsplit_once(':')?.0))
    }

    /// The key of the hosted repository that the request goes to, if it does. `taken`: another kind of repository has
    /// its listener or host name.
    pub(crate) fn claims<'a>(&'a self, query: &RouteQuery<'a>, taken: bool) -> Option<&'a str> {
        self.find(query, taken).map(|(repo, _)| &**repo.key())
    }

    fn find<'a>(&'a self, query: &RouteQuery<'a>, taken: bool) -> Option<(&'a Arc<HostedRepository>, &'a str)> {
        if self.is_empty() {
            return None;
        }
        if let Some(repo) = self.dedicated(query) {
            return Some((repo, query.path));
        }
        if taken {
            return None;
        }
        let (first, rest) = query.path.split_once('/').unwrap_or((query.path, ""));
        self.by_key.get(first).map(|repo| (repo, rest))
    }

    /// The way of a request to a hosted repository; `None` when it does not go to one.
    pub(crate) fn route(&self, query: &RouteQuery<'_>, taken: bool) -> Result<Option<HostedRoute>, PullError> {
        let Some((repo, name)) = self.find(query, taken) else { return Ok(None) };
        if name.is_empty() {
            let key = repo.key();
            let message = format!("'{key}' is a repository; add the name of an image, as in {key}/<name>");
            return Err(PullError::NameUnknown(message.into()));
        }
        let name =
            name.parse().map_err(|e: oci::InvalidRepositoryName| PullError::NameInvalid(e.to_string().into()))?;
        Ok(Some(HostedRoute { repo: repo.clone(), name }))
    }
}
