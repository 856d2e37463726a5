//! The registry of an image, or a mirror of it, ready to be asked.
//!
//! Must not know images' content. Invariants: a credential given on the command line goes to the registry alone,
//! one of the configuration to the host it stands at, and none anywhere else; plain HTTP is spoken with loopback addresses and where it was asked for.

mod credentials;

use std::net::IpAddr;
use std::sync::Arc;

use client::{
    Backoff, ClientError, Limiter, ManifestFetch, Network, Reach, RegistryClient, UpstreamConfig, Verification,
    profiles,
};
use oci::{Reference, RegistryHost, RepositoryName};
use url::Url;

use crate::cache::Cache;
use crate::error::StargetError;
use crate::patience::Patience;
use crate::settings::{MirrorForm, Settings};
use crate::traffic::Traffic;

/// One place that has images, with what is kept of earlier runs.
#[derive(Clone)]
pub(crate) struct Registry {
    client: RegistryClient,
    cache: Arc<Cache>,
    place: Place,
    max_retries: u32,
    backoff: Backoff,
}

/// What kind of place it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// A mirror; whatever is wrong with it, the next place is asked.
    Mirror,
    /// The registry, by a scheme that nobody chose.
    Guessed,
    /// The registry.
    Own,
}

impl Registry {
    /// Where to ask for images of `host`, the first place first.
    pub(crate) fn places(
        settings: &Settings,
        host: &RegistryHost,
        traffic: &Arc<Traffic>,
    ) -> Result<Vec<Self>, StargetError> {
        let cache = Arc::new(Cache::open(settings)?);
        let own = settings.at(host.as_ref())?;
        let mut urls: Vec<(Url, Place)> = Vec::new();
        for mirror in &own.mirrors {
            urls.push((mirror_url(mirror, own.mirror_form, host)?, Place::Mirror));
        }
        urls.extend(own_urls(&own, host)?);
        let make = |(url, place): (Url, Place)| {
            // What is configured for the registry, its login above all, is not for its mirrors.
            let client = match place {
                Place::Mirror => connect(&settings.at_mirror(&authority(&url))?, url, traffic),
                Place::Guessed | Place::Own => connect(&own, url, traffic),
            }?;
            Ok(Self {
                client,
                cache: cache.clone(),
                place,
                max_retries: settings.max_retries,
                backoff: settings.backoff,
            })
        };
        urls.into_iter().map(make).collect()
    }

    /// The places of `host` itself, without any mirror.
    pub(crate) fn own_places(
        settings: &Settings,
        host: &RegistryHost,
        traffic: &Arc<Traffic>,
    ) -> Result<Vec<Self>, StargetError> {
        let places = Self::places(settings, host, traffic)?;
        Ok(places.into_iter().filter(|place| place.place != Place::Mirror).collect())
    }

    /// Its `host[:port]`.
    pub(crate) fn label(&self) -> &str {
        self.client.upstream()
    }

    pub(crate) fn cache(&self) -> &Cache {
        &self.cache
    }

    pub(crate) fn client(&self) -> &RegistryClient {
        &self.client
    }

    /// A manifest, from the network.
    pub(crate) async fn manifest(
        &self,
        name: &RepositoryName,
        reference: &Reference,
    ) -> Result<ManifestFetch, ClientError> {
        let mut patience = match self.place {
            // There is another place to ask.
            Place::Mirror => Patience::new(0, self.backoff),
            Place::Guessed | Place::Own => Patience::new(self.max_retries, self.backoff),
        };
        loop {
            match self.client.get_manifest(name, reference, None).await {
                Err(error) => patience.wait_after_call(error).await?,
                answer => return answer,
            }
        }
    }

    /// Whether the next place is asked after this failure.
    pub(crate) fn may_be_passed_over(&self, error: &StargetError) -> bool {
        let (StargetError::Registry { source, .. } | StargetError::NoImage { source, .. }) = error else {
            return false;
        };
        match self.place {
            Place::Mirror => true,
            // A server that speaks TLS answers plain HTTP with 400, or not at all.
            Place::Guessed => {
                source.upstream_status() == Some(400)
                    || matches!(**source, ClientError::Interrupted { .. } | ClientError::Protocol { .. })
            }
            Place::Own => false,
        }
    }
}

