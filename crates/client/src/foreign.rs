//! Layers with addresses of their own: fetched as nobody, from hosts that the operator listed.
//!
//! A manifest may say of a layer where else it is (`urls` of a descriptor), and whoever writes a manifest can name any
//! place. So nothing here knows a credential, a client certificate or an authority of the upstream; each hop must be on
//! the list and pass the egress filter. Must not know manifests. Invariants: what the list does not admit gets no
//! request; a refusal of such a host says nothing of what the registry has.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::payload::Payload;
use http::header::RANGE;
use http::{HeaderMap, Method};
use oci::{ByteRange, RegistryHost};
use url::Url;

use crate::answer::{Answer, AnsweredBy};
use crate::blobs::{BlobResponse, response};
use crate::body::Came;
use crate::config::UpstreamConfig;
use crate::credentials::CredentialStore;
use crate::egress::{Authorities, Egress, Network, Verification, read_upstream_url};
use crate::endpoint::authority;
use crate::error::ClientError;
use crate::exchange::{ExchangeKind, ExchangeObserver};
use crate::redact;
use crate::redirect::{Journey, MayLeave, follow};
use crate::registry_client::{encoding, header_value};
use crate::transport::{Attempt, Transport};
use crate::upstream_error::{Asked, from_answer};
use crate::weather::{Limiter, Passage, RetryRule};

/// A host that foreign layers may be fetched from: `host`, `host:port`, or `*.host` for all below it. Without a port the
/// scheme's own is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    host: RegistryHost,
    reach: PatternReach,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PatternReach {
    Itself,
    Below,
}

impl FromStr for HostPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (text, reach) = match text.strip_prefix("*.") {
            Some(rest) => (rest, PatternReach::Below),
            None => (text, PatternReach::Itself),
        };
        let host: RegistryHost = text.parse().map_err(|error: oci::InvalidRegistryHost| {
            format!("{error}; write a host, host:port, or *.example.com for all hosts below it")
        })?;
        Ok(Self { host, reach })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reach {
            PatternReach::Itself => write!(formatter, "{}", self.host),
            PatternReach::Below => write!(formatter, "*.{}", self.host),
        }
    }
}

impl HostPattern {
    fn matches(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else { return false };
        let named = match self.reach {
            PatternReach::Itself => host == self.host.name(),
            PatternReach::Below => host.strip_suffix(self.host.name()).is_some_and(|below| below.ends_with('.')),
        };
        let standard = if url.scheme() == "https" { 443 } else { 80 };
        named && url.port_or_known_default() == Some(self.host.port().unwrap_or(standard))
    }
}

/// The hosts that foreign layers may be fetched from. The default has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForeignHosts(Vec<HostPattern>);

impl ForeignHosts {
    /// Those that one of the patterns matches.
    pub fn new(patterns: Vec<HostPattern>) -> Self {
        Self(patterns)
    }

    /// Whether nothing is allowed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The patterns, as written.
    pub fn patterns(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(ToString::to_string)
    }

    /// Reads an address of a layer. The error says why it is not used.
    pub fn read(&self, text: &str) -> Result<Url, String> {
        let mut url = Url::parse(text).map_err(|error| format!("the address of a layer is no URL: {error}"))?;
        url.set_fragment(None);
        self.admit(&url)?;
        Ok(url)
    }

    /// The error says why `url` is not asked.
    pub(crate) fn admit(&self, url: &Url) -> Result<(), String> {
        let shown = redact::url(url);
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("a layer at {shown}, which is neither http nor https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(format!("a layer at {shown} with a user name or password"));
        }
        if !self.0.iter().any(|pattern| pattern.matches(url)) {
            return Err(format!("a layer at {shown}, whose host is not listed in foreign_layers"));
        }
        Ok(())
    }
}

/// Fetches layers from their own addresses.
#[derive(Clone)]
pub struct ForeignClient {
    inner: Arc<Inner>,
}

struct Inner {
    hosts: ForeignHosts,
    transport: Transport,
    config: UpstreamConfig,
}

impl fmt::Debug for ForeignClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ForeignClient").field("hosts", &self.inner.hosts).finish_non_exhaustive()
    }
}

impl ForeignClient {
    /// Sets up connections of their own, with the reach, proxies and time-outs of `config` and nothing else of it that
    /// was meant for its upstream. No network access.
    pub fn new(
        config: UpstreamConfig,
        hosts: ForeignHosts,
        observer: Arc<dyn ExchangeObserver>,
    ) -> Result<Self, ClientError> {
        let upstream: Arc<str> = authority(&config.url).unwrap_or_default().into();
        let setup = |what| ClientError::Setup { upstream: upstream.clone(), what };
        let (url, discovery) = read_upstream_url(&config.url).map_err(setup)?;
        let config = UpstreamConfig {
            credentials: CredentialStore::anonymous(),
            token_hosts: Vec::new(),
            // The limits of the upstream's host are not those of others.
            host_limits: Limiter::default(),
            network: Network {
                authorities: Authorities::default(),
                identity: None,
                verification: Verification::Full,
                ..config.network
            },
            ..config
        };
        let egress = Egress::new(&config, &url, discovery).map_err(setup)?;
        let transport = Transport::new(&config, egress, &upstream, observer);
        Ok(Self { inner: Arc::new(Inner { hosts, transport, config }) })
    }

