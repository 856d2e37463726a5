//! Ways to be away: names without an address, addresses where nobody answers, handshakes that never end.
//!
//! Time-outs are short, so that silence is soon over; nothing is asserted of how long anything took.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use client::{ClientError, Network, Reach, RegistryClient, TimeoutPhase, Timeouts, UpstreamConfig};
use hickory_resolver::proto::op::ResponseCode;
use serde_json::json;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::name_server::{NameServer, addresses};
use crate::support::*;

async fn pull(client: &RegistryClient) -> Result<(), ClientError> {
    client.get_manifest(&name(), &tag(), None).await.map(drop)
}

fn short() -> Timeouts {
    Timeouts { connect: Duration::from_millis(300), first_byte: Duration::from_millis(600), ..Timeouts::default() }
}

fn by(names: &NameServer, url: &str) -> UpstreamConfig {
    let network = Network { dns_server: Some(names.address), ..Network::default() };
    UpstreamConfig {
        reach: Reach::Internal,
        network,
        max_attempts: 1,
        timeouts: short(),
        ..UpstreamConfig::new(url.parse().unwrap())
    }
}

/// An address that swallows what comes: its queue is full, and it accepts nobody.
struct Silence {
    address: SocketAddr,
    _queued: Vec<TcpStream>,
    _listener: TcpListener,
}

impl Silence {
    async fn at(address: SocketAddr) -> Self {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.unwrap();
        socket.bind(address).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queued = Vec::new();
        // The kernel lets in as many as were asked for and one more, and then answers nobody.
        while let Ok(stream) = tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
            queued.push(stream.unwrap());
            assert!(queued.len() < 16, "the queue of a listener is never full");
        }
        Self { address, _queued: queued, _listener: listener }
    }
}

/// A silent IPv6 address and a server at the same port of IPv4.
async fn silent_beside_a_server() -> (Silence, Server) {
    loop {
        let silence = Silence::at(SocketAddr::from((Ipv6Addr::LOCALHOST, 0))).await;
        // The port may be taken on the other side.
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, silence.address.port())).await {
            return (silence, Server::listen(listener, |_| |_: &Seen| manifest_reply().then(Then::Close)));
        }
    }
}

#[tokio::test]
async fn a_silent_ipv6_address_does_not_cost_the_connection() {
    let (silence, server) = silent_beside_a_server().await;
    let names = NameServer::start(|_, kind| Some(addresses(kind, &["::1", "127.0.0.1"]))).await;
    let config = by(&names, &format!("http://r.example:{}", silence.address.port()));
    // Long enough for both families one after the other, far too short for a whole time-out of the silent one.
    let timeouts = Timeouts { connect: Duration::from_secs(20), first_byte: Duration::from_secs(20), ..short() };
    let client = client(UpstreamConfig { timeouts, ..config });
    for _ in 0..3 {
        pull(&client).await.unwrap_or_else(|error| panic!("{error:?}"));
    }
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn an_upstream_with_ipv6_alone_is_reached() {
    let listener = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = Server::listen(listener, |_| |_: &Seen| manifest_reply());
    let names = NameServer::start(|_, kind| Some(addresses(kind, &["::1"]))).await;
    pull(&client(by(&names, &format!("http://r.example:{port}")))).await.unwrap_or_else(|error| panic!("{error:?}"));
    let literal = format!("http://[::1]:{port}").parse().unwrap();
    let literal = UpstreamConfig { reach: Reach::Internal, ..UpstreamConfig::new(literal) };
    pull(&client(literal)).await.unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn where_nobody_answers_is_an_outage_and_says_so() {
    let silence = Silence::at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await;
    let names = NameServer::start(|_, kind| Some(addresses(kind, &["127.0.0.1", "127.0.0.1"]))).await;
    for url in [format!("http://r.example:{}", silence.address.port()), format!("https://{}", silence.address)] {
        let error = pull(&client(by(&names, &url))).await.unwrap_err();
        assert!(matches!(error, ClientError::Timeout { phase: TimeoutPhase::Connect, .. }), "{url}: {error:?}");
        assert!(error.is_temporary());
    }
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_an_outage() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((socket, _)) = listener.accept().await {
            kept.push(socket);
        }
    });
    let url = format!("https://{address}").parse().unwrap();
    let config = UpstreamConfig { reach: Reach::Internal, timeouts: short(), ..UpstreamConfig::new(url) };
    let error = pull(&client(config)).await.unwrap_err();
    assert!(matches!(error, ClientError::Timeout { phase: TimeoutPhase::Connect, .. }), "{error:?}");
}

