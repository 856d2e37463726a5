//! Redirects: followed, but alone.

use client::{ClientError, Credential, CredentialStore, Secret, UpstreamConfig};
use oci::ByteRange;
use serde_json::json;

use crate::support::*;

/// A registry that wants Basic, and then answers with `reply`.
async fn behind_basic(reply: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Server {
    Server::start(move |seen| match seen.authorization() {
        Some(CANARY_BASIC) => reply(seen),
        _ => Reply::challenge("Basic realm=\"registry\""),
    })
    .await
}

#[tokio::test]
async fn the_cdn_gets_the_range_but_not_the_credential() {
    let cdn = Server::start(|_| Reply::new(206, &[("content-range", "bytes 1-2/4")], "lo")).await;
    let location = cdn.at("/blob?X-Amz-Signature=abc");
    let server = behind_basic(move |_| Reply::redirect(&location)).await;
    let blob = with_credential(&server).get_blob(&name(), &digest(), ByteRange::new(1, 3)).await.unwrap();
    assert_eq!((blob.offset, blob.end, blob.total), (1, Some(3), Some(4)));
    assert_eq!(read(blob.body).await.unwrap(), b"lo");
    assert_eq!(cdn.seen().len(), 1);
    assert_eq!(cdn.seen()[0].header("range"), Some("bytes=1-2"));
    assert_eq!(cdn.seen()[0].header("accept-encoding"), Some("identity"));
    cdn.assert_no_credential();
}

#[tokio::test]
async fn a_cdn_that_asks_for_a_login_gets_none() {
    let token_server = Server::start(|_| Reply::json(&json!({"token": "t"}))).await;
    for challenge in ["Basic realm=\"cdn\"".to_owned(), format!("Bearer realm=\"{}\"", token_server.at("/token"))] {
        let cdn = Server::start(move |_| Reply::challenge(&challenge)).await;
        let location = cdn.at("/blob");
        let open = Server::start({
            let location = location.clone();
            move |_| Reply::redirect(&location)
        })
        .await;
        let closed = behind_basic(move |_| Reply::redirect(&location)).await;
        let clients = [with_credential(&closed), with_credential(&open), anonymous(&open)];
        // The second time, each client knows what its upstream wants.
        for client in clients.iter().chain(&clients) {
            let error = client.get_blob(&name(), &digest(), None).await.unwrap_err();
            assert!(matches!(&error, ClientError::UpstreamStatus { answer, .. } if answer.status == 401), "{error:?}");
        }
        assert_eq!(cdn.seen().len(), 6, "asked once for each call, its challenge never answered");
        cdn.assert_no_credential();
        open.assert_no_credential();
    }
    assert!(token_server.seen().is_empty());
}

#[tokio::test]
async fn tokens_do_not_travel_either() {
    let cdn = Server::start(|_| Reply::ok("blob")).await;
    let location = cdn.at("/blob");
    let server = Server::start_knowing(|url| {
        let challenge = format!("Bearer realm=\"{url}/token\"");
        move |seen| match (seen.path(), seen.authorization()) {
            ("/token", _) => Reply::json(&json!({"token": CANARY})),
            (_, Some(_)) => Reply::redirect(&location),
            _ => Reply::challenge(&challenge),
        }
    })
    .await;
    let static_token = UpstreamConfig {
        credentials: CredentialStore::fixed(Credential::Bearer(Secret::new(CANARY))),
        ..config(&server)
    };
    for client in [anonymous(&server), client(static_token)] {
        let blob = client.get_blob(&name(), &digest(), None).await.unwrap();
        assert_eq!(read(blob.body).await.unwrap(), b"blob");
    }
    assert_eq!(cdn.seen().len(), 2);
    cdn.assert_no_credential();
}

#[tokio::test]
async fn the_same_origin_keeps_it_and_a_detour_loses_it_for_good() {
    let server =
        behind_basic(|seen| if seen.path() == "/moved" { Reply::ok("blob") } else { Reply::redirect("/moved") }).await;
    let blob = with_credential(&server).get_blob(&name(), &digest(), None).await.unwrap();
    assert_eq!(read(blob.body).await.unwrap(), b"blob");

    let detour = std::sync::Arc::new(std::sync::OnceLock::<String>::new());
    let back = detour.clone();
    let cdn = Server::start(move |_| Reply::redirect(back.get().unwrap())).await;
    let away = cdn.at("/away");
    let server = Server::start(move |seen| match (seen.path(), seen.authorization()) {
        ("/back", _) => Reply::ok("blob"),
        (_, Some(CANARY_BASIC)) => Reply::redirect(&away),
        _ => Reply::challenge("Basic realm=\"registry\""),
    })
    .await;
    detour.set(server.at("/back")).unwrap();
    let blob = with_credential(&server).get_blob(&name(), &digest(), None).await.unwrap();
    assert_eq!(read(blob.body).await.unwrap(), b"blob");
    assert_eq!(server.seen_at("/back")[0].authorization(), None);
    cdn.assert_no_credential();
}

#[tokio::test]
async fn a_chain_of_strangers_gets_nothing_at_any_link() {
    let last = Server::start(|_| Reply::ok("blob")).await;
    let to_last = last.at("/last");
    let middle = Server::start(move |seen| match seen.path() {
        "/first" => Reply::redirect("/second"),
        _ => Reply::redirect(&to_last),
    })
    .await;
    let to_middle = middle.at("/first");
    let server = behind_basic(move |_| Reply::redirect(&to_middle)).await;
    let blob = with_credential(&server).get_blob(&name(), &digest(), None).await.unwrap();
    assert_eq!(read(blob.body).await.unwrap(), b"blob");
    assert_eq!((middle.seen().len(), last.seen().len()), (2, 1));
    middle.assert_no_credential();
    last.assert_no_credential();
}

#[tokio::test]
async fn loops_end_after_five_hops() {
    let server = Server::start(|seen| Reply::redirect(&format!("{}x", seen.target))).await;
    let error = anonymous(&server).get_blob(&name(), &digest(), None).await.unwrap_err();
    assert!(matches!(error, ClientError::Refused { .. }), "{error:?}");
    assert_eq!(server.seen().len(), 6);
}

#[tokio::test]
async fn metadata_services_and_odd_places_are_out_of_reach() {
    for location in [
        "http://169.254.169.254/latest/",
        "http://[::ffff:169.254.169.254]/",
        "http://[fd00:ec2::254]/",
        "http://0.0.0.0/",
        "http://2852039166/",
        "http://0xa9fea9fe/",
        "ftp://127.0.0.1/",
        "http://ci:pw@127.0.0.1/",
    ] {
        let server = behind_basic(move |_| Reply::redirect(location)).await;
        let error = with_credential(&server).get_blob(&name(), &digest(), None).await.unwrap_err();
        assert!(matches!(error, ClientError::Refused { .. }), "{location}: {error:?}");
    }
    let server = Server::start(|_| Reply::new(307, &[], "")).await;
    let error = anonymous(&server).get_blob(&name(), &digest(), None).await.unwrap_err();
    assert!(matches!(error, ClientError::Protocol { .. }), "{error:?}");
}

#[tokio::test]
async fn a_stranger_has_no_say_on_what_exists_or_who_may_see_it() {
    for status in [401, 403, 404] {
        let cdn = Server::start(move |_| Reply::new(status, &[], "")).await;
        let location = cdn.at("/blob");
        let server = Server::start(move |_| Reply::redirect(&location)).await;
        let error = anonymous(&server).get_blob(&name(), &digest(), None).await.unwrap_err();
        assert!(matches!(error, ClientError::UpstreamStatus { .. }), "{error:?}");
        assert_eq!(error.upstream_status(), Some(status));
    }
}