    /// The hosts it may ask.
    pub fn hosts(&self) -> &ForeignHosts {
        &self.inner.hosts
    }

    /// The layer, or the part of it in `range`, as [`RegistryClient::get_blob`](crate::RegistryClient::get_blob) gives
    /// it. A layer that says another size than `size` is refused.
    pub async fn get(&self, url: &Url, size: u64, range: Option<ByteRange>) -> Result<BlobResponse, ClientError> {
        let mut headers = HeaderMap::new();
        if let Some(range) = range {
            headers.insert(RANGE, header_value(&range.header_value()));
        }
        let headers = &headers;
        let Inner { config, .. } = &*self.inner;
        let retry = RetryRule::new(config, config.climate.at(url));
        let response = retry.run(|attempt| self.begin(url, headers, range, attempt)).await?;
        if let Some(total) = response.total.filter(|total| *total != size) {
            let what = format!("{} says the layer has {total} bytes, not {size} as its manifest", redact::url(url));
            return Err(ClientError::Protocol { upstream: self.inner.transport.upstream().clone(), what });
        }
        Ok(response)
    }

    /// Whether the layer is there, by its first byte: signed addresses are often for GET alone.
    pub async fn is_there(&self, url: &Url, size: u64) -> Result<(), ClientError> {
        let first = (size > 1).then_some(ByteRange { start: 0, end: 1 });
        self.get(url, size, first).await?.body.enough(Came::InTime);
        Ok(())
    }

    async fn begin(
        &self,
        url: &Url,
        headers: &HeaderMap,
        range: Option<ByteRange>,
        attempt: Attempt,
    ) -> Result<BlobResponse, ClientError> {
        let Inner { hosts, transport, config } = &*self.inner;
        hosts.admit(url).map_err(|what| transport.refused(what))?;
        let passage =
            Passage::enter(&config.limits, &config.host_limits, transport.upstream(), attempt.deadline).await?;
        let journey = Journey {
            method: &Method::GET,
            url,
            headers,
            authorization: None,
            traceparent: None,
            body: Payload::Nothing,
            kind: ExchangeKind::Blob,
            may_leave: MayLeave::Listed(hosts),
        };
        let mut answer: Answer = Box::pin(follow(transport, &journey, attempt)).await?;
        answer.by = AnsweredBy::Elsewhere;
        answer.record.takes(passage);
        if !answer.status.is_success() {
            return Err(from_answer(answer, &Method::GET, Asked::Registry, &[]).await);
        }
        match encoding(&answer) {
            Ok(()) => response(answer, range),
            Err(error) => Err(answer.reject(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(list: &[&str]) -> ForeignHosts {
        ForeignHosts::new(list.iter().map(|text| text.parse().unwrap()).collect())
    }

    #[test]
    fn only_listed_hosts_at_their_port_are_admitted() {
        let listed = hosts(&["go.microsoft.example", "cdn.example:8443", "*.blob.example", "[::1]:5000"]);
        for url in [
            "https://go.microsoft.example/fwlink/?linkid=1",
            "http://go.microsoft.example/fwlink/",
            "https://GO.microsoft.example:443/x#fragment",
            "https://cdn.example:8443/x",
            "https://a.blob.example/x",
            "https://a.b.blob.example/x",
            "http://[::1]:5000/x",
        ] {
            listed.read(url).unwrap_or_else(|what| panic!("{url}: {what}"));
        }
        for url in [
            "https://go.microsoft.example:8443/x",
            "https://go.microsoft.example.evil.example/x",
            "https://evil-go.microsoft.example/x",
            "https://cdn.example/x",
            "https://blob.example/x",
            "https://evilblob.example/x",
            "https://ci:canary@go.microsoft.example/x",
            "ftp://go.microsoft.example/x",
            "file:///etc/passwd",
            "//go.microsoft.example/x",
            "",
        ] {
            let what = listed.read(url).expect_err(url);
            assert!(!what.contains("canary"), "{what}");
        }
        hosts(&[]).read("https://go.microsoft.example/x").expect_err("nothing is listed");
    }

    #[test]
    fn patterns_are_read_back_and_what_is_none_is_refused() {
        let listed = hosts(&["a.example", "*.b.example:8443"]);
        assert_eq!(listed.patterns().collect::<Vec<_>>(), ["a.example", "*.b.example:8443"]);
        for text in ["*", "", "*.", "a.*.example", "https://a.example", "a.example/x", "nodot"] {
            text.parse::<HostPattern>().expect_err(text);
        }
    }
}
