//! A configured repository of any kind.
//!
//! Must not know what the kinds do. Invariant: what all kinds have in common is asked for here; whoever needs more
//! matches.

use std::net::SocketAddr;
use std::sync::Arc;

use oci::{RegistryHost, RepoKey};
use serde_json::Value;

use super::document;
use super::repository::{Repository, Source};
use super::{FieldProblem, Provenance, RepositorySpec};
use crate::groups::{GroupRepository, GroupSpec};
use crate::hosted::{HostedRepository, HostedSpec};

/// One repository, resolved and checked.
#[derive(Clone, Debug)]
pub enum ConfiguredRepository {
    /// A cache in front of an upstream.
    Proxy(Box<RepositorySpec>),
    /// A place for pushes.
    Hosted(Box<HostedSpec>),
    /// Several behind one key.
    Group(Box<GroupSpec>),
}

impl From<RepositorySpec> for ConfiguredRepository {
    fn from(spec: RepositorySpec) -> Self {
        Self::Proxy(Box::new(spec))
    }
}

impl ConfiguredRepository {
    /// Reads and checks a repository document of any kind.
    ///
    /// # Errors
    /// Every problem found, each with the path of its field.
    pub fn from_document(key: RepoKey, document: &Value, provenance: Provenance) -> Result<Self, Vec<FieldProblem>> {
        if document::is_hosted(document) {
            return document::read_hosted(key, document, provenance).map(|spec| Self::Hosted(Box::new(spec)));
        }
        if document::is_group(document) {
            return document::read_group(key, document, provenance).map(|spec| Self::Group(Box::new(spec)));
        }
        RepositorySpec::from_document(key, document, provenance).map(Self::from)
    }

    /// Its key.
    pub fn key(&self) -> &RepoKey {
        match self {
            Self::Proxy(spec) => &spec.key,
            Self::Hosted(spec) => &spec.key,
            Self::Group(spec) => &spec.key,
        }
    }

    /// The document as written.
    pub(crate) fn document(&self) -> &Value {
        match self {
            Self::Proxy(spec) => &spec.document,
            Self::Hosted(spec) => &spec.document,
            Self::Group(spec) => &spec.document,
        }
    }

    /// The repositories whose pushes are promoted to it.
    pub fn takes_from(&self) -> Vec<&RepoKey> {
        match self {
            Self::Proxy(_) | Self::Group(_) => Vec::new(),
            Self::Hosted(spec) => spec.takes_from().collect(),
        }
    }

    /// Host names that address it alone.
    pub fn hosts(&self) -> &[RegistryHost] {
        match self {
            Self::Proxy(spec) => &spec.hosts,
            Self::Hosted(spec) => &spec.hosts,
            Self::Group(spec) => &spec.hosts,
        }
    }

    /// Listeners that address it alone.
    pub fn listen(&self) -> &[SocketAddr] {
        match self {
            Self::Proxy(spec) => &spec.listen,
            Self::Hosted(spec) => &spec.listen,
            Self::Group(spec) => &spec.listen,
        }
    }
}

/// A live repository of any kind.
#[derive(Clone, Debug)]
pub(crate) enum AnyRepository {
    Proxy(Arc<Repository>),
    Hosted(Arc<HostedRepository>),
    Group(Arc<GroupRepository>),
}

impl AnyRepository {
    pub(crate) fn key(&self) -> &RepoKey {
        match self {
            Self::Proxy(repo) => &repo.spec().key,
            Self::Hosted(repo) => &repo.spec().key,
            Self::Group(repo) => &repo.spec().key,
        }
    }

    pub(crate) fn source(&self) -> Source {
        match self {
            Self::Proxy(repo) => repo.source(),
            Self::Hosted(repo) => repo.source(),
            Self::Group(repo) => repo.source(),
        }
    }

    pub(crate) fn hosts(&self) -> &[RegistryHost] {
        match self {
            Self::Proxy(repo) => &repo.spec().hosts,
            Self::Hosted(repo) => &repo.spec().hosts,
            Self::Group(repo) => &repo.spec().hosts,
        }
    }

    pub(crate) fn listen(&self) -> &[SocketAddr] {
        match self {
            Self::Proxy(repo) => &repo.spec().listen,
            Self::Hosted(repo) => &repo.spec().listen,
            Self::Group(repo) => &repo.spec().listen,
        }
    }
}
