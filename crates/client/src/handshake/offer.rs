//! What is offered to the upstream: the `Authorization` of one request, and whose it is.
//!
//! Must not know when an offer is made. Invariants: a token is got at an admitted realm only, in the name of one
//! credential; a refresh token never becomes an offer to the upstream itself.

use std::sync::Arc;

use http::HeaderValue;

use super::Handshake;
use super::scheme::{Scheme, TokenSource};
use crate::basic::{Credential, CredentialId, basic_header, bearer_header};
use crate::bearer::{self, TokenRequest};
use crate::credentials::Resolved;
use crate::error::ClientError;
use crate::realm::{Holding, Realm};
use crate::secret::Secret;
use crate::token_cache::TokenKey;
use crate::transport::{Attempt, Transport};

/// What is sent as `Authorization`, and where it came from.
pub(super) enum Offer {
    Configured { header: HeaderValue, by: Arc<Resolved> },
    Token { header: HeaderValue, text: Secret, key: TokenKey, by: Option<Arc<Resolved>> },
}

impl Offer {
    /// Whose it is; nobody's when the token was got anonymously.
    pub(super) fn by(&self) -> Option<&Arc<Resolved>> {
        match self {
            Self::Configured { by, .. } => Some(by),
            Self::Token { by, .. } => by.as_ref(),
        }
    }

    pub(super) fn header(&self) -> &HeaderValue {
        match self {
            Self::Configured { header, .. } | Self::Token { header, .. } => header,
        }
    }

    /// The credential as the upstream itself takes it. A refresh token is for its token server alone.
    fn configured(by: Arc<Resolved>) -> Option<Self> {
        let header = match &by.credential {
            Credential::Basic { username, password } => basic_header(username, password),
            Credential::Bearer(token) => bearer_header(token)?,
            Credential::IdentityToken(_) => return None,
        };
        Some(Self::Configured { header, by })
    }
}

impl Handshake {
    /// The realm, when what is held may go there.
    pub(super) fn admit(
        &self,
        transport: &Transport,
        realm: &str,
        by: Option<&Resolved>,
    ) -> Result<Realm, ClientError> {
        let refused = |what: String| transport.refused(what);
        let holding = if by.is_some() { Holding::Credential } else { Holding::Nothing };
        let realm = self.realms.admit(&transport.canonical_text(realm), holding).map_err(refused)?;
        if matches!(by.map(|by| &by.credential), Some(Credential::IdentityToken(_))) {
            self.realms.admit_identity(&realm).map_err(refused)?;
        }
        Ok(realm)
    }

    /// Makes the offer; none when the scheme needs a credential that we do not have. When the token server refuses the
    /// login, another account or a renewed credential gets one try.
    pub(super) async fn authorize(
        &self,
        transport: &Transport,
        scheme: &Scheme,
        scope: Option<&str>,
        by: Option<Arc<Resolved>>,
        attempt: Attempt,
    ) -> Result<Option<Offer>, ClientError> {
        let source = match scheme {
            Scheme::Configured => return Ok(by.and_then(Offer::configured)),
            Scheme::Bearer(source) => source,
        };
        let refusal = match self.token(transport, source, by.clone(), attempt).await {
            Err(error @ ClientError::Unauthorized { .. }) => error,
            outcome => return outcome.map(Some),
        };
        let Some(refused) = by else { return Err(refusal) };
        match self.accounts.another(scope, &refused).await? {
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
    ) -> Result<Offer, ClientError> {
        let TokenSource { realm, service, scopes } = source;
        let credential = by.as_ref().map(|by| &by.credential);
        let account = CredentialId::of(credential);
        let attempt = Attempt { account, ..attempt };
        let key =
            TokenKey { realm: realm.clone(), service: service.clone(), scopes: scopes.clone(), credential: account };
        let realm = self.admit(transport, realm, by.as_deref())?;
        let request = TokenRequest { realm: &realm, service: service.as_deref(), scopes, credential };
        let text = self.tokens.get(&key, || bearer::fetch(transport, &request, attempt)).await?.text;
        let header = bearer_header(&text).ok_or_else(|| ClientError::Protocol {
            upstream: transport.upstream().clone(),
            what: "a token that no header can carry".to_owned(),
        })?;
        Ok(Offer::Token { header, text, key, by })
    }
}
