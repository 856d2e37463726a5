//! `RegistryClient`: one upstream, ready to be asked.
//!
//! Must not know what each question means; the files `manifests`, `blobs`, `tags` and `ping` each add theirs. Invariant:
//! an answer that leaves `ask` is a success (or a 304 or 206 that was asked for) with its bytes as they are.

use std::future::Future;
use std::sync::Arc;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use oci::RepositoryName;
use url::Url;

use crate::answer::{Answer, AnsweredBy};
use crate::basic::{Credential, CredentialId};
use crate::config::UpstreamConfig;
use crate::credentials::{Accounts, CredentialLabel, Ground};
use crate::egress::{Egress, read_upstream_url};
use crate::endpoint::{Endpoint, authority};
use crate::error::ClientError;
use crate::exchange::{ExchangeKind, ExchangeObserver};
use crate::guest::Guests;
use crate::handshake::{Call, Handshake, Login};
use crate::payload::Payload;
use crate::profiles::Profile;
use crate::realm::RealmRule;
use crate::redirect::{Journey, MayLeave, follow};
use crate::referrers::Capability;
use crate::transport::{Attempt, Transport};
use crate::upstream_error::{Asked, from_answer};
use crate::weather::{HostReport, HostWeather, Passage, RateLimit, RetryRule, Weather, hedge};

/// A client of one upstream. Cheap to clone; clones share connections, tokens and what was learnt.
#[derive(Clone)]
pub struct RegistryClient {
    inner: Arc<Inner>,
}

struct Inner {
    endpoint: Endpoint,
    transport: Arc<Transport>,
    handshake: Handshake,
    retry: RetryRule,
    referrers: Capability,
    /// What it was made from, for a probe that starts anew.
    config: UpstreamConfig,
    observer: Arc<dyn ExchangeObserver>,
    profile: &'static Profile,
    guests: Arc<Guests>,
    host: Arc<HostWeather>,
}

impl std::fmt::Debug for RegistryClient {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("RegistryClient").field("upstream", self.upstream()).finish_non_exhaustive()
    }
}

