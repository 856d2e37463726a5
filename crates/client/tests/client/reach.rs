//! The egress filter with real sockets: what is refused is never dialled.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use client::{ClientError, Connections, Network, NoObserver, Reach, RegistryClient, UpstreamConfig};

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

#[tokio::test]
async fn requests_are_spread_over_as_many_connections_as_are_wished() {
    let server = Server::start(|_| manifest_reply()).await;
    let target = server.address();
    let face = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", face.local_addr().unwrap());
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = accepted.clone();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = face.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            let mut far = tokio::net::TcpStream::connect(&target).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut near, &mut far).await });
        }
    });
    for wished in [1, 3] {
        let network = Network { connections: Connections::new(wished).unwrap(), ..Network::default() };
        let config = UpstreamConfig { reach: Reach::Internal, network, ..UpstreamConfig::new(url.parse().unwrap()) };
        let (client, before) = (client(config), accepted.load(Ordering::SeqCst));
        // One after the other: each finds the connection of its turn idle.
        for _ in 0..9 {
            client.get_manifest(&name(), &tag(), None).await.unwrap();
        }
        assert_eq!(accepted.load(Ordering::SeqCst) - before, usize::from(wished));
    }
    assert!(Connections::new(0).is_none() && Connections::new(17).is_none());
}
