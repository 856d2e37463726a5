//! Sends one request and brings back the head of its answer.
//!
//! An upstream that is a service of several servers is asked at the next one when there is no connection to the first.
//! Must not know challenges, redirects or retries. Invariant: each request is reported to the observer exactly once.

use std::future::Future;
use std::sync::Arc;

use http::header::{ACCEPT_ENCODING, AUTHORIZATION};
use http::{HeaderMap, HeaderValue, Method};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout, timeout_at};
use url::Url;

use crate::answer::{Answer, AnsweredBy};
use crate::basic::CredentialId;
use crate::config::{Timeouts, UpstreamConfig};
use crate::connect_time::noting;
use crate::egress::{Egress, EgressRefused};
use crate::error::{ClientError, TimeoutPhase, chain};
use crate::exchange::{ExchangeKind, ExchangeObserver, ExchangeRecord, ExchangeStart};
use crate::payload::{AlreadySent, Payload};
use crate::weather::{Climate, Question};

/// The connections of one upstream.
pub(crate) struct Transport {
    egress: Egress,
    timeouts: Timeouts,
    upstream: Arc<str>,
    observer: Arc<dyn ExchangeObserver>,
    climate: Climate,
}

/// Which attempt of a call this is, and when the call must have an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt {
    /// Counted from 1.
    pub(crate) number: u32,
    /// When the last of its answers must have begun.
    pub(crate) deadline: Instant,
    /// In whose name it is asked: rate limits and waits are by account.
    pub(crate) account: CredentialId,
}

/// One request.
pub(crate) struct Outgoing<'a> {
    pub(crate) method: &'a Method,
    pub(crate) url: &'a Url,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) authorization: Option<&'a HeaderValue>,
    pub(crate) traceparent: Option<&'a HeaderValue>,
    /// What is sent along.
    pub(crate) body: Payload,
    pub(crate) kind: ExchangeKind,
    pub(crate) attempt: Attempt,
}

impl Transport {
    pub(crate) fn new(
        config: &UpstreamConfig,
        egress: Egress,
        upstream: &Arc<str>,
        observer: Arc<dyn ExchangeObserver>,
    ) -> Self {
        let (timeouts, climate) = (config.timeouts.clone(), config.climate.clone());
        Self { egress, timeouts, upstream: upstream.clone(), observer, climate }
    }

    pub(crate) fn upstream(&self) -> &Arc<str> {
        &self.upstream
    }

    /// Under which name an account of the host is reported.
    pub(crate) fn name_account(&self, url: &Url, account: CredentialId, name: &Arc<str>) {
        self.climate.at(url).name_account(account, name);
    }

    pub(crate) fn refused(&self, what: impl Into<String>) -> ClientError {
        ClientError::Refused { upstream: self.upstream.clone(), what: what.into() }
    }

    /// Refuses a URL whose host is an address out of reach.
    pub(crate) fn admit(&self, url: &Url) -> Result<(), ClientError> {
        self.egress.admit(url).map_err(|refused| self.refused(refused.to_string()))
    }

    /// The URL as one of the upstream, where it names one of the servers of the upstream's service.
    pub(crate) fn canonical(&self, url: Url) -> Url {
        self.egress.canonical(url)
    }

    /// The same for a URL as it stands in a challenge; what is no URL stays as it is.
    pub(crate) fn canonical_text(&self, text: &str) -> String {
        Url::parse(text).map_or_else(|_| text.to_owned(), |url| self.canonical(url).into())
    }

    /// The servers that requests for `url` go to, in the order to try.
    pub(crate) async fn servers(&self, url: &Url) -> Result<Vec<Url>, String> {
        self.egress.destinations(url).await
    }

    /// All addresses of a name, admitted or not.
    pub(crate) async fn look_up(&self, name: &str) -> std::io::Result<Vec<std::net::IpAddr>> {
        self.egress.look_up(name).await
    }

    /// Sends the request; the answer counts as given by who was asked.
    pub(crate) async fn send(&self, outgoing: &Outgoing<'_>) -> Result<Answer, ClientError> {
        let mut destinations = self.destinations(outgoing).await?.into_iter().peekable();
        while let Some(url) = destinations.next() {
            let outcome = self.send_to(&url, outgoing).await;
            if matches!(&outcome, Err(error) if is_without_connection(error)) {
                self.egress.unreachable(&url);
                if destinations.peek().is_some() && Instant::now() < outgoing.attempt.deadline {
                    continue;
                }
            }
            // Of several servers, one that rests says nothing of the next.
            if matches!(outcome, Err(ClientError::CircuitOpen { .. })) && destinations.peek().is_some() {
                continue;
            }
            return outcome;
        }
        Err(self.undiscovered("no server is known".to_owned()))
    }

