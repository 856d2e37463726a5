//! Certificates: what is accepted of whom, and to whom ours is shown.

use client::{Authorities, ClientError, ClientIdentity, Network, Reach, RegistryClient, UpstreamConfig, Verification};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::authority::{Authority, Flaw, tls_face};
use crate::support::*;

fn trusting(authority: &Authority) -> Network {
    Network { authorities: Authorities::from_pem(authority.pem.as_bytes()).unwrap(), ..Network::default() }
}

fn at(address: std::net::SocketAddr, network: Network) -> UpstreamConfig {
    let url = format!("https://{address}").parse().unwrap();
    UpstreamConfig { reach: Reach::Internal, network, max_attempts: 1, ..UpstreamConfig::new(url) }
}

async fn pull(client: &RegistryClient) -> Result<(), ClientError> {
    client.get_manifest(&name(), &tag(), None).await.map(drop)
}

#[tokio::test]
async fn certificates_that_are_not_good_get_no_request() {
    let server = Server::start(|_| manifest_reply()).await;
    let (authority, stranger) = (Authority::new(), Authority::new());
    for (case, config) in [
        ("expired", authority.server(&[], Flaw::Expired)),
        ("wrong name", authority.server(&[], Flaw::OtherName)),
        ("unknown authority", stranger.server(&[], Flaw::None)),
    ] {
        let (face, _) = tls_face(config, &server.address()).await;
        let error = pull(&client(with_basic(at(face, trusting(&authority))))).await.unwrap_err();
        assert!(matches!(error, ClientError::Unreachable { .. }), "{case}: {error:?}");
        assert!(error.to_string().contains("certificate"), "{case}: {error}");
    }
    assert!(server.seen().is_empty(), "nobody was asked");
    let (face, _) = tls_face(authority.server(&[], Flaw::None), &server.address()).await;
    pull(&client(at(face, trusting(&authority)))).await.unwrap_or_else(|error| panic!("{error}"));
    pull(&client(at(face, Network::default()))).await.expect_err("not one of the system's authorities");
}

#[tokio::test]
async fn a_server_that_only_speaks_old_tls_gets_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut hello = vec![0; 16 * 1024];
        assert!(socket.read(&mut hello).await.unwrap() > 0);
        // ServerHello of TLS 1.0: version, random, no session, AES128-SHA, no compression.
        let body = [&[3, 1][..], &[7; 32], &[0, 0, 0x2f, 0]].concat();
        let length = u8::try_from(body.len()).unwrap();
        let record = [&[0x16, 3, 1, 0, length + 4, 2, 0, 0, length][..], &body].concat();
        socket.write_all(&record).await.unwrap();
        let mut rest = Vec::new();
        // The end may be a reset.
        drop(socket.read_to_end(&mut rest).await);
        tell.send(rest).unwrap();
    });
    let skipping = Network { verification: Verification::Skipped, ..Network::default() };
    let error = pull(&client(with_basic(at(address, skipping)))).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error:?}");
    assert!(told.await.unwrap().len() < 16, "an alert and nothing else");
}

#[tokio::test]
async fn unverified_tls_is_for_the_own_host_and_port_alone() {
    let (server, cdn) = (Server::start(|_| manifest_reply()).await, Server::start(|_| manifest_reply()).await);
    let authority = Authority::new();
    let (face, _) = tls_face(authority.server(&[], Flaw::Expired), &server.address()).await;
    let skipping = || Network { verification: Verification::Skipped, ..Network::default() };
    pull(&client(at(face, skipping()))).await.unwrap_or_else(|error| panic!("{error}"));
    pull(&client(at(face, Network::default()))).await.expect_err("another upstream at the same place");

    // Neither a redirect nor a token server elsewhere inherits it.
    let (beside, _) = tls_face(authority.server(&[], Flaw::None), &cdn.address()).await;
    let redirecting = Server::start(move |_| Reply::redirect(&format!("https://{beside}/x"))).await;
    let (face, _) = tls_face(authority.server(&[], Flaw::None), &redirecting.address()).await;
    pull(&client(at(face, skipping()))).await.expect_err("redirected");
    let challenging = Server::start(move |_| Reply::challenge(&format!(r#"Bearer realm="https://{beside}/t""#))).await;
    let (face, _) = tls_face(authority.server(&[], Flaw::None), &challenging.address()).await;
    let token_hosts = vec![beside.to_string().parse().unwrap()];
    let config = UpstreamConfig { token_hosts, ..at(face, skipping()) };
    pull(&client(with_basic(config))).await.expect_err("its token server");
    assert!(cdn.seen().is_empty(), "{:?}", cdn.seen());
}

#[tokio::test]
async fn authorities_and_the_client_certificate_are_for_the_own_hosts_alone() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let (certificate, key) = clients.issue(&["client.example"], Flaw::None);
    let identity = ClientIdentity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
    let network = || Network { identity: Some(identity.clone()), ..trusting(&authority) };

    let tokens = Server::start(|_| Reply::json(&serde_json::json!({ "token": "t" }))).await;
    let (token_face, token_shown) = tls_face(authority.server_asking(&[], &clients), &tokens.address()).await;
    let server = Server::start(move |seen| match seen.authorization() {
        Some("Bearer t") => manifest_reply(),
        _ => Reply::challenge(&format!(r#"Bearer realm="https://{token_face}/t""#)),
    })
    .await;
    let (face, shown) = tls_face(authority.server_asking(&[], &clients), &server.address()).await;
    let token_hosts = vec![token_face.to_string().parse().unwrap()];
    let config = UpstreamConfig { token_hosts, ..at(face, network()) };
    pull(&client(with_basic(config))).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(*shown.lock().unwrap(), [true], "the upstream saw it");
    assert_eq!(*token_shown.lock().unwrap(), [true], "its token host too");

    let cdn = Server::start(|_| manifest_reply()).await;
    let (cdn_face, cdn_shown) = tls_face(authority.server_asking(&[], &clients), &cdn.address()).await;
    let redirecting = Server::start(move |_| Reply::redirect(&format!("https://{cdn_face}/x"))).await;
    let (face, _) = tls_face(authority.server(&[], Flaw::None), &redirecting.address()).await;
    pull(&client(at(face, network()))).await.expect_err("the authority is not for redirects");
    assert!(cdn.seen().is_empty() && !cdn_shown.lock().unwrap().contains(&true));
}

#[test]
fn what_cannot_be_a_certificate_or_its_key_is_told_without_it() {
    Authorities::from_pem(b"nothing").unwrap_err();
    let (one, other) = (Authority::new().issue(&["a.example"], Flaw::None), Authority::new().issue(&[], Flaw::None));
    let problem = ClientIdentity::from_pem(one.0.as_bytes(), other.1.as_bytes()).unwrap_err();
    assert!(matches!(problem, client::IdentityProblem::Key(_)), "{problem:?}");
    let identity = ClientIdentity::from_pem(one.0.as_bytes(), one.1.as_bytes()).unwrap();
    assert_eq!(format!("{identity:?}"), "ClientIdentity([redacted])");
}
