//! How one upstream is reached, with whose credential and how patiently.
//!
//! Must not know where the values come from (file, API, flags). Invariant: `Debug` shows no secret.

use std::time::Duration;

use oci::RegistryHost;
use url::Url;

use crate::credentials::CredentialStore;
use crate::egress::{Network, Reach};
use crate::profiles::{self, Profile};
use crate::weather::{Backoff, Climate, Hedging, Limiter};

/// Everything a client needs to know of its upstream.
#[derive(Clone, Debug)]
pub struct UpstreamConfig {
    /// Scheme, host, port and an optional path. The path is put before every repository name, as docker does with
    /// `host/docker-remote/<name>`. A path with a segment `v2` says itself where the API is:
    /// `https://host/api/docker/docker-remote/v2`. With `srv+` before the scheme the host is the name of a DNS service
    /// (`srv+https://_registry._tcp.corp.example`), whose targets are the upstream's servers.
    pub url: Url,
    /// Sent to this upstream (same scheme, host and port) and to its token hosts, nowhere else.
    pub credentials: CredentialStore,
    /// Hosts besides the upstream's own whose token server may be given the credential. Without a port, the scheme's
    /// own port is meant. Those of the upstream's own profile need not be listed.
    pub token_hosts: Vec<RegistryHost>,
    /// What is known of the registry, where its host does not tell. Chooses behaviour, never who gets the credential.
    pub profile: Option<&'static Profile>,
    /// Which addresses may be dialled.
    pub reach: Reach,
    /// Proxies, certificates, local address and name server.
    pub network: Network,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// Attempts for one call, the first included; 0 is taken as 1.
    pub max_attempts: u32,
    /// How long to pause between attempts.
    pub backoff: Backoff,
    /// Whether slow HEADs of manifests are put a second time.
    pub hedging: Hedging,
    /// What is known of hosts; clients that share it heed each other's circuit breakers and `Retry-After`.
    pub climate: Climate,
    /// Our own limits; clients that share it keep to them together.
    pub limits: Limiter,
    /// The same for the upstream's host, whoever asks it.
    pub host_limits: Limiter,
    /// Which HTTP versions to speak.
    pub http: HttpVersion,
    /// The `User-Agent`.
    pub user_agent: String,
}

/// How long to wait for what. There is no limit on a whole blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a TCP connection with TLS.
    pub connect: Duration,
    /// From the start of a request to the head of its answer, a new connection included. All attempts of one call
    /// together get a third more than this.
    pub first_byte: Duration,
    /// Between two pieces of a body; also for the whole body of a manifest, tag list or token.
    pub idle: Duration,
}

/// Which HTTP versions to speak with an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersion {
    /// HTTP/2 where TLS negotiates it, else HTTP/1.1.
    Auto,
    /// HTTP/1.1 only: one TCP connection for each blob, which can be faster for large ones.
    Http1Only,
}

impl HttpVersion {
    /// The word in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Http1Only => "http1",
        }
    }
}

impl UpstreamConfig {
    /// Anonymous access to a public upstream, with the default timeouts and three attempts.
    pub fn new(url: Url) -> Self {
        Self {
            url,
            credentials: CredentialStore::anonymous(),
            token_hosts: Vec::new(),
            profile: None,
            reach: Reach::PublicOnly,
            network: Network::default(),
            timeouts: Timeouts::default(),
            max_attempts: 3,
            backoff: Backoff::default(),
            hedging: Hedging::default(),
            climate: Climate::default(),
            limits: Limiter::default(),
            host_limits: Limiter::default(),
            http: HttpVersion::Auto,
            user_agent: concat!("transship/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }

    /// The profile that holds: the chosen one, else that of the host.
    pub fn effective_profile(&self) -> &'static Profile {
        self.profile.unwrap_or_else(|| profiles::of_url(&self.url))
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), first_byte: Duration::from_secs(15), idle: Duration::from_secs(30) }
    }
}
