//! Which connections a request to a URL may use.
//!
//! Three kinds of host, each with connections of its own: the upstream's scheme, host and port; its token hosts; all
//! others, which redirects lead to. Must not know what is asked. Invariants: a client certificate and authorities of the
//! configuration are for the first two kinds, unverified TLS for the first alone; nothing is read from the environment.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use oci::RegistryHost;
use url::Url;

use super::discovery::Discovery;
use super::filter::{EgressFilter, EgressRefused};
use super::lanes::Lanes;
use super::network::{Authorities, Network, Verification};
use super::resolver::{CheckedResolver, Names};
use super::spread::Spread;
use super::srv::ServicePool;
use super::tls::{TlsRules, client_config};
use crate::config::{HttpVersion, UpstreamConfig};
use crate::connect_time::ConnectTimer;
use crate::error::chain;

/// Idle connections kept for each host.
const POOLED_CONNECTIONS: usize = 16;

/// How long an idle connection is kept; below the 60 s after which many servers close theirs.
const POOLED_FOR: Duration = Duration::from_secs(55);

/// All requests of an HTTP/2 upstream share one connection, and one that is dead without saying so would swallow them
/// one after the other. With requests under way, silence of this part of the time to the first byte makes us ask whether
/// somebody is there; as long again without an answer ends the connection, which leaves time to ask over a new one.
const SILENCES: u32 = 3;

/// The ways out to one upstream and wherever it sends us.
pub(crate) struct Egress {
    upstream: Url,
    token_hosts: Vec<RegistryHost>,
    filter: EgressFilter,
    spread: Arc<Spread>,
    pool: Option<ServicePool>,
    names: Names,
    to_upstream: Lanes,
    to_token_hosts: reqwest::Client,
    elsewhere: Lanes,
}

/// Whom a URL leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Upstream,
    TokenHost,
    Stranger,
}

impl Egress {
    /// Sets up the connections for `config`, whose URL without `srv+` is `upstream`. No network access.
    pub(crate) fn new(config: &UpstreamConfig, upstream: &Url, discovery: Discovery) -> Result<Self, String> {
        let network = &config.network;
        refuse_odd_pairs(network, upstream)?;
        let names = Names::new(network.dns_server)?;
        let pool = match discovery {
            Discovery::Host => None,
            Discovery::Service { name, domain } => Some(ServicePool::new(name, domain, names.services()?)),
        };
        let proxies = network.proxies.servers().filter_map(|proxy| Some(proxy.host()?.to_ascii_lowercase())).collect();
        let filter = EgressFilter::new(config.reach, upstream, proxies);
        let spread = Arc::new(Spread::default());
        let resolver = CheckedResolver { names: names.clone(), filter: filter.clone(), spread: spread.clone() };
        let client = |standing| client(config, standing, resolver.clone());
        let lanes = |standing| Lanes::new(network.connections, || client(standing));
        let elsewhere = lanes(Standing::Stranger)?;
        let special = !network.authorities.is_empty() || network.identity.is_some();
        let own = if special { lanes(Standing::TokenHost)? } else { elsewhere.clone() };
        let to_token_hosts = own.first().clone();
        let to_upstream = match network.verification {
            Verification::Full => own,
            Verification::Skipped => lanes(Standing::Upstream)?,
        };
        let (upstream, token_hosts) = (upstream.clone(), config.token_hosts.clone());
        Ok(Self { upstream, token_hosts, filter, spread, pool, names, to_upstream, to_token_hosts, elsewhere })
    }

    /// Refuses a URL whose host is out of reach, as far as the URL alone tells.
    pub(crate) fn admit(&self, url: &Url) -> Result<(), EgressRefused> {
        self.filter.admit_url(url)
    }

    /// The connections for this URL.
    pub(crate) fn client(&self, url: &Url) -> &reqwest::Client {
        match self.standing(url) {
            Standing::Upstream => self.to_upstream.next(),
            Standing::TokenHost => &self.to_token_hosts,
            Standing::Stranger => self.elsewhere.next(),
        }
    }

    /// Where requests for `url` go, in the order to try: the URL itself, unless it names a service.
    pub(crate) async fn destinations(&self, url: &Url) -> Result<Vec<Url>, String> {
        match &self.pool {
            Some(pool) if url.origin() == self.upstream.origin() => pool.destinations(url).await,
            Some(_) | None => Ok(vec![url.clone()]),
        }
    }