    async fn destinations(&self, outgoing: &Outgoing<'_>) -> Result<Vec<Url>, ClientError> {
        match timeout_at(outgoing.attempt.deadline, self.egress.destinations(outgoing.url)).await {
            Ok(found) => found.map_err(|what| self.undiscovered(what)),
            Err(_) => Err(ClientError::Timeout { upstream: self.upstream.clone(), phase: TimeoutPhase::Connect }),
        }
    }

    fn undiscovered(&self, what: String) -> ClientError {
        let source = Arc::new(std::io::Error::other(what.clone()));
        ClientError::Unreachable { upstream: self.upstream.clone(), what, source }
    }

    async fn send_to(&self, url: &Url, outgoing: &Outgoing<'_>) -> Result<Answer, ClientError> {
        self.admit(url)?;
        let Outgoing { method, kind, attempt, .. } = *outgoing;
        let question = Question { method, kind, account: attempt.account };
        let body = outgoing.body.body().map_err(|AlreadySent| self.sent_before())?;
        let admission = self.climate.at(url).admit(&question)?;
        let asked_at = Instant::now();
        let start = ExchangeStart {
            upstream: &self.upstream,
            method: outgoing.method,
            url,
            kind: outgoing.kind,
            attempt: outgoing.attempt.number,
        };
        let mut record = ExchangeRecord::begin(&self.observer, &start);
        let request = request(url, outgoing, body);
        record.sends(request.headers());
        let head = noting(record.connect_slot(), self.egress.client(url).execute(request));
        let patience = Instant::now() + self.timeouts.first_byte;
        let give_up = attempt.deadline.min(patience);
        let failure = match self.head(head, &outgoing.body, give_up).await {
            Ok(Ok(response)) => {
                self.note_address(url, &response, &record);
                record.head(response.status(), response.headers());
                admission.answered(response.status(), response.headers(), asked_at.elapsed());
                return Ok(self.answer(response, record));
            }
            Ok(Err(error)) => self.failure(error.without_url()),
            Err(_) => ClientError::Timeout { upstream: self.upstream.clone(), phase: TimeoutPhase::FirstByte },
        };
        // An attempt that was cut short by the call's own deadline says nothing.
        let in_full = Instant::now() < give_up || give_up == patience;
        if in_full && is_the_hosts_fault(&failure, record.is_on_new_connection()) {
            admission.failed();
        }
        record.fail(failure.to_string());
        Err(failure)
    }

    /// Waits for the head of an answer: until `give_up`, or, while a stream is sent, as long as bytes of it leave.
    async fn head<T>(&self, head: impl Future<Output = T>, body: &Payload, give_up: Instant) -> Result<T, Elapsed> {
        let mut head = std::pin::pin!(head);
        let Some(mut sent) = body.streamed() else { return timeout_at(give_up, head).await };
        loop {
            let waited = timeout(self.timeouts.first_byte, head.as_mut()).await;
            let now = body.streamed().unwrap_or_default();
            if waited.is_ok() || now == sent {
                return waited;
            }
            sent = now;
        }
    }

    fn sent_before(&self) -> ClientError {
        let what = "what was sent has to be sent again".to_owned();
        ClientError::Interrupted { upstream: self.upstream.clone(), received: 0, what, source: None }
    }

    /// Which of several addresses answered is known of new connections only.
    fn note_address(&self, url: &Url, response: &reqwest::Response, record: &ExchangeRecord) {
        if record.connect_slot().get().is_some()
            && let Some(address) = response.remote_addr()
        {
            self.egress.connected(url, address.ip());
        }
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

/// Whether nothing was sent, because there was nobody to send it to.
fn is_without_connection(error: &ClientError) -> bool {
    matches!(error, ClientError::Unreachable { .. } | ClientError::Timeout { phase: TimeoutPhase::Connect, .. })
}

/// Whether a failure without an answer counts against the host. A connection from the pool may have been closed while it
/// was idle, which says nothing.
fn is_the_hosts_fault(failure: &ClientError, new_connection: bool) -> bool {
    matches!(failure, ClientError::Timeout { .. } | ClientError::Unreachable { .. })
        || (new_connection && matches!(failure, ClientError::Interrupted { .. }))
}

fn request(url: &Url, outgoing: &Outgoing<'_>, body: Option<reqwest::Body>) -> reqwest::Request {
    let mut request = reqwest::Request::new(outgoing.method.clone(), url.clone());
    let headers = request.headers_mut();
    headers.clone_from(outgoing.headers);
    headers.entry(ACCEPT_ENCODING).or_insert(HeaderValue::from_static("identity"));
    if let Some(authorization) = outgoing.authorization {
        headers.insert(AUTHORIZATION, authorization.clone());
    }
    if let Some(traceparent) = outgoing.traceparent {
        headers.insert("traceparent", traceparent.clone());
    }
    *request.body_mut() = body;
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
