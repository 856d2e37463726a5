//! One upstream of a repository, the client that talks to it, and what is measured of it.
//!
//! Must not know of the other upstreams. Invariant: immutable but for what is measured.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use client::{
    ClientError, ExchangeObserver, HttpVersion, Limiter, OwnLimits, RegistryClient, Timeouts, UpstreamConfig,
    Verification,
};
use oci::RepositoryName;
use url::Url;

use super::health::Health;
use super::measure::Measured;
use crate::repositories::{UpstreamDefaults, UpstreamSpec};

/// Time to the first response header that all upstreams of a repository share, a little left over for us.
const ALL_SHARES: Duration = Duration::from_secs(18);

/// What an upstream is to its repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Tags, access and "not found" are its own.
    Named,
    /// It holds the same content.
    Mirror,
}

impl Role {
    /// The word in API answers.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Named => "named",
            Self::Mirror => "mirror",
        }
    }
}

/// What the upstreams of one repository have to share.
pub(super) struct Share {
    /// How many they are.
    pub(super) of: usize,
    /// The repository's own limits, which hold for all of them together.
    pub(super) limits: Limiter,
}

impl Share {
    /// A client waits 20 s for the first header: an upstream that is silent must leave time to ask the others. All
    /// attempts of one call get a third more than `first_byte`.
    fn timeouts(&self, configured: &Timeouts) -> Timeouts {
        if self.of < 2 {
            return configured.clone();
        }
        let parts = u32::try_from(self.of).unwrap_or(u32::MAX);
        let first_byte = configured.first_byte.min(ALL_SHARES / parts * 3 / 4);
        Timeouts { first_byte, connect: configured.connect.min(first_byte), ..configured.clone() }
    }

    /// How the client of one upstream is set up.
    pub(super) fn config(&self, spec: &UpstreamSpec, defaults: &UpstreamDefaults) -> UpstreamConfig {
        UpstreamConfig {
            credentials: spec.credentials.clone(),
            token_hosts: spec.token_hosts.clone(),
            profile: Some(spec.profile),
            reach: spec.reach,
            network: spec.network.network(defaults),
            timeouts: self.timeouts(&spec.network.timeouts(defaults)),
            http: spec.network.http.unwrap_or(HttpVersion::Auto),
            max_attempts: defaults.max_attempts,
            backoff: defaults.backoff,
            hedging: defaults.hedging,
            climate: defaults.climate.clone(),
            limits: self.limits.clone(),
            host_limits: defaults.host_limits.limiter(&spec.url),
            ..UpstreamConfig::new(spec.url.clone())
        }
    }
}

/// The named upstream or a mirror.
#[derive(Debug)]
pub(crate) struct Upstream {
    index: usize,
    client: RegistryClient,
    address: Arc<str>,
    library_prefix: bool,
    measured: Mutex<Measured>,
    pub(super) health: Health,
    host_limits: Option<OwnLimits>,
}

impl Upstream {
    /// Sets up the client. No network access.
    pub(super) fn build(
        index: usize,
        spec: &UpstreamSpec,
        defaults: &UpstreamDefaults,
        share: &Share,
        observer: Arc<dyn ExchangeObserver>,
    ) -> Result<Self, String> {
        let config = share.config(spec, defaults);
        if spec.network.verification == Verification::Skipped {
            tracing::warn!(
                upstream = %spec.url,
                "TLS IS NOT VERIFIED for this upstream (skip_tls_verify): whoever is on the way can read the credential \
                 and change what is pulled by tag; give its authority as network.ca instead"
            );
        }
        Ok(Self {
            index,
            client: RegistryClient::new(config, observer).map_err(|e| e.to_string())?,
            address: Arc::from(spec.url.as_str().trim_end_matches('/')),
            library_prefix: spec.library_prefix,
            measured: Mutex::default(),
            health: Health::default(),
            host_limits: defaults.host_limits.limits(&spec.url),
        })
    }

    /// Its place in the repository's list.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// The named one or a mirror.
    pub(crate) fn role(&self) -> Role {
        if self.index == 0 { Role::Named } else { Role::Mirror }
    }

    /// The client.
    pub(crate) fn client(&self) -> &RegistryClient {
        &self.client
    }

    /// Its address for logs and errors, without credentials.
    pub(crate) fn address(&self) -> &Arc<str> {
        &self.address
    }

    /// What the health checks found.
    pub(crate) fn health(&self) -> &Health {
        &self.health
    }

    /// Whether a question put now is likely to be answered: its last health check was, its breaker lets it through and the
    /// host has not asked us to stay away.
    pub(super) fn is_usable(&self) -> bool {
        self.health.is_good() && self.client.weather().lets_pass()
    }

    /// Whether its host lets this account pull only a little more.
    pub(super) fn is_low(&self) -> bool {
        self.client.weather().rate_limit.is_some_and(|limit| limit.is_low)
    }

    /// Our own limits at its host.
    pub(crate) fn host_limits(&self) -> Option<OwnLimits> {
        self.host_limits
    }

    /// Expected seconds to a good answer.
    pub(super) fn cost(&self) -> f64 {
        self.measured().cost(Instant::now())
    }

    /// Average time to an answer, and average share of failures.
    pub(crate) fn latency_and_error_rate(&self) -> (Option<Duration>, f64) {
        let measured = *self.measured();
        (measured.latency(), measured.error_rate())
    }

    /// Asks, and notes how long the answer took and whether it was one.
    pub(crate) async fn timed<T>(&self, asked: impl Future<Output = Result<T, ClientError>>) -> Result<T, ClientError> {
        let since = Instant::now();
        let answer = asked.await;
        // "Not found" is an answer as good as any.
        let good = !answer.as_ref().is_err_and(super::ask::is_its_fault);
        self.measured().note(since.elapsed(), good, Instant::now());
        answer
    }

    fn measured(&self) -> MutexGuard<'_, Measured> {
        self.measured.lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_shares_together_fit_before_a_client_gives_up() {
        let configured = Timeouts::default();
        let share = |of| Share { of, limits: Limiter::default() };
        let alone = share(1).timeouts(&configured);
        assert_eq!(alone, configured);
        for of in 2..=8 {
            let share = share(of).timeouts(&configured);
            let all_attempts = share.first_byte + share.first_byte / 3;
            assert!(all_attempts * u32::try_from(of).unwrap() < Duration::from_secs(20), "{of}");
            assert!(share.connect <= share.first_byte);
        }
    }
}
