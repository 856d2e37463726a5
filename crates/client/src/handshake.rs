//! Sends a request with what the upstream was seen to want, and answers its challenge when that is not enough.
//!
//! Anonymous first: nothing is sent before the upstream has asked for it, and it is the challenge of the actual request
//! that counts, not that of `/v2/` (GHCR's there names a placeholder). What a scope needed is remembered, so the next
//! request for it needs no 401 first. Must not know how answers are used. Invariants: the credential and tokens go to
//! the upstream's own origin or an admitted realm; one request is sent at most three times, a credential once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use oci::Challenge;
use tokio::time::Instant;
use url::Url;

use crate::answer::{Answer, AnsweredBy};
use crate::basic::{Credential, CredentialId, basic_header, bearer_header};
use crate::bearer::{self, TokenRequest};
use crate::credentials::{Accounts, CredentialStore, Resolved};
use crate::error::ClientError;
use crate::exchange::ExchangeKind;
use crate::realm::{Holding, Realm, RealmRule};
use crate::redirect::{Journey, MayLeave, follow};
use crate::secret::Secret;
use crate::token_cache::{TokenCache, TokenKey};
use crate::trace_context;
use crate::transport::{Attempt, Transport};
use crate::upstream_error::read_start;
use crate::weather::wait_hint;

/// Most scopes remembered; beyond, all are forgotten and cost one 401 each again.
const MAX_REMEMBERED: usize = 4096;

/// Most scopes taken from one challenge.
pub(crate) const MAX_SCOPES: usize = 8;

/// How long an account rests after a 429 that names no time.
const REST: Duration = Duration::from_mins(1);

/// A 401 is answered at most twice: a token that was revoked, then a password that was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    First,
    Second,
}

impl Round {
    const ALL: [Self; 2] = [Self::First, Self::Second];
}

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

/// Where a scope's tokens come from. The realm is judged anew for each credential that would go there.
#[derive(Debug)]
struct TokenSource {
    realm: String,
    service: Option<String>,
    /// Sorted.
    scopes: Vec<String>,
}

/// What is sent as `Authorization`, and where it came from.
enum Authorization {
    Configured { header: HeaderValue, by: Arc<Resolved> },
    Token { header: HeaderValue, text: Secret, key: TokenKey, by: Option<Arc<Resolved>> },
}

impl Authorization {
    fn by(&self) -> Option<&Arc<Resolved>> {
        match self {
            Self::Configured { by, .. } => Some(by),
            Self::Token { by, .. } => by.as_ref(),
        }
    }
}

/// The state of the handshake with one upstream.
pub(crate) struct Handshake {
    accounts: Accounts,
    realms: RealmRule,
    tokens: TokenCache,
    remembered: Mutex<HashMap<Option<String>, Scheme>>,
    /// In whose name the last call was answered.
    last_account: Mutex<CredentialId>,
}

impl Handshake {
    pub(crate) fn new(accounts: Accounts, realms: RealmRule) -> Self {
        Self {
            accounts,
            realms,
            tokens: TokenCache::default(),
            remembered: Mutex::default(),
            last_account: Mutex::new(CredentialId::Anonymous),
        }
    }

    /// The handshake of somebody else with the same upstream: nothing learnt or got with one credential serves another.
    pub(crate) fn with_credential(&self, credential: Option<Credential>) -> Self {
        let store = credential.map_or_else(CredentialStore::anonymous, CredentialStore::fixed);
        Self::new(self.accounts.with_store(store), self.realms.clone())
    }

