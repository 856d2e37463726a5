//! Clients whose credential comes from a source, and registries that want it.
//!
//! Must not know any source. Invariant: nothing is retried, so each request is one the flow needs.

use client::{
    ClientError, CredentialEntry, CredentialSource, CredentialStore, ManifestFetch, RegistryClient, UpstreamConfig,
};
use serde_json::json;

use crate::support::*;

/// A client of `config` with these entries: each a prefix (empty for all) and a source.
pub(crate) fn with_entries(config: UpstreamConfig, entries: Vec<(&str, CredentialSource)>) -> RegistryClient {
    let entry = |(at, (prefix, source)): (usize, (&str, CredentialSource))| CredentialEntry {
        name: format!("entry{at}").into(),
        repositories: (!prefix.is_empty()).then(|| prefix.to_owned()),
        source,
    };
    let credentials = CredentialStore::new(entries.into_iter().enumerate().map(entry).collect());
    client(UpstreamConfig { credentials, max_attempts: 1, ..config })
}

/// A client of this server whose only credential comes from `source`.
pub(crate) fn with_source(server: &Server, source: CredentialSource) -> RegistryClient {
    with_entries(config(server), vec![("", source)])
}

pub(crate) async fn pull(client: &RegistryClient) -> Result<ManifestFetch, ClientError> {
    client.get_manifest(&name(), &tag(), None).await
}

/// Why no credential could be got.
pub(crate) async fn pull_without_credential(client: &RegistryClient) -> String {
    let error = pull(client).await.unwrap_err();
    assert!(matches!(error, ClientError::CredentialUnavailable { .. }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains(CANARY), "{error}");
    error.to_string()
}

/// A registry that takes this `Authorization` and challenges everybody else for Basic.
pub(crate) async fn basic_registry(taken: String) -> Server {
    Server::start(move |seen| match seen.authorization() {
        Some(offered) if offered == taken => manifest_reply(),
        _ => Reply::challenge("Basic realm=\"registry\""),
    })
    .await
}

/// A registry with a token server of its own; `issue` says what the token server answers.
pub(crate) async fn token_registry(issue: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Server {
    Server::start_knowing(|url| {
        let challenge = format!("Bearer realm=\"{url}/token\",service=\"reg.example\"");
        move |seen| match (seen.path(), seen.authorization()) {
            ("/token", _) => issue(seen),
            (_, Some("Bearer t")) => manifest_reply(),
            _ => Reply::challenge(&challenge),
        }
    })
    .await
}

/// The token that [`token_registry`] takes.
pub(crate) fn token() -> Reply {
    Reply::json(&json!({"token": "t", "expires_in": 300}))
}

/// The fields of a form.
pub(crate) fn form(seen: &Seen) -> Vec<(String, String)> {
    assert_eq!(seen.header("content-type"), Some("application/x-www-form-urlencoded"));
    url::form_urlencoded::parse(seen.body.as_bytes()).into_owned().collect()
}

/// Whether the form has this field.
pub(crate) fn has(seen: &Seen, name: &str, value: &str) -> bool {
    form(seen).iter().any(|(key, found)| key == name && found == value)
}

/// A CDN-like server that refuses everything and would like a login.
pub(crate) async fn greedy() -> Server {
    Server::start_knowing(|url| {
        let challenge = format!("Bearer realm=\"{url}/token\",service=\"cdn\", Basic realm=\"cdn\"");
        move |seen| match seen.path() {
            "/token" => token(),
            _ => Reply::challenge(&challenge),
        }
    })
    .await
}
