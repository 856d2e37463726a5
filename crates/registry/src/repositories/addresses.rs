//! Repositories of one kind, found by their listener, their host name or their key in the path.
//!
//! Must not know what the kinds do. Invariant: looking up is a pure function of one snapshot; a listener or host name of
//! one repository wins, then the key in the path.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use oci::{RegistryHost, RepositoryName};

use super::map::RouteQuery;
use crate::error::PullError;

/// A repository that requests can be addressed to.
pub(crate) trait Addressed {
    /// Its key.
    fn key(&self) -> &Arc<str>;
    /// Host names that address it alone.
    fn hosts(&self) -> &[RegistryHost];
    /// Listeners that address it alone.
    fn listen(&self) -> &[SocketAddr];
}

/// The repositories of one kind, indexed for routing.
#[derive(Debug)]
pub(crate) struct Addresses<T> {
    by_key: HashMap<String, Arc<T>>,
    by_host: HashMap<String, Arc<T>>,
    by_port: HashMap<u16, Arc<T>>,
    order: Vec<Arc<T>>,
}

impl<T> Default for Addresses<T> {
    fn default() -> Self {
        Self { by_key: HashMap::new(), by_host: HashMap::new(), by_port: HashMap::new(), order: Vec::new() }
    }
}

impl<T: Addressed> Addresses<T> {
    /// In the order of their keys as they stand before a name: `a-b/` comes before `a/`.
    pub(crate) fn new(mut repositories: Vec<Arc<T>>) -> Self {
        repositories.sort_by_key(|repo| format!("{}/", repo.key()));
        Self::in_order(repositories)
    }

    /// In this order: of several with one address, the first has it.
    pub(crate) fn in_order(repositories: Vec<Arc<T>>) -> Self {
        let mut map = Self::default();
        for repo in repositories {
            for host in repo.hosts() {
                map.by_host.entry(host.as_ref().to_owned()).or_insert_with(|| repo.clone());
            }
            for address in repo.listen() {
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

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        self.order.iter()
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Arc<T>> {
        self.by_key.get(key)
    }

    /// The repository that has the request's listener or host name for itself.
    pub(crate) fn dedicated(&self, query: &RouteQuery<'_>) -> Option<&Arc<T>> {
        if self.is_empty() {
            return None;
        }
        if let Some(repo) = query.local_port.and_then(|port| self.by_port.get(&port)) {
            return Some(repo);
        }
        if self.by_host.is_empty() {
            return None;
        }
        let host = query.host?.to_ascii_lowercase();
        self.by_host.get(&host).or_else(|| self.by_host.get(host.rsplit_once(':')?.0))
    }

    /// The repository that the request goes to, and what it asks there for. `taken`: another kind of repository has its
    /// listener or host name.
    pub(crate) fn find<'a>(&'a self, query: &RouteQuery<'a>, taken: bool) -> Option<(&'a Arc<T>, &'a str)> {
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

    /// The same with the name read; `None` when the request does not go to one of these.
    pub(crate) fn locate(
        &self,
        query: &RouteQuery<'_>,
        taken: bool,
    ) -> Result<Option<(&Arc<T>, RepositoryName)>, PullError> {
        let Some((repo, name)) = self.find(query, taken) else { return Ok(None) };
        if name.is_empty() {
            let key = repo.key();
            let message = format!("'{key}' is a repository; add the name of an image, as in {key}/<name>");
            return Err(PullError::NameUnknown(message.into()));
        }
        let name = name.parse().map_err(|e: oci::InvalidRepositoryName| PullError::NameInvalid(e.to_string().into()));
        // Found again, because the lifetime of what was found is the query's.
        Ok(self.by_key.get(&**repo.key()).zip(Some(name?)))
    }
}
