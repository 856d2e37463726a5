//! Asks the probe's questions through the client's own handshake and transport, and keeps what came as it came.
//!
//! The egress filter, the realm rule and the redirect rule hold for the probe as for a pull. Must not know what an
//! answer means. Invariants: nothing is asked that is not in the log; at most the cap of a body is kept in memory; a
//! status is never an error here.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http::header::RETRY_AFTER;
use http::{HeaderName, HeaderValue, Method};
use oci::RepositoryName;
use tokio::time::{Instant, timeout};
use url::Url;

use super::report::ProbeExchange;
use super::seen::{Body, Seen};
use crate::answer::Answer;
use crate::basic::CredentialId;
use crate::body::{BlobBody, Came};
use crate::config::UpstreamConfig;
use crate::error::ClientError;
use crate::exchange::{Exchange, ExchangeKind, ExchangeObserver};
use crate::handshake::Call;
use crate::payload::Payload;
use crate::registry_client::{RegistryClient, call};
use crate::transport::{Attempt, Outgoing};

/// Most exchanges written down; a probe makes about fifty.
const MAX_EXCHANGES: usize = 500;

/// Longest time a body may take; one that never ends must not end the probe.
const BODY_WAIT: Duration = Duration::from_secs(20);

/// One upstream under examination.
pub(super) struct Session {
    pub(super) client: RegistryClient,
    pub(super) config: UpstreamConfig,
    log: Arc<Log>,
    /// Status and `Retry-After` of the answers that asked us to come back later.
    put_off: Mutex<Vec<(u16, Option<String>)>>,
}

/// What is asked.
#[derive(Clone)]
pub(super) struct Question {
    call: Call,
    /// Most bytes of the body that are kept.
    cap: usize,
}

impl Question {
    pub(super) fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.call.headers.insert(name, value);
        }
        self
    }

    pub(super) fn call(&self) -> &Call {
        &self.call
    }
}

impl Session {
    pub(super) fn new(config: UpstreamConfig, observer: Arc<dyn ExchangeObserver>) -> Result<Self, ClientError> {
        let log = Arc::new(Log { next: observer, exchanges: Mutex::default() });
        let client = RegistryClient::new(config.clone(), log.clone())?;
        Ok(Self { client, config, log, put_off: Mutex::default() })
    }

    /// Where the registry is, without what is only about how it is found.
    pub(super) fn url(&self) -> &Url {
        self.client.endpoint().url()
    }

    /// A question about `/v2/`.
    pub(super) fn base(&self) -> Question {
        let call = call(Method::GET, self.client.endpoint().root(), ExchangeKind::Ping, None);
        Question { call, cap: 64 * 1024 }
    }

    /// A question about `/v2/<name>/<tail>`.
    pub(super) fn content(&self, method: Method, name: &RepositoryName, tail: &str, cap: usize) -> Question {
        let kind = match tail.split('/').next() {
            Some("blobs") => ExchangeKind::Blob,
            Some("tags") => ExchangeKind::Tags,
            Some(_) | None => ExchangeKind::Manifest,
        };
        let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
        let endpoint = self.client.endpoint();
        let mut url = endpoint.content(name, path);
        if !query.is_empty() {
            url.set_query(Some(query));
        }
        Question { call: call(method, url, kind, Some(endpoint.pull_scope(name))), cap }
    }

    /// Asks as a pull would: logs in when that is asked for, follows redirects.
    pub(super) async fn ask(&self, question: &Question) -> Result<Seen, ClientError> {
        let (handshake, transport) = (self.client.handshake(), self.client.transport());
        let started = Instant::now();
        let answer = match handshake.send(transport, &question.call, self.attempt()).await {
            // A connection that the server had closed, or garbled by a length that was not true: a new one tells.
            Err(ClientError::Interrupted { received: 0, .. }) => {
                handshake.send(transport, &question.call, self.attempt()).await?
            }
            answer => answer?,
        };
        Ok(self.see(answer, started, question).await)
    }

    /// Asks with the login known from earlier questions, and follows nothing.
    pub(super) async fn ask_here(&self, question: &Question) -> Result<Seen, ClientError> {
        let transport = self.client.transport();
        let offered = self.client.handshake().header_for(transport, &question.call, self.attempt()).await?;
        self.send(&question.call.url, question, offered.as_ref()).await
    }

