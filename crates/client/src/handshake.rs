//! Sends a request with what the upstream was seen to want, and answers its challenge when that is not enough.
//!
//! Anonymous first: nothing is sent before the upstream has asked for it, and it is the challenge of the actual request
//! that counts, not that of `/v2/` (GHCR's there names a placeholder). What a scope needed is remembered, so the next
//! request for it needs no 401 first. Must not know how answers are used. Invariants: the credential and tokens go to
//! the upstream's own origin or an admitted realm; one request is sent at most twice.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use oci::Challenge;
use tokio::time::Instant;
use url::Url;

use crate::answer::{Answer, AnsweredBy};
use crate::basic::{Credential, CredentialId, basic_header, bearer_header};
use crate::bearer::{self, TokenRequest};
use crate::error::ClientError;
use crate::exchange::ExchangeKind;
use crate::realm::{Holding, Realm, RealmRule};
use crate::redirect::{Journey, MayLeave, follow};
use crate::secret::Secret;
use crate::token_cache::{TokenCache, TokenKey};
use crate::trace_context;
use crate::transport::{Attempt, Transport};
use crate::upstream_error::read_start;

/// Most scopes remembered; beyond, all are forgotten and cost one 401 each again.
const MAX_REMEMBERED: usize = 4096;

/// Most scopes taken from one challenge.
pub(crate) const MAX_SCOPES: usize = 8;

/// One request to the registry.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) kind: ExchangeKind,
    /// What to ask a token for when the challenge names no scope; none for `/v2/`.
    pub(crate) scope: Option<String>,
}

/// What a scope was seen to need.
#[derive(Clone, Debug)]
enum Scheme {
    /// The configured credential, sent to the upstream itself.
    Configured,
    /// A token from the realm.
    Bearer(Arc<TokenSource>),
}

/// Where a scope's tokens come from.
#[derive(Debug)]
struct TokenSource {
    realm: Realm,
    key: TokenKey,
}

/// What is sent as `Authorization`, and where it came from.
enum Authorization {
    Configured(HeaderValue),
    Token { header: HeaderValue, text: Secret, source: Arc<TokenSource> },
}

/// The state of the handshake with one upstream.
pub(crate) struct Handshake {
    credential: Option<Credential>,
    realms: RealmRule,
    tokens: TokenCache,
    remembered: Mutex<HashMap<Option<String>, Scheme>>,
}

impl Handshake {
    pub(crate) fn new(credential: Option<Credential>, realms: RealmRule) -> Self {
        Self { credential, realms, tokens: TokenCache::default(), remembered: Mutex::default() }
    }

    /// The handshake of somebody else with the same upstream: nothing learnt or got with one credential serves another.
    pub(crate) fn with_credential(&self, credential: Option<Credential>) -> Self {
        let holding = if credential.is_some() { Holding::Credential } else { Holding::Nothing };
        Self::new(credential, self.realms.holding(holding))
    }

    /// When the token for `scope` ends, if it needs one and has one.
    pub(crate) fn token_ends(&self, scope: &Option<String>) -> Option<Instant> {
        match self.memory().get(scope)? {
            Scheme::Bearer(source) => self.tokens.lives(&source.key).map(|lives| Instant::now() + lives),
            Scheme::Configured => None,
        }
    }

    pub(crate) fn credential(&self) -> Option<&Credential> {
        self.credential.as_ref()
    }

    /// Sends the call. The answer may still be a 401: then there is nothing more we could offer.
    pub(crate) async fn send(
        &self,
        transport: &Transport,
        call: &Call,
        attempt: Attempt,
    ) -> Result<Answer, ClientError> {
        let offered = match self.recall(call) {
            // The realm that was remembered may be gone: the next attempt hears the upstream's challenge again.
            Some(scheme) => self.authorize(transport, &scheme, attempt).await.inspect_err(|_| self.forget(call))?,
            None => None,
        };
        let first = travel(transport, call, offered.as_ref(), attempt).await?;
        if first.status != StatusCode::UNAUTHORIZED || first.by == AnsweredBy::Elsewhere {
            return Ok(first);
        }
        self.withdraw(call, offered.as_ref());
        let scheme = match self.wanted(transport, &first, call) {
            Ok(Some(scheme)) => scheme,
            Ok(None) => return Ok(first),
            Err(error) => return Err(first.reject(error)),
        };
        // The same configured credential a second time would only count as another failed login.
        if matches!(offered, Some(Authorization::Configured(_))) {
            return Ok(first);
        }
        read_start(first).await;
        let Some(offer) = self.authorize(transport, &scheme, attempt).await? else {
            return travel(transport, call, None, attempt).await;
        };
        let second = travel(transport, call, Some(&offer), attempt).await?;
        if second.status == StatusCode::UNAUTHORIZED && second.by == AnsweredBy::Asked {
            self.withdraw(call, Some(&offer));
        } else {
            self.remember(call, scheme);
        }
        Ok(second)
    }

    /// What the 401 asks for, if we can give it: Bearer before Basic. A realm we do not go to is an error.
    fn wanted(&self, transport: &Transport, answer: &Answer, call: &Call) -> Result<Option<Scheme>, ClientError> {
        let challenges = challenges(answer)?;
        let with = |scheme: &str| challenges.iter().find(|challenge| challenge.scheme == scheme);
        if let Some(challenge) = with("bearer") {
            if matches!(self.credential, Some(Credential::Bearer(_))) {
                return Ok(Some(Scheme::Configured));
            }
            return self.bearer_scheme(transport, answer, challenge, call).map(Some);
        }
        Ok(with("basic")
            .filter(|_| matches!(self.credential, Some(Credential::Basic { .. })))
            .map(|_| Scheme::Configured))
    }

