//! One live repository: its checked configuration and the upstreams it pulls from.
//!
//! Must not know how requests reach it. Invariant: immutable once built; a change builds a new one, and requests
//! under way keep the old.

use std::net::SocketAddr;
use std::sync::Arc;

use client::{Backoff, ClientError, Climate, ExchangeObserver, Hedging, HostLimits, Proxies, RegistryClient, Timeouts};
use oci::RepositoryName;

use super::builtin;
use super::spec::RepositorySpec;
use crate::access::Access;
use crate::counters::Counters;
use crate::error::{PullError, Subject, from_client};
use crate::metrics::Metrics;
use crate::sources::{Sources, host_of};

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

/// Whether the headers of upstream exchanges are kept and logged, redacted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeaderTrace {
    /// They are not; a few response headers are all the same.
    #[default]
    Off,
    /// They are.
    On,
}

/// How clients of all upstreams behave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamDefaults {
    /// Connect, first byte and idle limits.
    pub timeouts: Timeouts,
    /// Attempts for one exchange, the first included.
    pub max_attempts: u32,
    /// Proxies for upstreams that do not say their own.
    pub proxies: Proxies,
    /// The name server to ask instead of what the system uses.
    pub dns_server: Option<SocketAddr>,
    /// How long to pause between attempts.
    pub backoff: Backoff,
    /// Whether slow HEADs of manifests are put a second time.
    pub hedging: Hedging,
    /// What is known of hosts: one for the process.
    pub climate: Climate,
    /// Our own limits at hosts, whichever repository asks.
    pub host_limits: HostLimits,
    /// Whether the headers of exchanges are kept and logged.
    pub header_trace: HeaderTrace,
}

impl Default for UpstreamDefaults {
    fn default() -> Self {
        Self {
            timeouts: Timeouts::default(),
            max_attempts: 3,
            proxies: Proxies::default(),
            dns_server: None,
            backoff: Backoff::default(),
            hedging: Hedging::default(),
            climate: Climate::default(),
            host_limits: HostLimits::default(),
            header_trace: HeaderTrace::default(),
        }
    }
}

/// A repository that can be pulled from.
#[derive(Debug)]
pub struct Repository {
    spec: RepositorySpec,
    source: Source,
    sources: Sources,
    counters: Arc<Counters>,
    key: Arc<str>,
    hosts: Vec<String>,
    access: Option<Arc<Access>>,
    defaults: UpstreamDefaults,
}

impl Repository {
    /// Builds the repository and the clients of its upstreams. No network access.
    pub(crate) fn build(
        spec: RepositorySpec,
        source: Source,
        defaults: &UpstreamDefaults,
        observer: &Arc<dyn ExchangeObserver>,
        metrics: &Metrics,
    ) -> Result<Self, String> {
        let host = host_of(&spec.upstream.url);
        let mut hosts: Vec<String> = builtin::aliases_of(&host).iter().map(|h| (*h).to_owned()).collect();
        if hosts.is_empty() {
            hosts.push(host);
        }
        let sources = Sources::build(&spec, defaults, observer)?;
        let access = spec.passthrough.map(|rules| Access::new(rules, sources.named().address())).transpose()?;
        let access = access.map(Arc::new);
        let key: Arc<str> = Arc::from(spec.key.as_ref());
        let counters = Arc::new(Counters::new(key.clone(), metrics.clone()));
        Ok(Self { sources, counters, key, hosts, access, spec, source, defaults: defaults.clone() })
    }

    /// Its checked configuration.
    pub fn spec(&self) -> &RepositorySpec {
        &self.spec
    }

    /// Whether `spec` under `defaults` would be this very repository, the content of files it names included.
    pub(crate) fn is_as(&self, spec: &RepositorySpec, defaults: &UpstreamDefaults) -> bool {
        let networks = |spec: &RepositorySpec| {
            let all = std::iter::once(&spec.upstream).chain(&spec.mirrors);
            all.map(|upstream| upstream.network.clone()).collect::<Vec<_>>()
        };
        self.spec.document == spec.document && self.defaults == *defaults && networks(&self.spec) == networks(spec)
    }

    /// Where its configuration stands.
    pub fn source(&self) -> Source {
        self.source
    }

    /// Its key.
    pub fn key(&self) -> &Arc<str> {
        &self.key
    }

    /// Its named upstream's address for logs and errors, without credentials.
    pub fn upstream(&self) -> &Arc<str> {
        self.sources.named().address()
    }

    /// Whether callers pull with their own accounts at its upstream (`auth: passthrough`).
    pub fn is_passthrough(&self) -> bool {
        self.access.is_some()
    }

    /// What is remembered of its callers, when they pull with their own accounts.
    pub(crate) fn access(&self) -> Option<&Arc<Access>> {
        self.access.as_ref()
    }

    /// What is counted of it.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// The client of its named upstream.
    pub(crate) fn client(&self) -> &RegistryClient {
        self.sources.named().client()
    }

    /// Everybody it pulls from.
    pub(crate) fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Every host name of its named upstream. Mirrors have no say in where requests go.
    pub(crate) fn upstream_hosts(&self) -> &[String] {
        &self.hosts
    }

    /// Whether `host` names this repository's named upstream.
    pub(crate) fn is_upstream_host(&self, host: &str) -> bool {
        self.hosts.iter().any(|h| h == host)
    }

    /// Whether both repositories have the same named upstream with the same rights. Mirrors may come and go: what they
    /// brought was the named one's.
    pub(crate) fn same_content_as(&self, other: &RepositorySpec) -> bool {
        self.spec.upstream.url == other.upstream.url && named_auth(&self.spec.document) == named_auth(&other.document)
    }

    /// Whether `tag` never moves here.
    pub(crate) fn is_immutable(&self, tag: &oci::Tag) -> bool {
        self.spec.immutable_tags.iter().any(|pattern| pattern.matches(tag.as_ref()))
    }

    /// Whether a name of one segment gets Docker Hub's `library/` put before it.
    pub(crate) fn has_library_rule(&self) -> bool {
        self.spec.upstream.library_prefix
    }

    /// Puts Docker Hub's `library/` before a name of one segment, where that rule holds.
    pub(crate) fn canonical_name(&self, name: RepositoryName) -> RepositoryName {
        self.sources.named().canonical_name(name)
    }

    /// Turns a client error about `subject` into ours. An upstream that led somewhere we do not go is counted and logged
    /// apart: it may be an attack.
    pub(crate) fn error(&self, subject: &Subject, error: &ClientError) -> PullError {
        if let ClientError::Refused { upstream, what } = error {
            self.counters.refused(upstream);
            tracing::warn!(repo_key = %self.key, %upstream, %what, "an upstream leads somewhere that is refused; nothing was sent there");
        }
        from_client(&self.key, self.upstream(), subject, error)
    }
}

/// The named upstream's `auth` as written: beside `upstreams`, or in the first of them.
fn named_auth(document: &serde_json::Value) -> Option<&serde_json::Value> {
    document
        .get("auth")
        .or_else(|| document.pointer("/upstreams/0/auth"))
        .or_else(|| document.pointer("/upstreams/auth"))
}