    /// Asks without any login, and follows nothing.
    pub(super) async fn ask_anonymously(&self, question: &Question) -> Result<Seen, ClientError> {
        self.send(&question.call.url, question, None).await
    }

    /// Asks at a place that a redirect led to, without any login.
    pub(super) async fn ask_elsewhere(&self, place: &Url, question: &Question) -> Result<Seen, ClientError> {
        self.send(place, question, None).await
    }

    async fn send(
        &self,
        url: &Url,
        question: &Question,
        authorization: Option<&HeaderValue>,
    ) -> Result<Seen, ClientError> {
        let started = Instant::now();
        let outgoing = Outgoing {
            method: &question.call.method,
            url,
            headers: &question.call.headers,
            authorization,
            traceparent: None,
            body: Payload::Nothing,
            kind: question.call.kind,
            attempt: self.attempt(),
        };
        let answer = self.client.transport().send(&outgoing).await?;
        Ok(self.see(answer, started, question).await)
    }

    fn attempt(&self) -> Attempt {
        // Room for a challenge, a token and a redirect.
        let deadline = Instant::now() + self.config.timeouts.first_byte * 2;
        Attempt { number: 1, deadline, account: CredentialId::Anonymous }
    }

    async fn see(&self, answer: Answer, started: Instant, question: &Question) -> Seen {
        let took = started.elapsed();
        let retry_after = answer.headers.get(RETRY_AFTER).map(|value| String::from_utf8_lossy(value.as_bytes()).into());
        if matches!(answer.status.as_u16(), 429 | 503) {
            lock(&self.put_off).push((answer.status.as_u16(), retry_after));
        }
        let mut seen = Seen {
            status: answer.status.as_u16(),
            version: answer.response.version(),
            headers: answer.headers.clone(),
            place: answer.response.url().clone(),
            passed: answer.passed.clone(),
            new_connection: answer.record.connect_slot().get().copied(),
            took,
            body: Body::default(),
        };
        seen.body = read(answer, question.cap).await;
        seen
    }

    /// The answers that asked us to come back later: status and `Retry-After`.
    pub(super) fn put_off(&self) -> Vec<(u16, Option<String>)> {
        lock(&self.put_off).clone()
    }

    /// Everything asked so far.
    pub(super) fn exchanges(&self) -> Vec<ProbeExchange> {
        lock(&self.log.exchanges).clone()
    }
}

/// Reads at most `cap` bytes; what broke the body is kept beside them.
async fn read(answer: Answer, cap: usize) -> Body {
    let mut stream = BlobBody::new(answer, None);
    let mut bytes = BytesMut::new();
    let (mut broken, mut more) = (None, false);
    let reading = async {
        while let Some(piece) = stream.next().await {
            match piece {
                Ok(piece) => bytes.extend_from_slice(&piece),
                Err(error) => {
                    broken = Some(error.to_string());
                    break;
                }
            }
            if bytes.len() > cap {
                bytes.truncate(cap);
                more = true;
                break;
            }
        }
    };
    if timeout(BODY_WAIT, reading).await.is_err() {
        broken = Some(format!("it did not end within {} s", BODY_WAIT.as_secs()));
        stream.enough(Came::TooSlowly);
    } else {
        stream.enough(Came::InTime);
    }
    Body { bytes: Bytes::from(bytes), broken, more }
}

/// Writes exchanges down and passes them on.
struct Log {
    next: Arc<dyn ExchangeObserver>,
    exchanges: Mutex<Vec<ProbeExchange>>,
}

impl ExchangeObserver for Log {
    fn exchange(&self, exchange: &Exchange) {
        self.next.exchange(exchange);
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let mut exchanges = lock(&self.exchanges);
        if exchanges.len() < MAX_EXCHANGES {
            exchanges.push(ProbeExchange {
                method: exchange.method.to_string(),
                url: exchange.url.clone(),
                status: exchange.status,
                first_byte_ms: millis(exchange.first_byte),
                connect_ms: exchange.connect.map(millis),
                bytes: exchange.bytes,
                error: exchange.error.clone(),
            });
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