impl RegistryClient {
    /// Sets up the client. No network access.
    pub fn new(config: UpstreamConfig, observer: Arc<dyn ExchangeObserver>) -> Result<Self, ClientError> {
        let upstream: Arc<str> = authority(&config.url).unwrap_or_default().into();
        let setup = |what| ClientError::Setup { upstream: upstream.clone(), what };
        let (url, discovery) = read_upstream_url(&config.url).map_err(setup)?;
        let endpoint = Endpoint::new(&url).map_err(setup)?;
        let egress = Egress::new(&config, &url, discovery).map_err(setup)?;
        let transport = Transport::new(&config, egress, endpoint.label(), observer.clone());
        transport.admit(endpoint.url())?;
        let host = config.climate.at(endpoint.url());
        let retry = RetryRule::new(&config, host.clone());
        let profile = config.effective_profile();
        let guests = Arc::new(Guests::new(profile.redirects, config.reach));
        let ground = Ground::new(&config, &endpoint, observer.clone());
        let accounts = Accounts::new(config.credentials.clone(), &endpoint, ground, host.clone());
        let realms = RealmRule::new(url, config.token_hosts.clone(), config.reach);
        let handshake = Handshake::new(accounts, realms);
        let transport = Arc::new(transport);
        let referrers = Capability::of(profile);
        let inner = Inner { endpoint, transport, handshake, retry, referrers, config, observer, profile, guests, host };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The same upstream for somebody else: over the same connections, with another credential (or none), and with
    /// tokens and a memory of challenges of its own.
    #[must_use]
    pub fn with_credential(&self, credential: Option<Credential>) -> Self {
        let Inner { endpoint, transport, handshake, retry, host, referrers, profile, guests, config, observer } =
            &*self.inner;
        let handshake = handshake.with_credential(credential);
        let inner = Inner {
            endpoint: endpoint.clone(),
            transport: transport.clone(),
            retry: retry.clone(),
            host: host.clone(),
            referrers: referrers.clone(),
            profile,
            // Its tokens are nobody's.
            guests: guests.clone(),
            config: UpstreamConfig { credentials: handshake.store().clone(), ..config.clone() },
            handshake,
            observer: observer.clone(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// When the token ends that this upstream's content under `name` was last asked for with; `None` when none was
    /// needed, or is known.
    pub fn token_ends(&self, name: &RepositoryName) -> Option<std::time::Instant> {
        let scope = self.inner.endpoint.pull_scope(name);
        self.inner.handshake.token_ends(Some(&scope)).map(tokio::time::Instant::into_std)
    }

    /// The upstream's `host[:port]`.
    pub fn upstream(&self) -> &Arc<str> {
        self.inner.endpoint.label()
    }

    /// Attempts for one call, the first included.
    pub fn max_attempts(&self) -> u32 {
        self.inner.config.max_attempts.max(1)
    }

    pub(crate) fn config(&self) -> &UpstreamConfig {
        &self.inner.config
    }

    pub(crate) fn observer(&self) -> &Arc<dyn ExchangeObserver> {
        &self.inner.observer
    }

    /// What is known of the upstream.
    pub fn profile(&self) -> &'static Profile {
        self.inner.profile
    }

    /// The credential that would be asked for first for this repository, by name; none when it is asked anonymously.
    /// No network, files or programs.
    pub fn credential_for(&self, name: &RepositoryName) -> Option<CredentialLabel> {
        self.inner.handshake.store().describe(Some(name.as_ref()))
    }

    /// What the weather at the upstream's host is like for this client.
    pub fn weather(&self) -> Weather {
        self.inner.host.weather(self.account())
    }

    /// The same for what is asked under this name: the account is the one that would be used for it.
    pub fn weather_for(&self, name: &RepositoryName) -> Weather {
        let scope = self.inner.endpoint.pull_scope(name);
        self.inner.host.weather(self.inner.handshake.likely_account(Some(&scope)))
    }

    /// How the next call for this repository logs in, going by what the last one needed.
    pub fn login_for(&self, name: &RepositoryName) -> Login {
        self.inner.handshake.login(Some(&self.inner.endpoint.pull_scope(name)))
    }

    /// All that is known of the upstream's host, whoever asked it.
    pub fn host_report(&self) -> HostReport {
        self.inner.host.report()
    }

    /// Scheme, host and port of the upstream: clients of one origin share their weather.
    pub fn origin(&self) -> String {
        self.inner.endpoint.url().origin().ascii_serialization()
    }

    /// What the upstream's host said of the rate limits of all accounts it is asked with, by name.
    pub fn rate_limits(&self) -> Vec<RateLimit> {
        self.inner.host.rate_limits()
    }

    fn account(&self) -> CredentialId {
        self.inner.handshake.last_account()
    }

    /// Puts the question of a HEAD, a second time when the answer is slow and that is wanted.
    pub(crate) async fn hedged<T, Asking>(&self, ask: impl Fn() -> Asking) -> Result<T, ClientError>
    where
        Asking: Future<Output = Result<T, ClientError>>,
    {
        let Inner { host, config, .. } = &*self.inner;
        match host.hedge_after(config.hedging, self.account()) {
            Some(delay) => hedge(delay, Box::pin(ask()), || host.may_retry(), Box::pin(ask())).await,
            None => Box::pin(ask()).await,
        }
    }

    pub(crate) fn referrers_capability(&self) -> &Capability {
        &self.inner.referrers
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.inner.endpoint
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.inner.transport
    }

    pub(crate) fn handshake(&self) -> &Handshake {
        &self.inner.handshake
    }

    pub(crate) fn retry(&self) -> &RetryRule {
        &self.inner.retry
    }

    /// Makes one attempt at a call.
    pub(crate) async fn ask(&self, call: &Call, attempt: Attempt) -> Result<Answer, ClientError> {
        let Inner { transport, handshake, guests, config, .. } = &*self.inner;
        let passage = Passage::enter(&config.limits, &config.host_limits, self.upstream(), attempt.deadline).await?;
        // Boxed: the handshake with all that it may have to ask is large, and every call would carry it.
        let answer = Box::pin(handshake.send(transport, call, attempt)).await?;
        let answer = Box::pin(guests.enter(transport, call, answer, attempt)).await?;
        self.taken(answer, passage, &call.method).await
    }

    /// Makes one attempt at a place that the upstream redirected to before: nothing of ours is shown there, and it does not
    /// speak for the upstream.
    pub(crate) async fn ask_stranger(&self, call: &Call, attempt: Attempt) -> Result<Answer, ClientError> {
        let Inner { transport, config, .. } = &*self.inner;
        let passage = Passage::enter(&config.limits, &config.host_limits, self.upstream(), attempt.deadline).await?;
        let journey = Journey {
            method: &call.method,
            url: &call.url,
            headers: &call.headers,
            authorization: None,
            traceparent: None,
            body: Payload::Nothing,
            kind: call.kind,
            may_leave: MayLeave::Origin,
        };
        let mut answer = Box::pin(follow(transport, &journey, attempt)).await?;
        answer.by = AnsweredBy::Elsewhere;
        self.taken(answer, passage, &call.method).await
    }

    /// The answer, when it is a success in plain bytes.
    async fn taken(&self, mut answer: Answer, passage: Passage, method: &Method) -> Result<Answer, ClientError> {
        answer.record.takes(passage);
        if !answer.status.is_success() && answer.status != StatusCode::NOT_MODIFIED {
            let secrets = self.handshake().secrets();
            return Err(from_answer(answer, method, Asked::Registry, &secrets).await);
        }
        match encoding(&answer) {
            Ok(()) => Ok(answer),
            Err(error) => Err(answer.reject(error)),
        }
    }

    pub(crate) fn protocol(&self, what: impl Into<String>) -> ClientError {
        ClientError::Protocol { upstream: self.upstream().clone(), what: what.into() }
    }
}

/// A GET or HEAD without special headers.
pub(crate) fn call(method: Method, url: Url, kind: ExchangeKind, scope: Option<String>) -> Call {
    Call { method, url, headers: HeaderMap::new(), kind, scope, insists: Vec::new(), body: Payload::Nothing }
}

/// A header value made of digests and numbers.
pub(crate) fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("digests and numbers are printable ASCII")
}

/// Bytes that were encoded for the journey are not the bytes of the digest, and their ranges are other ranges.
pub(crate) fn encoding(answer: &Answer) -> Result<(), ClientError> {
    match answer.single(&CONTENT_ENCODING)? {
        None => Ok(()),
        Some(encoding) if encoding.trim().is_empty() || encoding.eq_ignore_ascii_case("identity") => Ok(()),
        Some(_) => Err(answer.protocol("a Content-Encoding, although only the plain bytes were asked for")),
    }
}

/// Whether the answer is a page for people: a login form, a captive portal, a proxy's error.
pub(crate) fn is_page(answer: &Answer) -> bool {
    answer.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|kind| {
        let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        matches!(essence.as_str(), "text/html" | "application/xhtml+xml")
    })
}