    /// All addresses of a name, as they are: none of them has passed the filter.
    pub(crate) async fn look_up(&self, name: &str) -> std::io::Result<Vec<IpAddr>> {
        Ok(self.names.addresses(name).await?.into_iter().map(|address| address.ip()).collect())
    }

    /// The URL as one of the upstream where it names one of the servers of its service: servers speak of themselves by
    /// their own name, in redirects and token realms.
    pub(crate) fn canonical(&self, url: Url) -> Url {
        let ours = self.pool.as_ref().is_some_and(|pool| pool.is_target(&url));
        if ours && url.scheme() == self.upstream.scheme() {
            let mut own = url.clone();
            if own.set_host(self.upstream.host_str()).is_ok() && own.set_port(None).is_ok() {
                return own;
            }
        }
        url
    }

    /// A new connection for `url` reached this address.
    pub(crate) fn connected(&self, url: &Url, address: IpAddr) {
        if let Some(name) = url.domain() {
            self.spread.connected(name, address);
        }
    }

    /// No connection for `url` could be made.
    pub(crate) fn unreachable(&self, url: &Url) {
        if let Some(pool) = &self.pool {
            pool.failed(url);
        }
    }

    fn standing(&self, url: &Url) -> Standing {
        let target = || url.scheme() == self.upstream.scheme() && self.pool.as_ref().is_some_and(|p| p.is_target(url));
        if url.origin() == self.upstream.origin() || target() {
            return Standing::Upstream;
        }
        let default = if url.scheme() == "https" { 443 } else { 80 };
        let listed = self.token_hosts.iter().any(|listed| {
            Some(listed.name()) == url.host_str()
                && url.port_or_known_default() == Some(listed.port().unwrap_or(default))
        });
        if listed { Standing::TokenHost } else { Standing::Stranger }
    }
}

/// Combinations under which something would be shown to, or accepted from, somebody it was not configured for.
fn refuse_odd_pairs(network: &Network, upstream: &Url) -> Result<(), String> {
    for proxy in network.proxies.servers().filter(|proxy| proxy.is_tls()) {
        if network.identity.is_some() {
            return Err(
                "a client certificate cannot be used through an https:// proxy, because the proxy could ask for \
                        it too; use an http:// or socks5h:// proxy"
                    .to_owned(),
            );
        }
        if network.verification == Verification::Skipped && proxy.host() == upstream.host_str() {
            return Err(
                "skip_tls_verify cannot be used through an https:// proxy on the upstream's own host".to_owned()
            );
        }
    }
    Ok(())
}

/// Everything that reqwest would do by itself and we must not have is switched off here: redirects (ours check every
/// hop), decompression (bytes are sacred), proxies from the environment, total time-outs.
fn client(config: &UpstreamConfig, standing: Standing, resolver: CheckedResolver) -> Result<reqwest::Client, String> {
    let network = &config.network;
    let nothing = Authorities::default();
    let ours = standing != Standing::Stranger;
    let rules = TlsRules {
        authorities: if ours { &network.authorities } else { &nothing },
        identity: network.identity.as_ref().filter(|_| ours),
        verification: if standing == Standing::Upstream { network.verification } else { Verification::Full },
        proxies: network.proxies.servers().filter(|p| p.is_tls()).filter_map(|p| Some(p.host()?.to_owned())).collect(),
        proxy_authorities: &network.authorities,
    };
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(client_config(&rules, config.http)?)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .no_gzip()
        .no_brotli()
        .no_deflate()
        .no_zstd()
        .no_hickory_dns()
        .dns_resolver(resolver)
        .connector_layer(ConnectTimer)
        .connect_timeout(config.timeouts.connect)
        .pool_max_idle_per_host(POOLED_CONNECTIONS)
        .pool_idle_timeout(POOLED_FOR)
        .http2_adaptive_window(true)
        .http2_keep_alive_interval(config.timeouts.first_byte / SILENCES)
        .http2_keep_alive_timeout(config.timeouts.first_byte / SILENCES)
        .local_address(network.bind)
        .user_agent(config.user_agent.as_str());
    for proxy in network.proxies.reqwest().map_err(|error| chain(&error))? {
        builder = builder.proxy(proxy);
    }
    let builder = match config.http {
        HttpVersion::Auto => builder,
        HttpVersion::Http1Only => builder.http1_only(),
    };
    builder.build().map_err(|error| chain(&error))
}
