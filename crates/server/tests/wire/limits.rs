//! Clients that hold connections, and bytes that are not HTTP.

use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpStream;
use transship_server::{ListenFor, ServeLimits};

use crate::harness::{GET, GET_HELD, Held, Server, soon};

const SHORT: Duration = Duration::from_millis(100);

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let server = Server::plain(ServeLimits { first_byte: SHORT, ..ServeLimits::default() });
    let mut silent = server.connect().await;
    assert_eq!(silent.rest().await, "");
    server.until_open(0).await;
}

#[tokio::test]
async fn headers_that_never_end_are_closed_without_an_answer_from_the_service() {
    let server = Server::plain(ServeLimits { headers: SHORT, ..ServeLimits::default() });
    let mut slow = server.connect().await;
    slow.send("GET /x HTTP/1.1\r\nHost: a\r\nX-Slow: ").await;
    let answer = slow.rest().await;
    assert!(!answer.contains("200 OK"), "{answer}");
    server.until_open(0).await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_answer() {
    let server = Server::plain(ServeLimits { headers: SHORT, ..ServeLimits::default() });
    let mut idle = server.connect().await;
    idle.send(GET).await;
    let answer = idle.rest().await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nok"), "{answer}");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_and_the_body_let_go() {
    const PIECE: Bytes = Bytes::from_static(&[b'x'; 256 * 1024]);
    let (service, body) = Held::new(u64::MAX);
    let server = Server::start(service, ServeLimits { write_stall: SHORT, ..ServeLimits::default() }, None);
    let mut deaf = server.connect().await;
    deaf.send(GET_HELD).await;
    // More than both socket buffers can hold.
    for _ in 0..200 {
        body.send(Ok(PIECE)).unwrap();
    }
    server.until_open(1).await;
    server.until_open(0).await;
    soon(body.closed()).await;
}

#[tokio::test]
async fn a_slow_client_that_reads_is_left_alone() {
    const PIECE: Bytes = Bytes::from_static(&[b'x'; 64 * 1024]);
    let (service, body) = Held::new(PIECE.len() as u64 * 2);
    let server = Server::start(service, ServeLimits { write_stall: SHORT, ..ServeLimits::default() }, None);
    let mut client = server.connect().await;
    client.send(GET_HELD).await;
    body.send(Ok(PIECE)).unwrap();
    client.read_until("xxx").await;
    // Longer than the patience with writes: here it is the body that waits, not the client.
    tokio::time::sleep(SHORT * 3).await;
    body.send(Ok(PIECE)).unwrap();
    drop(body);
    client.send("GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    let rest = client.rest().await;
    assert!(rest.ends_with("\r\n\r\nok"), "the body and the next answer must come whole");
}

#[tokio::test]
async fn connections_over_the_cap_wait_for_their_turn() {
    let server = Server::plain(ServeLimits { max_connections: 1, ..ServeLimits::default() });
    let mut first = server.connect().await;
    first.send(GET).await;
    first.read_until("ok").await;
    let mut second = server.connect().await;
    second.send(GET).await;
    assert_eq!(server.connections.get(), 1);
    drop(first);
    second.read_until("ok").await;
    assert_eq!(server.connections.get(), 1);
}

#[tokio::test]
async fn what_is_not_http_is_refused_and_the_next_client_is_served() {
    let server = Server::plain(ServeLimits::default());
    let many = "X: y\r\n".repeat(1000);
    let long = format!("X: {}\r\n", "y".repeat(100 * 1024));
    for hostile in [
        "GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
        "GET /x HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: a\r\nX : a\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /x\r\n\r\n",
        "GET /x HTTP/9.9\r\nHost: a\r\n\r\n",
        "\0\0\0\0\r\n\r\n",
        &format!("GET /x HTTP/1.1\r\nHost: a\r\n{many}\r\n"),
        &format!("GET /x HTTP/1.1\r\nHost: a\r\n{long}\r\n"),
    ] {
        let mut client = server.connect().await;
        client.send(hostile).await;
        let answer = client.rest().await;
        let status = answer.split(' ').nth(1).unwrap_or_default();
        assert!(matches!(status, "400" | "431" | ""), "{:?}: {answer}", &hostile[..40.min(hostile.len())]);
    }
    let mut next = server.connect().await;
    next.send(GET).await;
    next.read_until("ok").await;
}

#[tokio::test]
async fn a_length_beside_chunks_is_read_as_chunks_and_the_connection_not_used_again() {
    let server = Server::plain(ServeLimits::default());
    let mut client = server.connect().await;
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    client
        .send(&format!(
            "GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"
        ))
        .await;
    let answer = client.rest().await;
    assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{answer}");
}

#[tokio::test]
async fn a_failing_body_cuts_the_connection() {
    let (service, body) = Held::new(100);
    let server = Server::start(service, ServeLimits::default(), None);
    let mut client = server.connect().await;
    client.send(GET_HELD).await;
    body.send(Ok(Bytes::from_static(b"part"))).unwrap();
    let answer = client.read_until("part").await;
    assert!(answer.contains("content-length: 100\r\n"), "{answer}");
    body.send(Err(std::io::Error::other("wrong bytes"))).unwrap();
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn repositories_listeners_come_and_go_and_the_process_keeps_its_own() {
    let server = Server::plain(ServeLimits::default());
    let repository = server.listeners.listen("127.0.0.1:0".parse().unwrap(), ListenFor::Repository).unwrap();
    let mut old = crate::harness::Wire(TcpStream::connect(repository).await.unwrap());
    old.send(GET).await;
    old.read_until("ok").await;

    // Asked for twice, and one that the process listens on already: nothing to do.
    assert!(server.listeners.reconcile(&[repository, repository, server.address]).await.is_empty());
    assert_eq!(server.listeners.addresses_for(ListenFor::Repository), [repository]);

    assert!(server.listeners.reconcile(&[]).await.is_empty());
    assert_eq!(server.listeners.addresses_for(ListenFor::Process), [server.address]);
    assert!(TcpStream::connect(repository).await.is_err());
    assert_eq!(old.rest().await, "", "its idle connections are closed");
    server.connect().await.send(GET).await;

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let held = std::net::TcpListener::bind(taken).unwrap();
    let problems = server.listeners.reconcile(&[taken, repository]).await;
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].to_string().contains(&taken.to_string()));
    assert_eq!(server.listeners.addresses_for(ListenFor::Repository), [repository]);
    drop(held);
}
