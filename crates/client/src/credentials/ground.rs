//! What a credential source may know of its upstream, and its way to the services that hand credentials out.
//!
//! Must not know what is asked. Invariants: a request goes to the one URL it names, through the same egress filter as all
//! others, follows no redirect to another origin, and shows no certificate of the upstream's; answers are bounded.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use tokio::time::Instant;
use url::Url;

use crate::basic::CredentialId;
use crate::body::read_document;
use crate::config::UpstreamConfig;
use crate::egress::{Egress, Network, Proxies, Reach, read_upstream_url};
use crate::endpoint::{Endpoint, authority};
use crate::exchange::{ExchangeKind, ExchangeObserver};
use crate::redact;
use crate::redirect::{Journey, MayLeave, follow};
use crate::secret::Secret;
use crate::transport::{Attempt, Transport};
use crate::upstream_error::{Asked, from_answer};

/// Longest wait for the answer of such a service.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Largest answer of such a service.
const MAX_ANSWER: usize = 256 * 1024;

/// The upstream as its sources see it.
pub(crate) struct Ground {
    url: Url,
    authority: String,
    config: UpstreamConfig,
    label: Arc<str>,
    observer: Arc<dyn ExchangeObserver>,
}

/// One question to a service.
pub(super) struct Question {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// What must not come back in words.
    pub(super) secrets: Vec<Secret>,
    /// Whether the service may stand at an address that is not public.
    pub(super) reach: Reach,
}

impl Ground {
    pub(crate) fn new(config: &UpstreamConfig, endpoint: &Endpoint, observer: Arc<dyn ExchangeObserver>) -> Self {
        let url = endpoint.url().clone();
        let authority = authority(&url).unwrap_or_default();
        Self { url, authority, config: config.clone(), label: endpoint.label().clone(), observer }
    }

    /// The upstream's URL.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// The upstream's host, without a port.
    pub(super) fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// The upstream's `host[:port]`.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// Which addresses the upstream itself may have.
    pub(super) fn reach(&self) -> Reach {
        self.config.reach
    }

    /// Asks, and takes a success for the answer. The error is a reason in words.
    pub(super) async fn ask(&self, question: Question) -> Result<Bytes, String> {
        let shown = redact::url(&question.url);
        self.exchange(question).await.map_err(|error| format!("asking {shown}: {error}"))
    }

    async fn exchange(&self, question: Question) -> Result<Bytes, crate::ClientError> {
        let Question { method, url, headers, body, secrets, reach } = question;
        let transport = self.transport(&url, reach)?;
        transport.admit(&url)?;
        let journey = Journey {
            method: &method,
            url: &url,
            headers: &headers,
            authorization: None,
            traceparent: None,
            body: body.into(),
            kind: ExchangeKind::Token,
            may_leave: MayLeave::Nothing,
        };
        let deadline = Instant::now() + LONGEST_WAIT;
        let attempt = Attempt { number: 1, deadline, account: CredentialId::Anonymous };
        let answer = follow(&transport, &journey, attempt).await?;
        if !answer.status.is_success() {
            return Err(from_answer(answer, &method, Asked::TokenServer, &secrets).await);
        }
        read_document(answer, "a credential service's answer", MAX_ANSWER).await
    }

    /// Connections to one service. It is another's than the upstream: of how the upstream is reached only the proxies and
    /// the name server are taken over, unless it is the upstream itself that is asked. A machine's metadata service is
    /// asked directly: a proxy would ask that of its own machine.
    fn transport(&self, url: &Url, reach: Reach) -> Result<Transport, crate::ClientError> {
        let upstream = &self.config.network;
        let network = if url.origin() == self.url.origin() {
            upstream.clone()
        } else {
            let proxies = if is_link_local(url) { Proxies::default() } else { upstream.proxies.clone() };
            let (dns_server, bind) = (upstream.dns_server, upstream.bind);
            Network { proxies, bind, dns_server, ..Network::default() }
        };
        let config = UpstreamConfig {
            reach,
            network,
            timeouts: self.config.timeouts.clone(),
            user_agent: self.config.user_agent.clone(),
            ..UpstreamConfig::new(url.clone())
        };
        let setup = |what| crate::ClientError::Setup { upstream: self.label.clone(), what };
        let (url, discovery) = read_upstream_url(url).map_err(setup)?;
        let egress = Egress::new(&config, &url, discovery).map_err(setup)?;
        Ok(Transport::new(&config, egress, &self.label, self.observer.clone()))
    }

    #[cfg(test)]
    pub(super) fn for_tests(url: &str) -> Self {
        let config = UpstreamConfig { reach: Reach::Internal, ..UpstreamConfig::new(url.parse().unwrap()) };
        let endpoint = Endpoint::new(&config.url).unwrap();
        Self::new(&config, &endpoint, Arc::new(crate::NoObserver))
    }
}

/// Whether the host is an address that reaches this machine or its own link only; Amazon's services there have one in
/// `fd00:ec2::/32` as well.
fn is_link_local(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_link_local(),
        Some(url::Host::Ipv6(address)) => address.is_unicast_link_local() || address.segments()[..2] == [0xfd00, 0xec2],
        Some(url::Host::Domain(_)) | None => false,
    }
}