    fn bearer_scheme(
        &self,
        transport: &Transport,
        answer: &Answer,
        challenge: &Challenge,
        call: &Call,
    ) -> Result<Scheme, ClientError> {
        let realm = challenge.param("realm").ok_or_else(|| answer.protocol("a Bearer challenge without a realm"))?;
        let realm = self
            .realms
            .admit(&transport.canonical_text(realm))
            .map_err(|what| ClientError::Refused { upstream: answer.upstream.clone(), what })?;
        let asked = challenge.param("scope").filter(|scope| !scope.trim().is_empty());
        let mut scopes: Vec<String> = match asked {
            Some(scopes) => scopes.split_ascii_whitespace().map(str::to_owned).collect(),
            None => call.scope.iter().cloned().collect(),
        };
        if scopes.len() > MAX_SCOPES {
            return Err(answer.protocol("a Bearer challenge with more than 8 scopes"));
        }
        scopes.sort();
        scopes.dedup();
        let key = TokenKey {
            realm: realm.url().to_string(),
            service: challenge.param("service").map(str::to_owned),
            scopes,
            credential: CredentialId::of(self.credential.as_ref()),
        };
        Ok(Scheme::Bearer(Arc::new(TokenSource { realm, key })))
    }

    /// Makes the `Authorization` value; none when the scheme needs a credential that we do not have.
    async fn authorize(
        &self,
        transport: &Transport,
        scheme: &Scheme,
        attempt: Attempt,
    ) -> Result<Option<Authorization>, ClientError> {
        match scheme {
            Scheme::Configured => Ok(self.configured().map(Authorization::Configured)),
            Scheme::Bearer(source) => {
                let TokenSource { realm, key } = &**source;
                let request = TokenRequest { realm, service: key.service.as_deref(), scopes: &key.scopes };
                let fetch = || bearer::fetch(transport, &request, self.credential.as_ref(), attempt);
                let text = self.tokens.get(key, fetch).await?.text;
                Ok(bearer_header(&text).map(|header| Authorization::Token { header, text, source: source.clone() }))
            }
        }
    }

    /// The configured credential as the upstream itself takes it.
    fn configured(&self) -> Option<HeaderValue> {
        match self.credential.as_ref()? {
            Credential::Basic { username, password } => Some(basic_header(username, password)),
            Credential::Bearer(token) => bearer_header(token),
        }
    }

    /// Whether tokens would be asked for at this realm; the error says why not.
    pub(crate) fn judge_realm(&self, realm: &str) -> Result<(), String> {
        self.realms.admit(realm).map(|_| ())
    }

    /// How long the token is still good that a call like this one would be sent with.
    pub(crate) fn token_lives(&self, call: &Call) -> Option<Duration> {
        match self.recall(call)? {
            Scheme::Bearer(source) => self.tokens.lives(&source.key),
            Scheme::Configured => None,
        }
    }

    /// What a call like this one would be sent with, going by what the last one needed.
    pub(crate) async fn offer(
        &self,
        transport: &Transport,
        call: &Call,
        attempt: Attempt,
    ) -> Result<Option<HeaderValue>, ClientError> {
        let Some(scheme) = self.recall(call) else { return Ok(None) };
        let offered = self.authorize(transport, &scheme, attempt).await?;
        Ok(offered.map(|offered| match offered {
            Authorization::Configured(header) | Authorization::Token { header, .. } => header,
        }))
    }

    fn recall(&self, call: &Call) -> Option<Scheme> {
        self.memory().get(&call.scope).cloned()
    }

    fn remember(&self, call: &Call, scheme: Scheme) {
        let mut memory = self.memory();
        if memory.len() >= MAX_REMEMBERED {
            memory.clear();
        }
        memory.insert(call.scope.clone(), scheme);
    }

    fn forget(&self, call: &Call) {
        self.memory().remove(&call.scope);
    }

    /// Forgets what the upstream did not take.
    fn withdraw(&self, call: &Call, offered: Option<&Authorization>) {
        match offered {
            Some(Authorization::Token { text, source, .. }) => self.tokens.reject(&source.key, text),
            Some(Authorization::Configured(_)) => self.forget(call),
            None => {}
        }
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, HashMap<Option<String>, Scheme>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn travel(
    transport: &Transport,
    call: &Call,
    offered: Option<&Authorization>,
    attempt: Attempt,
) -> Result<Answer, ClientError> {
    let authorization = offered.map(|offered| match offered {
        Authorization::Configured(header) | Authorization::Token { header, .. } => header,
    });
    let traceparent = trace_context::current();
    let journey = Journey {
        method: &call.method,
        url: &call.url,
        headers: &call.headers,
        authorization,
        traceparent: traceparent.as_ref(),
        kind: call.kind,
        may_leave: MayLeave::Origin,
    };
    follow(transport, &journey, attempt).await
}

/// All challenges of the answer. A header that cannot be read is an error: guessing what it wants is not safe.
pub(crate) fn challenges(answer: &Answer) -> Result<Vec<Challenge>, ClientError> {
    let mut all = Vec::new();
    for value in answer.headers.get_all(WWW_AUTHENTICATE) {
        let text = value.to_str().map_err(|_| answer.protocol("a WWW-Authenticate header that is not text"))?;
        all.extend(Challenge::parse_all(text).map_err(|error| answer.protocol(error.to_string()))?);
    }
    Ok(all)
}
