//! Redirects to registries: what one says counts as the upstream's word, and its challenge is answered as nobody.
//!
//! registry.k8s.io sends manifests on to a registry near the caller that has token servers of its own. Must not know
//! credentials: there is none in here to send. Invariants: only upstreams whose profile says so get this; a call is sent
//! at most once more; the realm is https, or the place the redirect led to.

use std::sync::Arc;

use http::StatusCode;
use oci::Challenge;
use url::Url;

use crate::answer::{Answer, AnsweredBy};
use crate::basic::{CredentialId, bearer_header};
use crate::bearer::{self, TokenRequest};
use crate::egress::Reach;
use crate::error::ClientError;
use crate::handshake::{Call, MAX_SCOPES, challenges};
use crate::payload::Payload;
use crate::profiles::Redirects;
use crate::realm::Realm;
use crate::redirect::{Journey, MayLeave, follow};
use crate::token_cache::{Token, TokenCache, TokenKey};
use crate::transport::{Attempt, Transport};
use crate::upstream_error::read_start;

/// The registries that an upstream redirects to.
pub(crate) struct Guests {
    redirects: Redirects,
    reach: Reach,
    tokens: TokenCache,
}

impl Guests {
    pub(crate) fn new(redirects: Redirects, reach: Reach) -> Self {
        Self { redirects, reach, tokens: TokenCache::default() }
    }

    /// Passes the answer on, after a login as nobody where it asks for one. What is no success counts as the upstream's
    /// own word from here on.
    pub(crate) async fn enter(
        &self,
        transport: &Transport,
        call: &Call,
        answer: Answer,
        attempt: Attempt,
    ) -> Result<Answer, ClientError> {
        match (self.redirects, answer.by) {
            (Redirects::ToRegistries, AnsweredBy::Elsewhere) => {}
            (Redirects::ToStores, _) | (Redirects::ToRegistries, AnsweredBy::Asked) => return Ok(answer),
        }
        let mut answer = if answer.status == StatusCode::UNAUTHORIZED {
            self.again(transport, call, answer, attempt).await?
        } else {
            answer
        };
        answer.by = if answer.status.is_success() { AnsweredBy::Elsewhere } else { AnsweredBy::Asked };
        Ok(answer)
    }

    async fn again(
        &self,
        transport: &Transport,
        call: &Call,
        answer: Answer,
        attempt: Attempt,
    ) -> Result<Answer, ClientError> {
        let place = answer.response.url().clone();
        let wanted = challenges(&answer).and_then(|all| {
            all.iter().find(|challenge| challenge.scheme == "bearer").map(|c| self.read(&answer, c, &place)).transpose()
        });
        let (realm, key) = match wanted {
            Ok(Some(wanted)) => wanted,
            Ok(None) => return Ok(answer),
            Err(error) => return Err(answer.reject(error)),
        };
        read_start(answer).await;
        let token = self.token(transport, &realm, &key, attempt).await?;
        let authorization = bearer_header(&token.text);
        let journey = Journey {
            method: &call.method,
            url: &place,
            headers: &call.headers,
            authorization: authorization.as_ref(),
            traceparent: None,
            body: Payload::Nothing,
            kind: call.kind,
            may_leave: MayLeave::Origin,
        };
        let answer = follow(transport, &journey, attempt).await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            self.tokens.reject(&key, &token.text);
        }
        Ok(answer)
    }

    fn read(&self, answer: &Answer, challenge: &Challenge, place: &Url) -> Result<(Realm, TokenKey), ClientError> {
        let realm = challenge.param("realm").ok_or_else(|| answer.protocol("a Bearer challenge without a realm"))?;
        let realm = Realm::of_guest(realm, place, self.reach)
            .map_err(|what| ClientError::Refused { upstream: Arc::clone(&answer.upstream), what })?;
        let scopes = challenge.param("scope").unwrap_or_default();
        let mut scopes: Vec<String> = scopes.split_ascii_whitespace().take(MAX_SCOPES).map(str::to_owned).collect();
        scopes.sort();
        scopes.dedup();
        let service = challenge.param("service").map(str::to_owned);
        let key = TokenKey { realm: realm.url().to_string(), service, scopes, credential: CredentialId::of(None) };
        Ok((realm, key))
    }

    async fn token(
        &self,
        transport: &Transport,
        realm: &Realm,
        key: &TokenKey,
        attempt: Attempt,
    ) -> Result<Token, ClientError> {
        let request = TokenRequest { realm, service: key.service.as_deref(), scopes: &key.scopes, credential: None };
        self.tokens.get(key, || bearer::fetch(transport, &request, attempt)).await
    }
}
