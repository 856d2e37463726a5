//! Which repository answers a request: by listener, host name, `ns`, path key or upstream host in the path.
//!
//! Must not know HTTP requests, only the four facts in [`RouteQuery`]. Invariant: routing never does I/O and is a
//! pure function of one snapshot.
//!
//! Order: a listener or host name of one repository wins (with an `ns` that names another known upstream going
//! there); then a path whose first segment is a key, unless `ns` names the upstream of another repository; then
//! `ns`; then an upstream host as first segment.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use client::{ClientError, RegistryClient};
use oci::{Reference, RegistryHost, RepoKey, RepositoryName};

use super::addresses::{Addressed, Addresses};
use super::configured::AnyRepository;
use super::repository::{Repository, Source};
use crate::access::{Admission, Principal, Right};
use crate::error::{PullError, Subject};
use crate::groups::{GroupRepository, GroupRoute};
use crate::hosted::{HostedMap, HostedRepository, HostedRoute, Place};
use crate::pull::ManifestAnswer;
use crate::trace::TraceParent;

/// What a request says about where it wants to go.
#[derive(Clone, Copy, Debug)]
pub struct RouteQuery<'a> {
    /// The `<name>` part of the path after `/v2/`.
    pub path: &'a str,
    /// The `ns` query parameter (distribution spec, "Registry Proxying").
    pub ns: Option<&'a str>,
    /// The request's host: `Host` header or `:authority`.
    pub host: Option<&'a str>,
    /// The port of the listener the request came in on.
    pub local_port: Option<u16>,
}

/// Where a request goes.
#[derive(Clone, Debug)]
pub struct Route {
    /// The repository that answers.
    pub repo: Arc<Repository>,
    /// The name at its upstream, `library/` included where the upstream wants it.
    pub name: RepositoryName,
    /// The `ns` that scoped the request, to be echoed as `OCI-Namespace`.
    pub namespace: Option<String>,
    /// The trace this pull belongs to, for the requests it sends upstream.
    pub trace: Option<TraceParent>,
    /// Whether, and as whom, the pull may go on.
    pub(crate) admission: Admission,
    /// The answer that was had on the way here, by a group that looked for who has it.
    pub(crate) answered: Option<Arc<(Reference, ManifestAnswer)>>,
}

impl Route {
    /// Whose rights this pull uses, for logs.
    pub fn principal(&self) -> Principal {
        self.admission.principal()
    }

    /// The client to ask upstream with: the repository's own, or the caller's.
    pub(crate) fn client(&self) -> &RegistryClient {
        self.admission.client(self.repo.client())
    }

    /// Turns a client error about `subject` into ours. A refusal ends the caller's grant.
    pub(crate) fn error(&self, subject: &Subject, error: &ClientError) -> PullError {
        self.admission.judge(&self.name, self.repo.error(subject, error))
    }

    /// Refuses a route that nobody has authorised for `right`.
    pub(crate) fn admitted(&self, right: Right) -> Result<(), PullError> {
        if self.admission.covers(right) {
            return Ok(());
        }
        Err(PullError::unauthorized(self.repo.key(), self.repo.upstream()))
    }
}

/// A repository and what it was asked for, as written.
pub(crate) struct Found<'a> {
    pub(crate) repo: &'a Arc<Repository>,
    pub(crate) name: &'a str,
    pub(crate) ns: Option<&'a str>,
}

impl Found<'_> {
    fn route(self) -> Result<Route, PullError> {
        let Self { repo, name, ns } = self;
        let name: RepositoryName =
            name.parse().map_err(|e: oci::InvalidRepositoryName| PullError::NameInvalid(e.to_string().into()))?;
        Ok(Route {
            name: repo.canonical_name(name),
            repo: repo.clone(),
            namespace: ns.map(str::to_owned),
            trace: None,
            answered: None,
            admission: if repo.access().is_some() { Admission::Unchecked } else { Admission::Open },
        })
    }
}

