//! The end: responses under way finish, or are cut at the deadline or by a second stop.

use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpStream;
use transship_server::{Drained, ListenError, ListenFor, ServeLimits};

use crate::harness::{GET, GET_HELD, Held, Server, soon};

const LONG: Duration = Duration::from_mins(10);

#[tokio::test]
async fn a_half_read_body_is_finished_and_nothing_new_is_taken() {
    let (service, body) = Held::new(9);
    let server = Server::start(service, ServeLimits::default(), None);
    let mut client = server.connect().await;
    client.send(GET_HELD).await;
    body.send(Ok(Bytes::from_static(b"half "))).unwrap();
    client.read_until("half ").await;
    let mut idle = server.connect().await;
    idle.send(GET).await;
    idle.read_until("ok").await;

    let draining = tokio::spawn({
        let listeners = server.listeners.clone();
        async move { listeners.drain(LONG).await }
    });
    assert_eq!(idle.rest().await, "", "an idle connection is closed at once");
    assert!(TcpStream::connect(server.address).await.is_err(), "nobody listens");
    assert!(!draining.is_finished());
    body.send(Ok(Bytes::from_static(b"done"))).unwrap();
    drop(body);
    assert_eq!(client.rest().await, "done");
    assert_eq!(soon(draining).await.unwrap(), Drained::Clean);
    assert_eq!(server.connections.get(), 0);
    let again = server.listeners.listen("127.0.0.1:0".parse().unwrap(), ListenFor::Process);
    assert!(matches!(again, Err(ListenError::ShuttingDown(_))));
}

#[tokio::test]
async fn what_is_left_at_the_deadline_is_cut_and_counted() {
    let (service, body) = Held::new(9);
    let server = Server::start(service, ServeLimits::default(), None);
    let mut client = server.connect().await;
    client.send(GET_HELD).await;
    body.send(Ok(Bytes::from_static(b"half "))).unwrap();
    client.read_until("half ").await;
    assert_eq!(soon(server.listeners.drain(Duration::from_millis(50))).await, Drained::Cut(1));
    assert_eq!(client.rest().await, "");
    assert!(body.is_closed(), "the response is let go");
    assert_eq!(server.connections.get(), 0);
}

#[tokio::test]
async fn a_second_stop_ends_a_drain_at_once() {
    let (service, body) = Held::new(9);
    let server = Server::start(service, ServeLimits::default(), None);
    let mut client = server.connect().await;
    client.send(GET_HELD).await;
    body.send(Ok(Bytes::from_static(b"half "))).unwrap();
    client.read_until("half ").await;
    let mut idle = server.connect().await;
    idle.send(GET).await;
    idle.read_until("ok").await;
    let draining = tokio::spawn({
        let listeners = server.listeners.clone();
        async move { listeners.drain(LONG).await }
    });
    assert_eq!(idle.rest().await, "", "the drain has begun");
    server.listeners.cut();
    assert_eq!(soon(draining).await.unwrap(), Drained::Cut(1));
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn a_connection_of_a_removed_listener_is_waited_for_too() {
    let (service, body) = Held::new(9);
    let server = Server::start(service, ServeLimits::default(), None);
    let mut client = server.connect().await;
    client.send(GET_HELD).await;
    body.send(Ok(Bytes::from_static(b"half "))).unwrap();
    client.read_until("half ").await;
    server.listeners.remove(server.address).await;
    let draining = tokio::spawn({
        let listeners = server.listeners.clone();
        async move { listeners.drain(LONG).await }
    });
    assert!(!draining.is_finished());
    body.send(Ok(Bytes::from_static(b"done"))).unwrap();
    drop(body);
    assert_eq!(client.rest().await, "done");
    assert_eq!(soon(draining).await.unwrap(), Drained::Clean);
}

#[tokio::test]
async fn a_server_without_connections_drains_at_once() {
    let server = Server::plain(ServeLimits::default());
    assert_eq!(soon(server.listeners.drain(LONG)).await, Drained::Clean);
}