    /// In whose name the last call was answered: whose rate limit the next one will most likely use.
    pub(crate) fn last_account(&self) -> CredentialId {
        *self.last_account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the token for `scope` ends, if it needs one and has one.
    pub(crate) fn token_ends(&self, scope: Option<&str>) -> Option<Instant> {
        self.lives(scope).map(|lives| Instant::now() + lives)
    }

    /// What was configured.
    pub(crate) fn store(&self) -> &CredentialStore {
        self.accounts.store()
    }

    /// Whether there is no credential at all.
    pub(crate) fn is_anonymous(&self) -> bool {
        self.store().is_anonymous()
    }

    /// What must not turn up in messages.
    pub(crate) fn secrets(&self) -> Vec<Secret> {
        self.accounts.secrets()
    }

    /// Sends the call. The answer may still be a 401: then there is nothing more we could offer.
    pub(crate) async fn send(
        &self,
        transport: &Transport,
        call: &Call,
        attempt: Attempt,
    ) -> Result<Answer, ClientError> {
        let mut offered = self.recalled_offer(transport, call, attempt).await?;
        let mut answer = travel(transport, call, offered.as_ref(), attempt).await?;
        for round in Round::ALL {
            self.note_limit(&answer, offered.as_ref());
            if answer.status != StatusCode::UNAUTHORIZED || answer.by == AnsweredBy::Elsewhere {
                return Ok(answer);
            }
            self.withdraw(call, offered.as_ref());
            let (scheme, by) = match self.next_offer(transport, &answer, call, offered.as_ref(), round).await {
                Ok(Some(next)) => next,
                Ok(None) => return Ok(answer),
                Err(error) => return Err(answer.reject(error)),
            };
            read_start(answer).await;
            offered = self.authorize(transport, &scheme, call, by, attempt).await?;
            answer = travel(transport, call, offered.as_ref(), attempt).await?;
            if answer.status != StatusCode::UNAUTHORIZED || answer.by == AnsweredBy::Elsewhere {
                self.remember(call, scheme);
            }
        }
        self.note_limit(&answer, offered.as_ref());
        if answer.status == StatusCode::UNAUTHORIZED && answer.by == AnsweredBy::Asked {
            self.withdraw(call, offered.as_ref());
        }
        Ok(answer)
    }

    /// What this scope needed the last time.
    async fn recalled_offer(
        &self,
        transport: &Transport,
        call: &Call,
        attempt: Attempt,
    ) -> Result<Option<Authorization>, ClientError> {
        let Some(scheme) = self.recall(call) else { return Ok(None) };
        let by = self.accounts.pick(call.scope.as_deref()).await?;
        // The realm that was remembered may be gone: the next attempt hears the upstream's challenge again.
        self.authorize(transport, &scheme, call, by, attempt).await.inspect_err(|_| self.forget(call))
    }

    /// What to offer after a 401, and whose credential; none when there is nothing new.
    async fn next_offer(
        &self,
        transport: &Transport,
        answer: &Answer,
        call: &Call,
        offered: Option<&Authorization>,
        round: Round,
    ) -> Result<Option<(Scheme, Option<Arc<Resolved>>)>, ClientError> {
        let scope = call.scope.as_deref();
        let by = match (offered, round) {
            (None, _) => self.accounts.pick(scope).await?,
            // The same credential a second time would only count as another failed login.
            (Some(Authorization::Configured { by, .. }), _) => match self.accounts.another(scope, by).await? {
                Some(next) => Some(next),
                None => return Ok(None),
            },
            // A token may have been revoked; one that is just made will not be better the second time.
            (Some(Authorization::Token { by, .. }), Round::First) => by.clone(),
            (Some(Authorization::Token { .. }), Round::Second) => return Ok(None),
        };
        Ok(self.wanted(transport, answer, call, by.as_deref())?.map(|scheme| (scheme, by)))
    }

    /// What the 401 asks for, if we can give it: Bearer before Basic. A realm we do not go to is an error.
    fn wanted(
        &self,
        transport: &Transport,
        answer: &Answer,
        call: &Call,
        by: Option<&Resolved>,
    ) -> Result<Option<Scheme>, ClientError> {
        let challenges = challenges(answer)?;
        let with = |scheme: &str| challenges.iter().find(|challenge| challenge.scheme == scheme);
        let credential = by.map(|by| &by.credential);
        if let Some(challenge) = with("bearer") {
            if matches!(credential, Some(Credential::Bearer(_))) {
                return Ok(Some(Scheme::Configured));
            }
            return self.bearer_scheme(transport, answer, challenge, call, by).map(Some);
        }
        Ok(with("basic").filter(|_| matches!(credential, Some(Credential::Basic { .. }))).map(|_| Scheme::Configured))
    }

    fn bearer_scheme(
        &self,
        transport: &Transport,
        answer: &Answer,
        challenge: &Challenge,
        call: &Call,
        by: Option<&Resolved>,
    ) -> Result<Scheme, ClientError> {
        let realm = challenge.param("realm").ok_or_else(|| answer.protocol("a Bearer challenge without a realm"))?;
        // Judged before the answer is let go, and again whenever somebody's credential would go there.
        let realm = self.admit(transport, realm, by)?;
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
        let service = challenge.param("service").map(str::to_owned);
        Ok(Scheme::Bearer(Arc::new(TokenSource { realm: realm.url().to_string(), service, scopes })))
    }

    /// The realm, when what is held may go there.
    fn admit(&self, transport: &Transport, realm: &str, by: Option<&Resolved>) -> Result<Realm, ClientError> {
        let refused = |what: String| transport.refused(what);
        let holding = if by.is_some() { Holding::Credential } else { Holding::Nothing };
        let realm = self.realms.admit(&transport.canonical_text(realm), holding).map_err(refused)?;
        if matches!(by.map(|by| &by.credential), Some(Credential::IdentityToken(_))) {
            self.realms.admit_identity(&realm).map_err(refused)?;
        }
        Ok(realm)
    }

    /// Makes the `Authorization` value; none when the scheme needs a credential that we do not have. When the token server
    /// refuses the login, another account or a renewed credential gets one try.
    async fn authorize(
        &self,
        transport: &Transport,
        scheme: &Scheme,
        call: &Call,
        by: Option<Arc<Resolved>>,
        attempt: Attempt,
    ) -> Result<Option<Authorization>, ClientError> {
        let source = match scheme {
            Scheme::Configured => return Ok(by.and_then(configured)),
            Scheme::Bearer(source) => source,
        };
        let refusal = match self.token(transport, source, by.clone(), attempt).await {
            Err(error @ ClientError::Unauthorized { .. }) => error,
            outcome => return outcome.map(Some),
        };
        let Some(refused) = by else { return Err(refusal) };
        match self.accounts.another(call.scope.as_deref(), &refused).await? {
            Some(next) => self.token(transport, source, Some(next), attempt).await.map(Some),
            None => Err(refusal),
        }
    }

    /// A token for this credential, from memory or the realm.
    async fn token(
        &self,
        transport: &Transport,
        source: &TokenSource,
        by: Option<Arc<Resolved>>,
        attempt: Attempt,
    ) -> Result<Authorization, ClientError> {
        let TokenSource { realm, service, scopes } = source;
        let credential = by.as_ref().map(|by| &by.credential);
        let attempt = Attempt { account: CredentialId::of(credential), ..attempt };
        let key = TokenKey {
            realm: realm.clone(),
            service: service.clone(),
            scopes: scopes.clone(),
            credential: CredentialId::of(credential),
        };
        let realm = self.admit(transport, realm, by.as_deref())?;
        let request = TokenRequest { realm: &realm, service: service.as_deref(), scopes, credential };
        let text = self.tokens.get(&key, || bearer::fetch(transport, &request, attempt)).await?.text;
        let header = bearer_header(&text).ok_or_else(|| ClientError::Protocol {
            upstream: transport.upstream().clone(),
            what: "a token that no header can carry".to_owned(),
        })?;
        Ok(Authorization::Token { header, text, key, by })
    }

    /// An account that has used up its share rests while others have some left.
    fn note_limit(&self, answer: &Answer, offered: Option<&Authorization>) {
        let by = offered.and_then(Authorization::by);
        *self.last_account.lock().unwrap_or_else(PoisonError::into_inner) =
            CredentialId::of(by.map(|by| &by.credential));
        if answer.status == StatusCode::TOO_MANY_REQUESTS
            && answer.by == AnsweredBy::Asked
            && let Some(by) = offered.and_then(Authorization::by)
        {
            let wait = wait_hint(&answer.headers, SystemTime::now()).unwrap_or(REST);
            self.accounts.rest(by, Instant::now() + wait);
        }
    }

    /// Whether tokens would be asked for at this realm; the error says why not.
    pub(crate) fn judge_realm(&self, realm: &str) -> Result<(), String> {
        let holding = if self.is_anonymous() { Holding::Nothing } else { Holding::Credential };
        self.realms.admit(realm, holding).map(|_| ())
    }

    /// How long the token is still good that a call like this one would be sent with.
    pub(crate) fn token_lives(&self, call: &Call) -> Option<Duration> {
        self.lives(call.scope.as_deref())
    }

    fn lives(&self, scope: Option<&str>) -> Option<Duration> {
        let source = match self.memory().get(&scope.map(str::to_owned))? {
            Scheme::Bearer(source) => source.clone(),
            Scheme::Configured => return None,
        };
        self.tokens
            .lives(|key| key.realm == source.realm && key.service == source.service && key.scopes == source.scopes)
    }

    /// What a call like this one would be sent with, going by what the last one needed.
    pub(crate) async fn offer(
        &self,
        transport: &Transport,
        call: &Call,
        attempt: Attempt,
    ) -> Result<Option<HeaderValue>, ClientError> {
        let Some(scheme) = self.recall(call) else { return Ok(None) };
        let by = self.accounts.pick(call.scope.as_deref()).await?;
        let offered = self.authorize(transport, &scheme, call, by, attempt).await?;
        Ok(offered.map(|offered| match offered {
            Authorization::Configured { header, .. } | Authorization::Token { header, .. } => header,
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
            Some(Authorization::Token { text, key, .. }) => self.tokens.reject(key, text),
            Some(Authorization::Configured { .. }) => self.forget(call),
            None => {}
        }
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, HashMap<Option<String>, Scheme>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The credential as the upstream itself takes it. A refresh token is for its token server alone.
fn configured(by: Arc<Resolved>) -> Option<Authorization> {
    let header = match &by.credential {
        Credential::Basic { username, password } => basic_header(username, password),
        Credential::Bearer(token) => bearer_header(token)?,
        Credential::IdentityToken(_) => return None,
    };
    Some(Authorization::Configured { header, by })
}

async fn travel(
    transport: &Transport,
    call: &Call,
    offered: Option<&Authorization>,
    attempt: Attempt,
) -> Result<Answer, ClientError> {
    let authorization = offered.map(|offered| match offered {
        Authorization::Configured { header, .. } | Authorization::Token { header, .. } => header,
    });
    let by = offered.and_then(Authorization::by);
    let attempt = Attempt { account: CredentialId::of(by.map(|by| &by.credential)), ..attempt };
    if let Some(by) = by {
        transport.name_account(&call.url, attempt.account, &by.name);
    }
    let traceparent = trace_context::current();
    let journey = Journey {
        method: &call.method,
        url: &call.url,
        headers: &call.headers,
        authorization,
        traceparent: traceparent.as_ref(),
        body: Bytes::new(),
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
