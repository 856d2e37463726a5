//! Sends a request with what the upstream was seen to want, and answers its challenge when that is not enough.
//!
//! Anonymous first: nothing is sent before the upstream has asked for it, and it is the challenge of the actual request
//! that counts, not that of `/v2/` (GHCR's there names a placeholder). What a scope needed is remembered (`scheme`), so
//! the next request for it needs no 401 first; `offer` makes the header. Must not know how answers are used. Invariants:
//! the credential and tokens go to the upstream's own origin or an admitted realm; one request is sent at most three
//! times, a credential once.

mod offer;
mod outlook;
mod scheme;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use http::{HeaderMap, Method, StatusCode};
use tokio::time::{Duration, Instant};
use url::Url;

use self::offer::Offer;
pub use self::outlook::Login;
pub(crate) use self::scheme::{MAX_SCOPES, challenges};
use self::scheme::{Scheme, Schemes, TokenSource};
use crate::answer::{Answer, AnsweredBy};
use crate::basic::{Credential, CredentialId};
use crate::credentials::{Accounts, CredentialStore, Resolved};
use crate::error::ClientError;
use crate::exchange::ExchangeKind;
use crate::payload::Payload;
use crate::realm::RealmRule;
use crate::redirect::{Journey, MayLeave, follow};
use crate::secret::Secret;
use crate::token_cache::TokenCache;
use crate::trace_context;
use crate::transport::{Attempt, Transport};
use crate::upstream_error::read_start;
use crate::weather::{Cost, wait_hint};

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
    /// What to ask a token for besides, whatever the challenge names: who looks whether a blob is there is about to push it.
    pub(crate) insists: Vec<String>,
    /// What is sent along.
    pub(crate) body: Payload,
}

impl Call {
    /// By what the scheme is remembered: calls that need other tokens must not share one.
    fn memory(&self) -> Option<String> {
        let scope = self.scope.as_ref()?;
        Some(self.insists.iter().fold(scope.clone(), |all, more| all + " " + more))
    }

    /// What is sent along is for the registry alone.
    fn may_leave(&self) -> MayLeave<'static> {
        match self.method {
            Method::GET | Method::HEAD => MayLeave::Origin,
            _ => MayLeave::Nothing,
        }
    }

    fn cost(&self) -> Cost {
        Cost::of(&self.method, self.kind)
    }
}

/// The state of the handshake with one upstream.
pub(crate) struct Handshake {
    accounts: Accounts,
    realms: RealmRule,
    tokens: TokenCache,
    schemes: Schemes,
    /// In whose name the last call was answered.
    last_account: Mutex<CredentialId>,
}

impl Handshake {
    pub(crate) fn new(accounts: Accounts, realms: RealmRule) -> Self {
        Self {
            accounts,
            realms,
            tokens: TokenCache::default(),
            schemes: Schemes::default(),
            last_account: Mutex::new(CredentialId::Anonymous),
        }
    }

    /// The handshake of somebody else with the same upstream: nothing learnt or got with one credential serves another.
    pub(crate) fn with_credential(&self, credential: Option<Credential>) -> Self {
        let store = credential.map_or_else(CredentialStore::anonymous, CredentialStore::fixed);
        Self::new(self.accounts.with_store(store), self.realms.clone())
    }

    /// Whose rate limit the next call for `scope` will most likely use.
    pub(crate) fn likely_account(&self, scope: Option<&str>) -> CredentialId {
        match self.schemes.recall(scope) {
            Some(_) => self.accounts.likely(scope),
            None => self.last_account(),
        }
    }