#[tokio::test]
async fn names_without_an_address_are_an_outage_and_not_a_missing_image() {
    let (silent, _socket) = NameServer::silent().await;
    let nobody = NameServer::start(|_, _| None).await;
    let empty = NameServer::start(|_, _| Some(Vec::new())).await;
    let failing = NameServer::failing(ResponseCode::ServFail).await;
    let refusing = NameServer::failing(ResponseCode::Refused).await;
    for (case, names) in [
        ("no such name", nobody),
        ("no address", empty),
        ("server failure", failing),
        ("refused", refusing),
        ("silent", silent),
    ] {
        let error = pull(&client(by(&names, "https://r.example"))).await.unwrap_err();
        let outage = matches!(
            error,
            ClientError::Unreachable { .. }
                | ClientError::Timeout { phase: TimeoutPhase::Connect | TimeoutPhase::FirstByte, .. }
        );
        assert!(outage && error.is_temporary(), "{case}: {error:?}");
    }
}

#[tokio::test]
async fn idle_connections_that_were_closed_cost_nothing_but_a_new_one() {
    // Closed after each answer, without being asked: the client may or may not have noticed when it asks again.
    let server = Server::start(|_| manifest_reply().then(Then::Close)).await;
    let first = anonymous(&server);
    for _ in 0..20 {
        pull(&first).await.unwrap_or_else(|error| panic!("{error:?}"));
    }
    assert_eq!(server.seen().len(), 20, "no request arrived twice");
    // Closed on the second request, which was read: it may be sent again, for it only reads.
    let turn = AtomicUsize::new(0);
    let server = Server::start(move |_| match turn.fetch_add(1, Ordering::SeqCst) {
        1 => Reply::silence(Then::Close),
        _ => manifest_reply(),
    })
    .await;
    let second = anonymous(&server);
    for _ in 0..2 {
        pull(&second).await.unwrap_or_else(|error| panic!("{error:?}"));
    }
    assert_eq!(server.seen().len(), 3, "asked once more, and only once");
}

#[tokio::test]
async fn half_of_the_answers_failing_is_endured_until_the_breaker_opens() {
    let turn = Arc::new(AtomicUsize::new(0));
    let server = Server::start(move |_| match turn.fetch_add(1, Ordering::SeqCst) % 2 {
        0 => Reply::new(503, &[], ""),
        _ => manifest_reply(),
    })
    .await;
    let client = anonymous(&server);
    let mut answers = Vec::new();
    for _ in 0..40 {
        answers.push(pull(&client).await);
    }
    let good = answers.iter().take_while(|answer| answer.is_ok()).count();
    assert!(good >= 3, "each was asked for once more: {answers:?}");
    let resting = |answer: &Result<(), ClientError>| matches!(answer, Err(ClientError::CircuitOpen { .. }) | Ok(()));
    assert!(answers.iter().all(resting), "what is not asked for says so: {answers:?}");
    assert!(server.seen().len() <= 2 * good + 4, "an open breaker asks nobody: {}", server.seen().len());
}

#[tokio::test]
async fn a_token_with_an_odd_clock_lives_by_ours() {
    for issued_at in
        [json!("1970-01-01T00:00:00Z"), json!("2999-12-31T23:59:59Z"), json!("yesterday"), json!(7), json!(null)]
    {
        let server = Server::start_knowing(|url| {
            let challenge = format!("Bearer realm=\"{url}/token\"");
            move |seen| match (seen.path(), seen.authorization()) {
                ("/token", _) => Reply::json(&json!({ "token": "t", "expires_in": 300, "issued_at": issued_at })),
                (_, Some("Bearer t")) => manifest_reply(),
                _ => Reply::challenge(&challenge),
            }
        })
        .await;
        let client = anonymous(&server);
        for _ in 0..3 {
            pull(&client).await.unwrap_or_else(|error| panic!("{error:?}"));
        }
        assert_eq!(server.seen_at("/token").len(), 1, "what the token server takes for the time is its own affair");
    }
}
