//! Where the credential must never go, by way of a token realm.

use client::{ClientError, UpstreamConfig};
use serde_json::json;

use crate::support::*;

/// A token server that would hand out tokens to anybody.
async fn stranger() -> Server {
    Server::start(|_| Reply::json(&json!({"token": "t"}))).await
}

/// A registry whose challenge names `realm`.
async fn registry_naming(realm: String) -> Server {
    Server::start(move |seen| match seen.authorization() {
        Some("Bearer t") => manifest_reply(),
        _ => Reply::challenge(&format!("Bearer realm=\"{realm}\",service=\"x\"")),
    })
    .await
}

#[tokio::test]
async fn a_realm_at_another_port_of_the_same_host_gets_no_credential() {
    let stranger = stranger().await;
    let server = registry_naming(stranger.at("/token")).await;
    let error = with_credential(&server).get_manifest(&name(), &tag(), None).await.unwrap_err();
    assert!(matches!(error, ClientError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("token_hosts"), "{error}");
    assert!(stranger.seen().is_empty(), "{:?}", stranger.seen());
    server.assert_no_credential();
}

#[tokio::test]
async fn a_listed_token_host_gets_it() {
    let token_server = stranger().await;
    let server = registry_naming(token_server.at("/token")).await;
    let token_hosts = vec![token_server.address().parse().unwrap()];
    let client = client(UpstreamConfig {
        credentials: client::CredentialStore::fixed(basic_credential()),
        token_hosts,
        ..config(&server)
    });
    client.get_manifest(&name(), &tag(), None).await.unwrap();
    assert_eq!(token_server.seen().len(), 1);
    assert_eq!(token_server.seen()[0].authorization(), Some(CANARY_BASIC));
    assert!(server.seen().iter().all(|seen| seen.authorization() != Some(CANARY_BASIC)));
}

#[tokio::test]
async fn without_a_credential_another_port_of_an_internal_host_may_be_asked() {
    let token_server = stranger().await;
    let server = registry_naming(token_server.at("/token")).await;
    anonymous(&server).get_manifest(&name(), &tag(), None).await.unwrap();
    token_server.assert_no_credential();
    assert_eq!(token_server.seen().len(), 1);
}

#[tokio::test]
async fn hostile_realms_get_no_request_at_all() {
    let stranger = stranger().await;
    let port = stranger.url.port().unwrap();
    let realms = [
        format!("http://localhost:{port}/token"),
        format!("http://127.0.0.2:{port}/token"),
        format!("http://[::ffff:127.0.0.1]:{port}/token"),
        format!("http://ci:{CANARY}@127.0.0.1:{port}/token"),
        format!("https://127.0.0.1:{port}/token"),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "file:///etc/passwd".to_owned(),
        "/token".to_owned(),
        String::new(),
    ];
    for realm in realms {
        let server = registry_naming(realm.clone()).await;
        let error = with_credential(&server).get_manifest(&name(), &tag(), None).await.unwrap_err();
        assert!(matches!(error, ClientError::Refused { .. }), "{realm}: {error:?}");
        assert!(!error.to_string().contains(CANARY), "{error}");
        server.assert_no_credential();
    }
    assert!(stranger.seen().is_empty(), "{:?}", stranger.seen());
}

#[tokio::test]
async fn without_a_credential_a_metadata_realm_is_refused_too() {
    for realm in ["https://169.254.169.254/", "https://[fd00:ec2::254]/", "https://2852039166/"] {
        let server = registry_naming(realm.to_owned()).await;
        let error = anonymous(&server).get_manifest(&name(), &tag(), None).await.unwrap_err();
        assert!(matches!(error, ClientError::Refused { .. }), "{realm}: {error:?}");
    }
}

#[tokio::test]
async fn the_own_token_server_cannot_send_the_credential_on() {
    let stranger = stranger().await;
    let elsewhere = stranger.at("/token");
    let server = Server::start_knowing(|url| {
        let challenge = format!("Bearer realm=\"{url}/token\"");
        move |seen| if seen.path() == "/token" { Reply::redirect(&elsewhere) } else { Reply::challenge(&challenge) }
    })
    .await;
    let error = with_credential(&server).get_manifest(&name(), &tag(), None).await.unwrap_err();
    assert!(matches!(error, ClientError::Refused { .. }), "{error:?}");
    assert!(stranger.seen().is_empty(), "{:?}", stranger.seen());
}
