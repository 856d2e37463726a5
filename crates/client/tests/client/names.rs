//! Names with a name server of our own: what is checked is what is dialled, dead addresses are passed by, services.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use client::{ClientError, Network, Reach, RegistryClient, UpstreamConfig};
use hickory_resolver::proto::rr::RecordType;

use crate::name_server::{NameServer, addresses, service};
use crate::support::*;

fn by(names: &NameServer, url: &str, reach: Reach) -> UpstreamConfig {
    let network = Network { dns_server: Some(names.address), ..Network::default() };
    UpstreamConfig { reach, network, max_attempts: 1, ..UpstreamConfig::new(url.parse().unwrap()) }
}

async fn pull(client: &RegistryClient) -> Result<(), ClientError> {
    client.get_manifest(&name(), &tag(), None).await.map(drop)
}

#[tokio::test]
async fn one_private_answer_among_public_ones_spoils_a_name() {
    let server = Server::start(|_| manifest_reply()).await;
    let names = NameServer::start(|_, kind| Some(addresses(kind, &["1.1.1.1", "127.0.0.1"]))).await;
    let url = format!("http://r.example:{}", server.url.port().unwrap());
    let error = pull(&client(by(&names, &url, Reach::PublicOnly))).await.unwrap_err();
    assert!(matches!(error, ClientError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("r.example resolves to 127.0.0.1"), "{error}");
    assert!(server.seen().is_empty());
    pull(&client(by(&names, &url, Reach::Internal))).await.unwrap_or_else(|error| panic!("{error}"));
}

#[tokio::test]
async fn a_redirect_to_a_name_with_a_metadata_address_is_refused() {
    let names = NameServer::start(|name, kind| match name {
        "r.example" => Some(addresses(kind, &["127.0.0.1"])),
        _ => Some(addresses(kind, &["127.0.0.1", "169.254.169.254"])),
    })
    .await;
    let cdn = Server::start(|_| manifest_reply()).await;
    let location = format!("http://cdn.example:{}/x", cdn.url.port().unwrap());
    let server = Server::start(move |_| Reply::redirect(&location)).await;
    let url = format!("http://r.example:{}", server.url.port().unwrap());
    let error = pull(&client(by(&names, &url, Reach::Internal))).await.unwrap_err();
    assert!(matches!(error, ClientError::Refused { .. }), "{error:?}");
    assert!(cdn.seen().is_empty());
}

#[tokio::test]
async fn the_checked_answer_is_the_one_dialled() {
    let server = Server::start(|_| manifest_reply()).await;
    let turns = Arc::new(AtomicUsize::new(0));
    let turn = turns.clone();
    // What a rebinding name server does: something else each time it is asked.
    let names = NameServer::start(move |_, kind| {
        let first = kind != RecordType::A || turn.fetch_add(1, Ordering::Relaxed) == 0;
        Some(addresses(kind, &[if first { "127.0.0.1" } else { "169.254.169.254" }]))
    })
    .await;
    let url = format!("http://r.example:{}", server.url.port().unwrap());
    let client = client(by(&names, &url, Reach::Internal));
    pull(&client).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(names.asked("r.example", RecordType::A), 1, "checked and dialled with one answer");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn dead_addresses_do_not_cost_the_connection() {
    let server = Server::start(|_| manifest_reply().then(Then::Close)).await;
    // The discard prefix leads nowhere; at the second address nobody listens.
    let names = NameServer::start(|_, kind| Some(addresses(kind, &["100::1", "127.0.0.77", "127.0.0.1"]))).await;
    let url = format!("http://r.example:{}", server.url.port().unwrap());
    let client = client(by(&names, &url, Reach::Internal));
    for _ in 0..6 {
        pull(&client).await.unwrap_or_else(|error| panic!("{error}"));
    }
    assert_eq!(server.seen().len(), 6);
}

#[tokio::test]
async fn services_are_asked_by_priority_and_failing_targets_are_passed_by() {
    let (preferred, spare) = (Server::start(|_| manifest_reply()).await, Server::start(|_| manifest_reply()).await);
    let (first, second) = (preferred.url.port().unwrap(), spare.url.port().unwrap());
    let nobody = testkit_port().await;
    let names = NameServer::start(move |name, kind| match (name, kind) {
        ("_registry._tcp.corp.example", RecordType::SRV) => Some(vec![
            service(30, 0, second, "spare.corp.example"),
            service(10, 5, nobody, "dead.corp.example"),
            service(20, 5, first, "r1.corp.example"),
        ]),
        _ => Some(addresses(kind, &["127.0.0.1"])),
    })
    .await;
    let config = by(&names, "srv+http://_registry._tcp.corp.example", Reach::Internal);
    let client = client(config);
    assert_eq!(&**client.upstream(), "_registry._tcp.corp.example");
    for _ in 0..3 {
        pull(&client).await.unwrap_or_else(|error| panic!("{error}"));
    }
    let seen = preferred.seen();
    assert_eq!(seen.len(), 3);
    assert_eq!(seen[0].header("host"), Some(format!("r1.corp.example:{first}").as_str()));
    assert!(spare.seen().is_empty());
}

#[tokio::test]
async fn the_targets_of_a_service_are_the_upstream_for_realms_redirects_and_credentials() {
    let server = Server::start(|seen| match (seen.path(), seen.authorization()) {
        ("/token", Some(CANARY_BASIC)) => Reply::json(&serde_json::json!({ "token": "t" })),
        ("/v2/library/alpine/manifests/latest", Some("Bearer t")) => {
            Reply::redirect(&format!("http://{}/elsewhere", seen.header("host").unwrap()))
        }
        ("/elsewhere", Some("Bearer t")) => manifest_reply(),
        _ => Reply::challenge(&format!(r#"Bearer realm="http://{}/token""#, seen.header("host").unwrap())),
    })
    .await;
    let port = server.url.port().unwrap();
    let names = NameServer::start(move |_, kind| match kind {
        RecordType::SRV => Some(vec![service(1, 1, port, "r1.corp.example")]),
        _ => Some(addresses(kind, &["127.0.0.1"])),
    })
    .await;
    let config = by(&names, "srv+http://_registry._tcp.corp.example", Reach::Internal);
    let with_login = with_basic(config);
    pull(&client(with_login)).await.unwrap_or_else(|error| panic!("{error}"));
}

#[tokio::test]
async fn a_service_never_leads_out_of_its_domain() {
    let server = Server::start(|_| manifest_reply()).await;
    let port = server.url.port().unwrap();
    let names = NameServer::start(move |_, kind| match kind {
        RecordType::SRV => Some(vec![service(1, 1, port, "corp.example.evil.example")]),
        _ => Some(addresses(kind, &["127.0.0.1"])),
    })
    .await;
    let config = by(&names, "srv+http://_registry._tcp.corp.example", Reach::Internal);
    let error = pull(&client(config)).await.unwrap_err();
    assert!(error.to_string().contains("outside of corp.example"), "{error}");
    assert!(server.seen().is_empty());
    let names = NameServer::start(|_, _| None).await;
    let config = by(&names, "srv+http://_registry._tcp.corp.example", Reach::Internal);
    let error = pull(&client(config)).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error:?}");
}

/// A port on which nobody listens.
async fn testkit_port() -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}
