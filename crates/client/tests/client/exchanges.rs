//! What watchers see: everything once, and nothing secret.

use std::sync::Arc;

use client::{Exchange, ExchangeKind, RegistryClient, TraceContext, UpstreamConfig, with_traceparent};
use futures_util::StreamExt;
use serde_json::json;

use crate::support::*;

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn watched(config: UpstreamConfig) -> (RegistryClient, Arc<Watch>) {
    let watch = Arc::new(Watch::default());
    (RegistryClient::new(config, watch.clone()).unwrap(), watch)
}

fn summary(exchange: &Exchange) -> (ExchangeKind, Option<u16>, u32) {
    (exchange.kind, exchange.status, exchange.attempt)
}

#[tokio::test]
async fn each_step_is_one_exchange() {
    let cdn = Server::start(|_| Reply::ok("0123456789")).await;
    let location = cdn.at("/blob?X-Amz-Signature=canary-s3cr3t&n=1");
    let server = Server::start_knowing(|url| {
        let challenge = format!("Bearer realm=\"{url}/token\",service=\"reg\"");
        move |seen| match (seen.path(), seen.authorization()) {
            ("/token", _) => Reply::json(&json!({"token": CANARY})),
            (_, Some(_)) => Reply::redirect(&location),
            _ => Reply::challenge(&challenge),
        }
    })
    .await;
    let (client, watch) =
        watched(UpstreamConfig { credentials: client::CredentialStore::fixed(basic_credential()), ..config(&server) });
    let blob = client.get_blob(&name(), &digest(), None).await.unwrap();
    assert_eq!(watch.all().len(), 3, "the blob's own exchange ends with its body");
    read(blob.body).await.unwrap();
    let all = watch.all();
    let kinds: Vec<_> = all.iter().map(summary).collect();
    assert_eq!(
        kinds,
        [
            (ExchangeKind::Blob, Some(401), 1),
            (ExchangeKind::Token, Some(200), 1),
            (ExchangeKind::Blob, Some(307), 1),
            (ExchangeKind::Blob, Some(200), 1),
        ]
    );
    assert!(all[1].url.contains("service=reg&scope=repository"), "{}", all[1].url);
    assert!(all[3].url.ends_with("/blob?X-Amz-Signature=…&n=1"), "{}", all[3].url);
    assert_eq!(all[3].bytes, 10);
    assert!(all.iter().all(|exchange| *exchange.upstream == *server.address() && exchange.error.is_none()), "{all:?}");
    assert!(!format!("{all:?}").contains(CANARY), "{all:?}");
    assert!(all[3].headers.contains(&("content-length", "10".to_owned())));
    assert!(all.iter().all(|exchange| exchange.first_byte <= exchange.total));
}

#[tokio::test]
async fn connecting_is_timed_once_for_each_connection() {
    let server = Server::start(|_| manifest_reply()).await;
    let (client, watch) = watched(config(&server));
    for _ in 0..3 {
        client.get_manifest(&name(), &tag(), None).await.unwrap();
    }
    let connects: Vec<_> = watch.all().iter().map(|exchange| exchange.connect.is_some()).collect();
    assert_eq!(connects, [true, false, false]);
}

#[tokio::test]
async fn failures_and_bodies_given_up_are_reported_too() {
    let server = Server::start(|seen| {
        if seen.path().contains("/blobs/") {
            Reply::new(200, &[("content-length", "10")], "0123").then(Then::Stall)
        } else {
            Reply::silence(Then::Close)
        }
    })
    .await;
    let (client, watch) = watched(UpstreamConfig { max_attempts: 2, ..config(&server) });
    client.get_manifest(&name(), &tag(), None).await.unwrap_err();
    let all = watch.all();
    assert_eq!(
        all.iter().map(summary).collect::<Vec<_>>(),
        [(ExchangeKind::Manifest, None, 1), (ExchangeKind::Manifest, None, 2)]
    );
    assert!(all.iter().all(|exchange| exchange.error.is_some()), "{all:?}");

    let mut blob = client.get_blob(&name(), &digest(), None).await.unwrap();
    assert_eq!(blob.body.next().await.unwrap().unwrap(), "0123");
    drop(blob);
    let last = watch.all().pop().unwrap();
    assert_eq!((last.bytes, last.status), (4, Some(200)));
    assert_eq!(last.error.as_deref(), Some("given up by the caller"));
    assert_eq!(watch.all().len(), 3);
}

#[tokio::test]
async fn the_trace_goes_to_the_upstream_and_not_beyond() {
    let cdn = Server::start(|_| Reply::ok("blob")).await;
    let token_server = Server::start(|_| Reply::json(&json!({"token": "t"}))).await;
    let (location, realm) = (cdn.at("/blob"), token_server.at("/token"));
    let server = Server::start(move |seen| match seen.authorization() {
        Some(_) => Reply::redirect(&location),
        None => Reply::challenge(&format!("Bearer realm=\"{realm}\"")),
    })
    .await;
    let client = anonymous(&server);
    let call = async { client.get_blob(&name(), &digest(), None).await.map(drop) };
    Box::pin(with_traceparent(TraceContext::new(TRACEPARENT), call)).await.unwrap();
    client.get_blob(&name(), &digest(), None).await.unwrap();
    let sent: Vec<_> = server.seen().iter().map(|seen| seen.header("traceparent").map(str::to_owned)).collect();
    assert_eq!(sent, [Some(TRACEPARENT.to_owned()), Some(TRACEPARENT.to_owned()), None]);
    let others = [cdn.seen(), token_server.seen()].concat();
    assert_eq!(others.len(), 3);
    assert!(others.iter().all(|seen| seen.header("traceparent").is_none()), "{others:?}");
}