    /// In whose name the last call was answered.
    pub(crate) fn last_account(&self) -> CredentialId {
        *self.last_account.lock().unwrap_or_else(PoisonError::into_inner)
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
        let mut secrets = self.accounts.secrets();
        secrets.extend(self.tokens.texts());
        secrets
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
            offered = self.authorize(transport, &scheme, call.scope.as_deref(), by, attempt).await?;
            answer = travel(transport, call, offered.as_ref(), attempt).await?;
            if answer.status != StatusCode::UNAUTHORIZED || answer.by == AnsweredBy::Elsewhere {
                self.schemes.remember(call, scheme);
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
    ) -> Result<Option<Offer>, ClientError> {
        let scope = call.scope.as_deref();
        let Some(scheme) = self.schemes.recall(call.memory().as_deref()) else { return Ok(None) };
        let by = self.accounts.pick(scope, call.cost()).await?;
        // The realm that was remembered may be gone: the next attempt hears the upstream's challenge again.
        self.authorize(transport, &scheme, scope, by, attempt).await.inspect_err(|_| self.schemes.forget(call))
    }

    /// What to offer after a 401, and whose credential; none when there is nothing new.
    async fn next_offer(
        &self,
        transport: &Transport,
        answer: &Answer,
        call: &Call,
        offered: Option<&Offer>,
        round: Round,
    ) -> Result<Option<(Scheme, Option<Arc<Resolved>>)>, ClientError> {
        let scope = call.scope.as_deref();
        let by = match (offered, round) {
            (None, _) => self.accounts.pick(scope, call.cost()).await?,
            // The same credential a second time would only count as another failed login.
            (Some(Offer::Configured { by, .. }), _) => match self.accounts.another(scope, by).await? {
                Some(next) => Some(next),
                None => return Ok(None),
            },
            // A token may have been revoked; one that is just made will not be better the second time.
            (Some(Offer::Token { by, .. }), Round::First) => by.clone(),
            (Some(Offer::Token { .. }), Round::Second) => return Ok(None),
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
            let realm = challenge.param("realm");
            let realm = realm.ok_or_else(|| answer.protocol("a Bearer challenge without a realm"))?;
            // Judged before the answer is let go, and again whenever somebody's credential would go there.
            let realm = self.admit(transport, realm, by)?.url().to_string();
            return Ok(Some(Scheme::Bearer(Arc::new(TokenSource::read(answer, challenge, call, realm)?))));
        }
        Ok(with("basic").filter(|_| matches!(credential, Some(Credential::Basic { .. }))).map(|_| Scheme::Configured))
    }

    /// An account that has used up its share rests while others have some left.
    fn note_limit(&self, answer: &Answer, offered: Option<&Offer>) {
        let by = offered.and_then(Offer::by);
        *self.last_account.lock().unwrap_or_else(PoisonError::into_inner) =
            by.map_or(CredentialId::Anonymous, |by| by.id);
        if answer.status == StatusCode::TOO_MANY_REQUESTS
            && answer.by == AnsweredBy::Asked
            && let Some(by) = by
        {
            let wait = wait_hint(&answer.headers, SystemTime::now()).unwrap_or(REST);
            self.accounts.rest(by, Instant::now() + wait);
        }
    }

    /// Forgets what the upstream did not take.
    fn withdraw(&self, call: &Call, offered: Option<&Offer>) {
        match offered {
            Some(Offer::Token { text, key, .. }) => self.tokens.reject(key, text),
            Some(Offer::Configured { .. }) => self.schemes.forget(call),
            None => {}
        }
    }
}

async fn travel(
    transport: &Transport,
    call: &Call,
    offered: Option<&Offer>,
    attempt: Attempt,
) -> Result<Answer, ClientError> {
    let by = offered.and_then(Offer::by);
    let attempt = Attempt { account: by.map_or(CredentialId::Anonymous, |by| by.id), ..attempt };
    if let Some(by) = by {
        transport.name_account(&call.url, attempt.account, &by.name);
    }
    let traceparent = trace_context::current();
    let journey = Journey {
        method: &call.method,
        url: &call.url,
        headers: &call.headers,
        authorization: offered.map(Offer::header),
        traceparent: traceparent.as_ref(),
        body: call.body.clone(),
        kind: call.kind,
        may_leave: call.may_leave(),
    };
    follow(transport, &journey, attempt).await
}
