//! One live hosted repository, and the way a request takes to it.
//!
//! Must not know how requests reach it. Invariant: immutable once built; a change builds a new one, and requests under way
//! keep the old.

use std::sync::Arc;

use oci::{RepoKey, RepositoryName};

use super::spec::HostedSpec;
use crate::counters::Counters;
use crate::repositories::Source;

/// A repository that takes pushes.
#[derive(Debug)]
pub struct HostedRepository {
    spec: HostedSpec,
    source: Source,
    key: Arc<str>,
    counters: Arc<Counters>,
}

impl HostedRepository {
    pub(crate) fn new(spec: HostedSpec, source: Source, counters: Arc<Counters>) -> Self {
        Self { key: Arc::from(spec.key.as_ref()), spec, source, counters }
    }

    /// Its checked configuration.
    pub fn spec(&self) -> &HostedSpec {
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
}

/// Where a request to a hosted repository goes.
#[derive(Clone, Debug)]
pub struct HostedRoute {
    /// The repository.
    pub repo: Arc<HostedRepository>,
    /// The name in it.
    pub name: RepositoryName,
}

impl HostedRoute {
    /// The repository's key and the name, as rows have them.
    pub(super) fn place(&self) -> (&RepoKey, &RepositoryName) {
        (&self.repo.spec.key, &self.name)
    }
}
