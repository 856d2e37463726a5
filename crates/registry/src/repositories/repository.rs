//! One live repository: its checked configuration and the client that talks to its upstream.
//!
//! Must not know how requests reach it. Invariant: immutable once built; a change builds a new one, and requests
//! under way keep the old.

use std::sync::Arc;

use client::{ClientError, ExchangeObserver, RegistryClient, Timeouts, UpstreamConfig};
use oci::RepositoryName;

use super::builtin;
use super::spec::RepositorySpec;
use crate::error::{PullError, Subject, from_client};

/// Where a repository's configuration stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Built into the program.
    Builtin,
    /// The configuration file.
    File,
    /// The API; kept in the metadata database.
    Api,
}

impl Source {
    /// The word in API answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Builtin => "builtin",
            Self::File => "file",
            Self::Api => "api",
        }
    }
}

/// How clients of all upstreams behave.
#[derive(Clone, Debug)]
pub struct UpstreamDefaults {
    /// Connect, first byte and idle limits.
    pub timeouts: Timeouts,
    /// Attempts for one exchange, the first included.
    pub max_attempts: u32,
}

/// A repository that can be pulled from.
#[derive(Debug)]
pub struct Repository {
    spec: RepositorySpec,
    source: Source,
    client: RegistryClient,
    key: Arc<str>,
    upstream: Arc<str>,
    hosts: Vec<String>,
}

impl Repository {
    /// Builds the repository and its client. No network access.
    pub(crate) fn build(
        spec: RepositorySpec,
        source: Source,
        defaults: &UpstreamDefaults,
        observer: Arc<dyn ExchangeObserver>,
    ) -> Result<Self, String> {
        let config = UpstreamConfig {
            credential: spec.credential.clone(),
            token_hosts: spec.token_hosts.clone(),
            reach: spec.reach,
            timeouts: defaults.timeouts.clone(),
            max_attempts: defaults.max_attempts,
            ..UpstreamConfig::new(spec.upstream.clone())
        };
        let host = match (spec.upstream.host_str(), spec.upstream.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (host, _) => host.unwrap_or_default().to_owned(),
        };
        let mut hosts: Vec<String> = builtin::aliases_of(&host).iter().map(|h| (*h).to_owned()).collect();
        if hosts.is_empty() {
            hosts.push(host);
        }
        Ok(Self {
            client: RegistryClient::new(config, observer).map_err(|e| e.to_string())?,
            key: Arc::from(spec.key.as_ref()),
            upstream: Arc::from(spec.upstream.as_str().trim_end_matches('/')),
            hosts,
            spec,
            source,
        })
    }

    /// Its checked configuration.
    pub fn spec(&self) -> &RepositorySpec {
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

    /// Its upstream's address for logs and errors, without credentials.
    pub fn upstream(&self) -> &Arc<str> {
        &self.upstream
    }

    /// The client of its upstream.
    pub(crate) fn client(&self) -> &RegistryClient {
        &self.client
    }

    /// Every host name of its upstream.
    pub(crate) fn upstream_hosts(&self) -> &[String] {
        &self.hosts
    }

    /// Whether `host` names this repository's upstream.
    pub(crate) fn is_upstream_host(&self, host: &str) -> bool {
        self.hosts.iter().any(|h| h == host)
    }

    /// Whether both repositories pull from the same place with the same rights.
    pub(crate) fn same_content_as(&self, other: &RepositorySpec) -> bool {
        self.spec.upstream == other.upstream && self.spec.document.get("auth") == other.document.get("auth")
    }

    /// Whether `tag` never moves here.
    pub(crate) fn is_immutable(&self, tag: &oci::Tag) -> bool {
        self.spec.immutable_tags.iter().any(|pattern| pattern.matches(tag.as_ref()))
    }

    /// Puts Docker Hub's `library/` before a name of one segment, where that rule holds.
    pub(crate) fn canonical_name(&self, name: RepositoryName) -> RepositoryName {
        if !self.spec.library_prefix || name.as_ref().contains('/') {
            return name;
        }
        format!("library/{name}").parse().unwrap_or(name)
    }

    /// Turns a client error about `subject` into ours.
    pub(crate) fn error(&self, subject: &Subject, error: &ClientError) -> PullError {
        from_client(&self.key, &self.upstream, subject, error)
    }
}
