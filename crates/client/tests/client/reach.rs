//! The egress filter with real sockets: what is refused is never dialled.

use std::sync::Arc;

use client::{ClientError, NoObserver, Reach, RegistryClient, UpstreamConfig};

use crate::support::*;

#[tokio::test]
async fn a_public_upstream_whose_name_is_private_is_never_dialled() {
    let server = Server::start(|_| manifest_reply()).await;
    let url = format!("http://localhost:{}", server.url.port().unwrap()).parse().unwrap();
    let public = client(UpstreamConfig::new(url));
    let error = public.get_manifest(&name(), &tag(), None).await.unwrap_err();
    assert!(matches!(error, ClientError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("internal"), "says what to do: {error}");
    assert!(server.seen().is_empty());
    let url = format!("http://localhost:{}", server.url.port().unwrap()).parse().unwrap();
    let internal = client(UpstreamConfig { reach: Reach::Internal, ..UpstreamConfig::new(url) });
    internal.get_manifest(&name(), &tag(), None).await.unwrap();
}

#[test]
fn private_literals_are_refused_at_once() {
    for url in [
        "http://127.0.0.1:5000",
        "http://10.0.0.1",
        "http://[::1]:5000",
        "http://0.0.0.0:5000",
        "http://2130706433",
        "http://[::ffff:10.0.0.1]",
        "http://[64:ff9b::7f00:1]",
        "http://169.254.169.254",
        "http://0x7f.1",
    ] {
        let outcome = RegistryClient::new(UpstreamConfig::new(url.parse().unwrap()), Arc::new(NoObserver));
        assert!(matches!(outcome, Err(ClientError::Refused { .. })), "{url}: {outcome:?}");
    }
}

#[test]
fn urls_that_are_no_upstream_are_refused_without_their_secrets() {
    let config = UpstreamConfig::new(format!("https://ci:{CANARY}@r.example").parse().unwrap());
    let error = RegistryClient::new(config, Arc::new(NoObserver)).unwrap_err();
    assert!(matches!(error, ClientError::Setup { .. }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains(CANARY));
}

#[test]
fn configurations_and_clients_print_no_secret() {
    let config = UpstreamConfig {
        credentials: client::CredentialStore::fixed(basic_credential()),
        ..UpstreamConfig::new("https://r.example".parse().unwrap())
    };
    assert!(!format!("{config:?}").contains(CANARY));
    assert!(!format!("{:?}", client(config)).contains(CANARY));
}

#[test]
fn clients_can_be_shared_between_tasks() {
    fn shared<T: Clone + Send + Sync + 'static>() {}
    shared::<RegistryClient>();
}
