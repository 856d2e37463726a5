//! Azure's registries: an account's token is exchanged for a refresh token of the registry.
//!
//! Must not know challenges. Invariants: nothing is asked for an upstream whose host is not one of Azure's, unless the
//! operator named the endpoint; the registry's own token goes to the registry alone.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;

use super::ground::{Ground, Question};
use super::source::{Lasts, Obtained};
use crate::basic::Credential;
use crate::egress::Reach;
use crate::secret::Secret;
use crate::{form, json_object};

/// Where accounts log in.
const AUTHORITY: &str = "https://login.microsoftonline.com/";

/// The metadata service of an Azure machine.
const METADATA: &str = "http://169.254.169.254/";

/// What the account's token is for.
const RESOURCE: &str = "https://containerregistry.azure.net";

/// Registry refresh tokens live three hours; one is used for one.
const LIFETIME: Duration = Duration::from_hours(1);

/// How to get a refresh token of an Azure registry.
#[derive(Clone, Debug)]
pub struct AzureLogin {
    /// Whose.
    pub identity: AzureIdentity,
    /// Where accounts log in, in place of Azure's public cloud (or metadata service).
    pub endpoint: Option<Url>,
}

/// Whose token.
#[derive(Clone, Debug)]
pub enum AzureIdentity {
    /// That of an application.
    Client {
        /// Its directory.
        tenant: String,
        /// Its id.
        client_id: String,
        /// Its secret.
        client_secret: Secret,
    },
    /// That of the machine; the id chooses one of several.
    Managed {
        /// Which identity of the machine.
        client_id: Option<String>,
    },
    /// A token that somebody else got.
    AccessToken(Secret),
}

#[derive(Deserialize)]
struct AccountToken {
    access_token: String,
}

#[derive(Deserialize)]
struct RegistryToken {
    refresh_token: String,
}

/// Asks for a token of the account, then for the registry's.
pub(super) async fn obtain(login: &AzureLogin, ground: &Ground) -> Result<Obtained, String> {
    let host = ground.host();
    if !is_azure(host) && login.endpoint.is_none() {
        return Err(format!(
            "{host} is not a registry of Azure's (*.azurecr.io, .cn, .us), so no token is asked for; if it fronts one, \
             write the endpoint to ask"
        ));
    }
    let asked_at = Instant::now();
    let account = match &login.identity {
        AzureIdentity::AccessToken(token) => token.clone(),
        AzureIdentity::Client { tenant, client_id, client_secret } => {
            application(login, ground, (tenant, client_id, client_secret)).await?
        }
        AzureIdentity::Managed { client_id } => machine(login, ground, client_id.as_deref()).await?,
    };
    let token = exchange(ground, &account).await?;
    let lasts = Lasts::from(asked_at, LIFETIME);
    Ok(Obtained { credential: Some(Credential::IdentityToken(token)), lasts })
}

fn is_azure(host: &str) -> bool {
    [".azurecr.io", ".azurecr.cn", ".azurecr.us"].iter().any(|suffix| host.ends_with(suffix))
}

fn reach(login: &AzureLogin) -> Reach {
    if login.endpoint.is_some() { Reach::Internal } else { Reach::PublicOnly }
}

fn base(login: &AzureLogin, usual: &str) -> Result<Url, String> {
    login.endpoint.clone().map_or_else(|| usual.parse(), Ok).map_err(|error| format!("the endpoint is no URL: {error}"))
}

async fn application(
    login: &AzureLogin,
    ground: &Ground,
    (tenant, client_id, client_secret): (&str, &str, &Secret),
) -> Result<Secret, String> {
    let mut url = base(login, AUTHORITY)?;
    url.set_path(&format!("/{tenant}/oauth2/v2.0/token"));
    let scope = format!("{RESOURCE}/.default");
    let body = form::encode([
        ("grant_type", "client_credentials"),
        ("client_id", client_id),
        ("client_secret", client_secret.expose()),
        ("scope", &scope),
    ]);
    let (method, headers, secrets) = (Method::POST, form::headers(), vec![client_secret.clone()]);
    let answer = ground.ask(Question { method, url, headers, body, secrets, reach: reach(login) }).await?;
    account_token(&answer)
}

async fn machine(login: &AzureLogin, ground: &Ground, client_id: Option<&str>) -> Result<Secret, String> {
    let mut url = base(login, METADATA)?;
    url.set_path("/metadata/identity/oauth2/token");
    url.query_pairs_mut().append_pair("api-version", "2018-02-01").append_pair("resource", RESOURCE);
    if let Some(client_id) = client_id {
        url.query_pairs_mut().append_pair("client_id", client_id);
    }
    let headers = HeaderMap::from_iter([(HeaderName::from_static("metadata"), HeaderValue::from_static("true"))]);
    // The one address of this kind that is ever asked, and for this purpose alone.
    let (reach, body) = (Reach::Internal, Bytes::new());
    let answer = ground.ask(Question { method: Method::GET, url, headers, body, secrets: Vec::new(), reach }).await?;
    account_token(&answer)
}

fn account_token(answer: &[u8]) -> Result<Secret, String> {
    let answer: AccountToken =
        json_object::parse(answer).map_err(|why| format!("Azure's answer cannot be read: {why}"))?;
    given(answer.access_token).ok_or_else(|| "Azure's answer holds an empty token".to_owned())
}

/// The registry's own refresh token for the account's.
async fn exchange(ground: &Ground, account: &Secret) -> Result<Secret, String> {
    let mut url = ground.url().clone();
    if url.scheme() == "http" && ground.reach() != Reach::Internal {
        return Err("an account's token is not sent to the registry over plain http; use https".to_owned());
    }
    url.set_path("/oauth2/exchange");
    let body = form::encode([
        ("grant_type", "access_token"),
        ("service", ground.authority()),
        ("access_token", account.expose()),
    ]);
    let (method, headers, secrets) = (Method::POST, form::headers(), vec![account.clone()]);
    let answer = ground.ask(Question { method, url, headers, body, secrets, reach: ground.reach() }).await?;
    let answer: RegistryToken =
        json_object::parse(&answer).map_err(|why| format!("the registry's answer cannot be read: {why}"))?;
    given(answer.refresh_token).ok_or_else(|| "the registry's answer holds an empty token".to_owned())
}

fn given(token: String) -> Option<Secret> {
    (!token.is_empty()).then(|| Secret::new(token))
}

#[cfg(test)]
mod tests {
    use super::is_azure;

    #[test]
    fn only_azures_own_hosts() {
        for host in ["corp.azurecr.io", "corp.azurecr.cn", "corp.azurecr.us"] {
            assert!(is_azure(host), "{host}");
        }
        for host in ["azurecr.io", "corp.azurecr.io.evil.example", "evilazurecr.io", "docker.io"] {
            assert!(!is_azure(host), "{host}");
        }
    }
}
