//! Sends one request and brings back the head of its answer.
//!
//! Everything that reqwest would do by itself and we must not have is switched off here: redirects (ours check every
//! hop), decompression (bytes are sacred), proxies from the environment, total time-outs. Must not know challenges,
//! redirects or retries. Invariant: each request is reported to the observer exactly once.

use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT_ENCODING, AUTHORIZATION};
use http::{HeaderMap, HeaderValue, Method};
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::answer::{Answer, AnsweredBy};
use crate::config::{HttpVersion, Timeouts, UpstreamConfig};
use crate::connect_time::{ConnectTimer, noting};
use crate::egress::{EgressFilter, EgressRefused};
use crate::error::{ClientError, TimeoutPhase, chain};
use crate::exchange::{ExchangeKind, ExchangeObserver, ExchangeRecord, ExchangeStart};

/// Idle connections kept for each host.
const POOLED_CONNECTIONS: usize = 16;

/// How long an idle connection is kept; below the 60 s after which many servers close theirs.
const POOLED_FOR: Duration = Duration::from_secs(55);

/// The connections of one upstream.
pub(crate) struct Transport {
    http: reqwest::Client,
    egress: EgressFilter,
    timeouts: Timeouts,
    upstream: Arc<str>,
    observer: Arc<dyn ExchangeObserver>,
}

/// Which attempt of a call this is, and when the call must have an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt {
    /// Counted from 1.
    pub(crate) number: u32,
    /// When the last of its answers must have begun.
    pub(crate) deadline: Instant,
}

/// One request.
pub(crate) struct Outgoing<'a> {
    pub(crate) method: &'a Method,
    pub(crate) url: &'a Url,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) authorization: Option<&'a HeaderValue>,
    pub(crate) traceparent: Option<&'a HeaderValue>,
    pub(crate) kind: ExchangeKind,
    pub(crate) attempt: Attempt,
}

impl Transport {
    pub(crate) fn new(
        config: &UpstreamConfig,
        upstream: &Arc<str>,
        observer: Arc<dyn ExchangeObserver>,
    ) -> Result<Self, ClientError> {
        let egress = EgressFilter::new(config.reach, &config.url);
        let http = builder(config, egress.clone())
            .build()
            .map_err(|error| ClientError::Setup { upstream: upstream.clone(), what: chain(&error) })?;
        Ok(Self { http, egress, timeouts: config.timeouts.clone(), upstream: upstream.clone(), observer })
    }

    pub(crate) fn upstream(&self) -> &Arc<str> {
        &self.upstream
    }

    pub(crate) fn refused(&self, what: impl Into<String>) -> ClientError {
        ClientError::Refused { upstream: self.upstream.clone(), what: what.into() }
    }

    /// Refuses a URL whose host is an address out of reach.
    pub(crate) fn admit(&self, url: &Url) -> Result<(), ClientError> {
        self.egress.admit_url(url).map_err(|refused| self.refused(refused.to_string()))
    }

    /// Sends the request; the answer counts as given by who was asked.
    pub(crate) async fn send(&self, outgoing: &Outgoing<'_>) -> Result<Answer, ClientError> {
        self.admit(outgoing.url)?;
        let start = ExchangeStart {
            upstream: &self.upstream,
            method: outgoing.method,
            url: outgoing.url,
            kind: outgoing.kind,
            attempt: outgoing.attempt.number,
        };
        let mut record = ExchangeRecord::begin(&self.observer, &start);
        let head = noting(record.connect_slot(), self.http.execute(request(outgoing)));
        let give_up = outgoing.attempt.deadline.min(Instant::now() + self.timeouts.first_byte);
        let failure = match timeout_at(give_up, head).await {
            Ok(Ok(response)) => {
                record.head(response.status(), response.headers());
                return Ok(self.answer(response, record));
            }
            Ok(Err(error)) => self.failure(error.without_url()),
            Err(_) => ClientError::Timeout { upstream: self.upstream.clone(), phase: TimeoutPhase::FirstByte },
        };
        record.fail(failure.to_string());
        Err(failure)
    }

    fn answer(&self, response: reqwest::Response, record: ExchangeRecord) -> Answer {
        Answer {
            upstream: self.upstream.clone(),
            status: response.status(),
            headers: response.headers().clone(),
            by: AnsweredBy::Asked,
            passed: Vec::new(),
            idle: self.timeouts.idle,
            response,
            record,
        }
    }

    fn failure(&self, error: reqwest::Error) -> ClientError {
        let upstream = self.upstream.clone();
        if let Some(refused) = egress_refusal(&error) {
            return self.refused(refused.to_string());
        }
        let what = chain(&error);
        match (error.is_connect(), error.is_timeout()) {
            (true, true) => ClientError::Timeout { upstream, phase: TimeoutPhase::Connect },
            (false, true) => ClientError::Timeout { upstream, phase: TimeoutPhase::FirstByte },
            (true, false) => ClientError::Unreachable { upstream, what, source: Arc::new(error) },
            (false, false) => ClientError::Interrupted { upstream, received: 0, what, source: Some(Arc::new(error)) },
        }
    }
}

fn builder(config: &UpstreamConfig, egress: EgressFilter) -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .no_gzip()
        .no_brotli()
        .no_deflate()
        .no_zstd()
        .no_hickory_dns()
        .dns_resolver(egress)
        .connector_layer(ConnectTimer)
        .connect_timeout(config.timeouts.connect)
        .pool_max_idle_per_host(POOLED_CONNECTIONS)
        .pool_idle_timeout(POOLED_FOR)
        .http2_adaptive_window(true)
        .user_agent(config.user_agent.as_str());
    match config.http {
        HttpVersion::Auto => builder,
        HttpVersion::Http1Only => builder.http1_only(),
    }
}

fn request(outgoing: &Outgoing<'_>) -> reqwest::Request {
    let mut request = reqwest::Request::new(outgoing.method.clone(), outgoing.url.clone());
    let headers = request.headers_mut();
    headers.clone_from(outgoing.headers);
    headers.entry(ACCEPT_ENCODING).or_insert(HeaderValue::from_static("identity"));
    if let Some(authorization) = outgoing.authorization {
        headers.insert(AUTHORIZATION, authorization.clone());
    }
    if let Some(traceparent) = outgoing.traceparent {
        headers.insert("traceparent", traceparent.clone());
    }
    request
}

/// The egress filter speaks through the resolver, deep in the chain of causes.
fn egress_refusal(error: &reqwest::Error) -> Option<&EgressRefused> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = next {
        if let Some(refused) = cause.downcast_ref::<EgressRefused>() {
            return Some(refused);
        }
        next = cause.source();
    }
    None
}