/// All repositories, indexed for routing.
#[derive(Debug, Default)]
pub(crate) struct RepositoryMap {
    hosted: HostedMap,
    groups: Addresses<GroupRepository>,
    proxies: Addresses<Repository>,
    by_upstream: HashMap<String, Arc<Repository>>,
}

impl RepositoryMap {
    /// Indexes `repositories`. Of several with one upstream, those an operator wrote win over built-in ones.
    pub(crate) fn new(
        mut repositories: Vec<Arc<Repository>>,
        hosted: Vec<Arc<HostedRepository>>,
        groups: Vec<Arc<GroupRepository>>,
    ) -> Self {
        repositories.sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.key().cmp(b.key())));
        let mut by_upstream = HashMap::new();
        for repo in &repositories {
            for host in repo.upstream_hosts() {
                by_upstream.entry(host.clone()).or_insert_with(|| repo.clone());
            }
        }
        Self {
            hosted: HostedMap::new(hosted),
            groups: Addresses::new(groups),
            proxies: Addresses::in_order(repositories),
            by_upstream,
        }
    }

    /// The repositories that take pushes.
    pub(crate) fn hosted(&self) -> &HostedMap {
        &self.hosted
    }

    /// The groups.
    pub(crate) fn groups(&self) -> &Addresses<GroupRepository> {
        &self.groups
    }

    /// Every repository of every kind.
    pub(crate) fn all(&self) -> impl Iterator<Item = AnyRepository> {
        let groups = self.groups.iter().cloned().map(AnyRepository::Group);
        let hosted = self.hosted.iter().cloned().map(AnyRepository::Hosted);
        groups.chain(hosted).chain(self.proxies.iter().cloned().map(AnyRepository::Proxy))
    }

    /// The repository with `key`, whatever kind it is.
    pub(crate) fn any(&self, key: &str) -> Option<AnyRepository> {
        let hosted = self.hosted.get(key).cloned().map(AnyRepository::Hosted);
        let group = || self.groups.get(key).cloned().map(AnyRepository::Group);
        hosted.or_else(group).or_else(|| self.get(key).cloned().map(AnyRepository::Proxy))
    }

    /// Where a request goes, to a repository of any kind.
    pub(crate) fn locate(&self, query: &RouteQuery<'_>) -> Result<Place, PullError> {
        let taken = self.dedicated(query).is_some();
        if let Some(route) = self.locate_group(query)? {
            return Ok(Place::Group(route));
        }
        let hosted = self.hosted.locate(query, taken || self.groups.dedicated(query).is_some())?;
        match hosted {
            Some((repo, name)) => Ok(Place::Hosted(HostedRoute { repo: repo.clone(), name })),
            None => self.route(query).map(Place::Proxy),
        }
    }

    /// The group that a request goes to, if it does.
    pub(crate) fn locate_group(&self, query: &RouteQuery<'_>) -> Result<Option<GroupRoute>, PullError> {
        let taken = || self.dedicated(query).is_some() || self.hosted.dedicated(query).is_some();
        if self.groups.is_empty() {
            return Ok(None);
        }
        let found = self.groups.locate(query, taken())?;
        Ok(found.map(|(repo, name)| GroupRoute { repo: repo.clone(), name, trace: None }))
    }

    /// Whether a repository of another kind than those that pull has the address of the request.
    pub(crate) fn is_elsewhere(&self, query: &RouteQuery<'_>) -> Option<(&'static str, String)> {
        if self.hosted.is_empty() && self.groups.is_empty() {
            return None;
        }
        let taken = self.dedicated(query).is_some();
        let hosted = self.hosted.find(query, taken).map(|(repo, _)| ("hosted repository", repo.key().to_string()));
        hosted.or_else(|| self.groups.find(query, taken).map(|(repo, _)| ("group", repo.key().to_string())))
    }

    /// Every repository that pulls: written ones first, then built-in ones.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Repository>> {
        self.proxies.iter()
    }

    /// The repository that pulls with `key`.
    pub(crate) fn get(&self, key: &str) -> Option<&Arc<Repository>> {
        self.proxies.get(key)
    }

    /// Whether a repository has the upstream `host`.
    pub(crate) fn has_upstream(&self, host: &str) -> bool {
        self.by_upstream.contains_key(host)
    }

    /// Finds the repository and the upstream name for a request.
    pub(crate) fn route(&self, query: &RouteQuery<'_>) -> Result<Route, PullError> {
        self.find(query)?.route()
    }

    /// Finds the repository for a request; the name is as written.
    pub(crate) fn find<'a>(&'a self, query: &RouteQuery<'a>) -> Result<Found<'a>, PullError> {
        if let Some((kind, key)) = self.is_elsewhere(query) {
            return Err(PullError::Unsupported(format!("'{key}' is a {kind}, which pulls from nowhere itself").into()));
        }
        let by_ns = query.ns.and_then(|ns| self.by_upstream.get(ns));
        if let Some(dedicated) = self.dedicated(query) {
            let repo = by_ns.unwrap_or(dedicated);
            return Ok(Found { repo, name: query.path, ns: query.ns.filter(|ns| repo.is_upstream_host(ns)) });
        }
        let (first, rest) = query.path.split_once('/').unwrap_or((query.path, ""));
        if let Some(repo) = self.proxies.get(first) {
            let other = by_ns
                .filter(|other| !Arc::ptr_eq(other, repo) && !query.ns.is_some_and(|ns| repo.is_upstream_host(ns)));
            return match other {
                Some(repo) => Ok(Found { repo, name: query.path, ns: query.ns }),
                None if rest.is_empty() => Err(no_name(first)),
                None => Ok(Found { repo, name: rest, ns: query.ns.filter(|ns| repo.is_upstream_host(ns)) }),
            };
        }
        if let Some(repo) = by_ns {
            return Ok(Found { repo, name: query.path, ns: query.ns });
        }
        match self.by_upstream.get(first) {
            Some(_) if rest.is_empty() => Err(no_name(first)),
            Some(repo) => Ok(Found { repo, name: rest, ns: None }),
            None => Err(self.unknown(first, query)),
        }
    }

    /// The repository that has the request's listener or host name for itself.
    pub(crate) fn dedicated(&self, query: &RouteQuery<'_>) -> Option<&Arc<Repository>> {
        self.proxies.dedicated(query)
    }

    fn unknown(&self, first: &str, query: &RouteQuery<'_>) -> PullError {
        let grammatical = first.parse::<RepoKey>().is_ok()
            || first.parse::<RegistryHost>().is_ok()
            || query.path.parse::<RepositoryName>().is_ok();
        if !grammatical {
            return PullError::NameInvalid(format!("'{}' is not a repository name", query.path).into());
        }
        let pushed = self.groups.iter().map(|repo| &**repo.key()).chain(self.hosted.iter().map(|repo| &**repo.key()));
        let keys = pushed.chain(self.proxies.iter().map(|r| &**r.key())).collect::<Vec<_>>().join(", ");
        let why = match query.ns {
            Some(ns) => format!("no repository has the upstream '{ns}', and '{first}' is not a repository key"),
            None => format!("no repository has the key or upstream '{first}'"),
        };
        PullError::NameUnknown(format!("{why}; address images as <key>/<name> with one of the keys {keys}").into())
    }
}

impl Addressed for Repository {
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

fn rank(repo: &Repository) -> u8 {
    match repo.source() {
        Source::File => 0,
        Source::Api => 1,
        Source::Builtin => 2,
    }
}

fn no_name(first: &str) -> PullError {
    PullError::NameUnknown(format!("'{first}' is a repository; add the name of an image, as in {first}/<name>").into())
}
