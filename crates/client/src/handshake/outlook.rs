//! What the next call of a scope would be sent with, going by what the last one needed; for those who report or explain.
//!
//! Must not change what is known. Invariants: a `Login` holds no secret; but for `header_for` nobody is asked.

use std::time::Duration;

use http::HeaderValue;
use tokio::time::Instant;
use url::Url;

use super::offer::Offer;
use super::scheme::Scheme;
use super::{Call, Handshake};
use crate::error::ClientError;
use crate::realm::Holding;
use crate::redact;
use crate::transport::{Attempt, Transport};

/// How the next call for one repository logs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// The upstream has not asked for a login for it so far.
    NotAskedFor,
    /// The credential goes with the call itself.
    Configured,
    /// A token goes with it.
    Token {
        /// The token server's URL, without the values of a query.
        realm: String,
        /// The `service` it is asked for.
        service: Option<String>,
        /// The scopes it is asked for, sorted.
        scopes: Vec<String>,
        /// How long the token is still good that is there; `None`: one is fetched first.
        lives: Option<Duration>,
    },
}

impl Handshake {
    /// How the next call for `scope` logs in.
    pub(crate) fn login(&self, scope: Option<&str>) -> Login {
        match self.schemes.recall(scope) {
            None => Login::NotAskedFor,
            Some(Scheme::Configured) => Login::Configured,
            Some(Scheme::Bearer(source)) => Login::Token {
                realm: Url::parse(&source.realm).map(|realm| redact::url(&realm)).unwrap_or_default(),
                service: source.service.clone(),
                scopes: source.scopes.clone(),
                lives: self.lives(scope),
            },
        }
    }

    /// When the token for `scope` ends, if it needs one and has one.
    pub(crate) fn token_ends(&self, scope: Option<&str>) -> Option<Instant> {
        self.lives(scope).map(|lives| Instant::now() + lives)
    }

    /// How long the token is still good that a call like this one would be sent with.
    pub(crate) fn token_lives(&self, call: &Call) -> Option<Duration> {
        self.lives(call.scope.as_deref())
    }

    /// Whether tokens would be asked for at this realm; the error says why not.
    pub(crate) fn judge_realm(&self, realm: &str) -> Result<(), String> {
        let holding = if self.is_anonymous() { Holding::Nothing } else { Holding::Credential };
        self.realms.admit(realm, holding).map(|_| ())
    }

    /// The `Authorization` that a call like this one would be sent with.
    pub(crate) async fn header_for(
        &self,
        transport: &Transport,
        call: &Call,
        attempt: Attempt,
    ) -> Result<Option<HeaderValue>, ClientError> {
        let scope = call.scope.as_deref();
        let Some(scheme) = self.schemes.recall(scope) else { return Ok(None) };
        let by = self.accounts.pick(scope, call.cost()).await?;
        let offered = self.authorize(transport, &scheme, scope, by, attempt).await?;
        Ok(offered.as_ref().map(Offer::header).cloned())
    }

    fn lives(&self, scope: Option<&str>) -> Option<Duration> {
        let source = match self.schemes.recall(scope)? {
            Scheme::Bearer(source) => source,
            Scheme::Configured => return None,
        };
        self.tokens
            .lives(|key| key.realm == source.realm && key.service == source.service && key.scopes == source.scopes)
    }
}