/// Path form: the registry's host is the first part of the path, so that one mirror serves all registries.
fn mirror_url(mirror: &Url, form: MirrorForm, host: &RegistryHost) -> Result<Url, StargetError> {
    let mut url = mirror.clone();
    if form == MirrorForm::Path {
        let bad = || StargetError::Usage(format!("--mirror {mirror} cannot have a path put behind it"));
        let mut segments = url.path_segments_mut().map_err(|()| bad())?;
        segments.pop_if_empty();
        segments.push(host.as_ref());
    }
    Ok(url)
}

fn own_urls(settings: &Settings, host: &RegistryHost) -> Result<Vec<(Url, Place)>, StargetError> {
    let known = profiles::of_host(host.as_ref());
    let address = match known.url {
        Some(url) if known.aliases.iter().any(|alias| *alias == host.as_ref()) => url.to_owned(),
        Some(_) | None => format!("https://{host}"),
    };
    let read = |text: &str| {
        Url::parse(text)
            .map_err(|error| StargetError::Usage(format!("the registry {host} has no usable address: {error}")))
    };
    let secure = read(&address)?;
    let plain = read(&format!("http://{host}"))?;
    let says_tls = settings.insecure || settings.authorities.is_some();
    Ok(match (settings.plain_http, is_loopback(host) && !says_tls) {
        (true, _) => vec![(plain, Place::Own)],
        (false, true) => vec![(plain, Place::Guessed), (secure, Place::Own)],
        (false, false) => vec![(secure, Place::Own)],
    })
}

/// The `host[:port]` of a URL.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn is_loopback(host: &RegistryHost) -> bool {
    let name = host.name().trim_matches(['[', ']']);
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn connect(settings: &Settings, url: Url, traffic: &Arc<Traffic>) -> Result<RegistryClient, StargetError> {
    let label = url.host_str().unwrap_or_default().to_owned();
    let mut config = UpstreamConfig::new(url);
    config.credentials = credentials::store(settings)?;
    // Whoever types a command may ask any address that this machine reaches; metadata services stay out of reach.
    config.reach = Reach::Internal;
    config.network = Network {
        authorities: settings.authorities.clone().unwrap_or_default(),
        verification: if settings.insecure { Verification::Skipped } else { Verification::Full },
        proxies: credentials::proxies()?,
        ..Network::default()
    };
    config.max_attempts = settings.max_retries.saturating_add(1);
    config.backoff = settings.backoff;
    config.limits = Limiter::new(settings.limits);
    concat!("starget/", env!("CARGO_PKG_VERSION")).clone_into(&mut config.user_agent);
    RegistryClient::new(config, traffic.clone()).map_err(|source| StargetError::Registry {
        doing: format!("set up the connection to {label}"),
        source: Box::new(source),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_get_the_registry_before_the_name() {
        let host: RegistryHost = "ghcr.io:8443".parse().unwrap();
        let at = |mirror: &str, form| mirror_url(&mirror.parse().unwrap(), form, &host).unwrap().to_string();
        assert_eq!(at("http://127.0.0.1:5000", MirrorForm::Path), "http://127.0.0.1:5000/ghcr.io:8443");
        assert_eq!(at("http://127.0.0.1:5000/v2/", MirrorForm::Path), "http://127.0.0.1:5000/v2/ghcr.io:8443");
        assert_eq!(at("http://127.0.0.1:5000/", MirrorForm::Bare), "http://127.0.0.1:5000/");
    }

    #[test]
    fn loopback_is_asked_plainly_first_unless_tls_was_named() {
        for (host, loopback) in [
            ("localhost:5000", true),
            ("127.0.0.1:5000", true),
            ("[::1]:5000", true),
            ("ghcr.io", false),
            ("10.0.0.1:5000", false),
        ] {
            assert_eq!(is_loopback(&host.parse().unwrap()), loopback, "{host}");
        }
    }
}
