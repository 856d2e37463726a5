//! One upstream of a repository and the client that talks to it.
//!
//! Must not know of the other upstreams. Invariant: immutable but for what is measured.

use std::sync::Arc;

use client::{ExchangeObserver, HttpVersion, RegistryClient, UpstreamConfig, Verification};
use oci::RepositoryName;
use url::Url;

use crate::repositories::{UpstreamDefaults, UpstreamSpec};

/// The named upstream or a mirror.
#[derive(Debug)]
pub(crate) struct Upstream {
    client: RegistryClient,
    address: Arc<str>,
    library_prefix: bool,
}

impl Upstream {
    /// Sets up the client. No network access.
    pub(super) fn build(
        spec: &UpstreamSpec,
        defaults: &UpstreamDefaults,
        observer: Arc<dyn ExchangeObserver>,
    ) -> Result<Self, String> {
        let config = UpstreamConfig {
            credentials: spec.credentials.clone(),
            token_hosts: spec.token_hosts.clone(),
            profile: Some(spec.profile),
            reach: spec.reach,
            network: spec.network.network(defaults),
            timeouts: spec.network.timeouts(defaults),
            http: spec.network.http.unwrap_or(HttpVersion::Auto),
            max_attempts: defaults.max_attempts,
            backoff: defaults.backoff,
            hedging: defaults.hedging,
            climate: defaults.climate.clone(),
            ..UpstreamConfig::new(spec.url.clone())
        };
        if spec.network.verification == Verification::Skipped {
            tracing::warn!(
                upstream = %spec.url,
                "TLS IS NOT VERIFIED for this upstream (skip_tls_verify): whoever is on the way can read the credential \
                 and change what is pulled by tag; give its authority as network.ca instead"
            );
        }
        Ok(Self {
            client: RegistryClient::new(config, observer).map_err(|e| e.to_string())?,
            address: Arc::from(spec.url.as_str().trim_end_matches('/')),
            library_prefix: spec.library_prefix,
        })
    }

    /// The client.
    pub(crate) fn client(&self) -> &RegistryClient {
        &self.client
    }

    /// Its address for logs and errors, without credentials.
    pub(crate) fn address(&self) -> &Arc<str> {
        &self.address
    }

    /// Puts Docker Hub's `library/` before a name of one segment, where that rule holds.
    pub(crate) fn canonical_name(&self, name: RepositoryName) -> RepositoryName {
        if !self.library_prefix || name.as_ref().contains('/') {
            return name;
        }
        format!("library/{name}").parse().unwrap_or(name)
    }
}

/// `host` or `host:port` of a URL, as names of images have it.
pub(crate) fn host_of(url: &Url) -> String {
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (host, _) => host.unwrap_or_default().to_owned(),
    }
}
