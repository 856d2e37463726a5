//! Logins: Basic, static and fetched tokens, what is remembered and what is asked again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use client::{ClientError, Credential, CredentialStore, ManifestFetch, Secret, UpstreamConfig};
use serde_json::json;

use crate::support::*;

/// A registry that wants a token of its own realm; `accepts` says which.
async fn bearer_registry(accepts: impl Fn(&str) -> bool + Send + Sync + 'static) -> Server {
    let issued = AtomicUsize::new(0);
    Server::start_knowing(|url| {
        let challenge =
            format!("Bearer realm=\"{url}/token\",service=\"reg, istry\",scope=\"repository:library/alpine:pull\"");
        move |seen| match (seen.path(), seen.authorization()) {
            ("/token", _) => Reply::json(
                &json!({"token": format!("t{}", issued.fetch_add(1, Ordering::SeqCst) + 1), "expires_in": 300}),
            ),
            (_, Some(offered)) if accepts(offered) => manifest_reply(),
            _ => Reply::challenge(&challenge),
        }
    })
    .await
}

async fn pull(client: &client::RegistryClient) -> Result<ManifestFetch, ClientError> {
    client.get_manifest(&name(), &tag(), None).await
}

#[tokio::test]
async fn an_anonymous_token_is_fetched_once_and_then_sent_at_once() {
    let server = bearer_registry(|offered| offered == "Bearer t1").await;
    let client = anonymous(&server);
    pull(&client).await.unwrap();
    pull(&client).await.unwrap();
    let offers: Vec<_> =
        server.seen_at(MANIFEST_PATH).iter().map(|seen| seen.authorization().map(str::to_owned)).collect();
    assert_eq!(offers, [None, Some("Bearer t1".into()), Some("Bearer t1".into())]);
    let tokens = server.seen_at("/token");
    assert_eq!(tokens.len(), 1);
    assert_eq!(tokens[0].target, "/token?service=reg%2C+istry&scope=repository%3Alibrary%2Falpine%3Apull");
    assert_eq!(tokens[0].authorization(), None);
}

#[tokio::test]
async fn the_credential_goes_to_the_own_realm_and_the_token_to_the_registry() {
    let server = bearer_registry(|offered| offered == "Bearer t1").await;
    pull(&with_credential(&server)).await.unwrap();
    assert_eq!(server.seen_at("/token")[0].authorization(), Some(CANARY_BASIC));
    assert!(server.seen_at(MANIFEST_PATH).iter().all(|seen| seen.authorization() != Some(CANARY_BASIC)));
}

#[tokio::test]
async fn simultaneous_calls_share_one_token_request() {
    let server = bearer_registry(|offered| offered == "Bearer t1").await;
    let client = anonymous(&server);
    let calls: Vec<_> = (0..40)
        .map(|_| {
            tokio::spawn({
                let client = client.clone();
                async move { pull(&client).await }
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(server.seen_at("/token").len(), 1);
}

#[tokio::test]
async fn a_token_that_is_no_longer_taken_is_fetched_again_once() {
    let good = Arc::new(AtomicUsize::new(1));
    let accepted = good.clone();
    let server =
        bearer_registry(move |offered| offered == format!("Bearer t{}", accepted.load(Ordering::SeqCst))).await;
    let client = anonymous(&server);
    pull(&client).await.unwrap();
    good.store(2, Ordering::SeqCst);
    pull(&client).await.unwrap();
    assert_eq!(server.seen_at("/token").len(), 2);
    good.store(usize::MAX, Ordering::SeqCst);
    let error = pull(&client).await.unwrap_err();
    assert!(matches!(error, ClientError::Unauthorized { .. }), "{error:?}");
    assert_eq!(server.seen_at("/token").len(), 3, "one refetch for a call, not a loop");
}

#[tokio::test]
async fn a_challenge_without_a_scope_asks_for_the_repository() {
    let server = Server::start_knowing(|url| {
        let challenge = format!("Bearer realm=\"{url}/token\"");
        move |seen| match (seen.path(), seen.authorization()) {
            ("/token", _) => Reply::json(&json!({"access_token": "t"})),
            (_, Some("Bearer t")) => manifest_reply(),
            _ => Reply::challenge(&challenge),
        }
    })
    .await;
    pull(&anonymous(&server)).await.unwrap();
    assert_eq!(server.seen_at("/token")[0].target, "/token?scope=repository%3Alibrary%2Falpine%3Apull");
}

#[tokio::test]
async fn basic_is_sent_after_the_challenge_and_then_at_once() {
    let server = Server::start(|seen| match seen.authorization() {
        Some(CANARY_BASIC) => manifest_reply(),
        _ => Reply::challenge("Basic realm=\"registry\""),
    })
    .await;
    let client = with_credential(&server);
    pull(&client).await.unwrap();
    pull(&client).await.unwrap();
    let offers: Vec<_> = server.seen().iter().map(|seen| seen.authorization().is_some()).collect();
    assert_eq!(offers, [false, true, true]);
    let error = pull(&anonymous(&server)).await.unwrap_err();
    assert!(matches!(error, ClientError::Unauthorized { .. }), "{error:?}");
}

#[tokio::test]
async fn a_wrong_password_is_offered_once_a_call() {
    let server = Server::start(|_| Reply::challenge("Basic realm=\"registry\"")).await;
    let client = with_credential(&server);
    for _ in 0..2 {
        let error = pull(&client).await.unwrap_err();
        assert_eq!(error.upstream_status(), Some(401));
    }
    let offers = server.seen().iter().filter(|seen| seen.authorization().is_some()).count();
    assert_eq!(offers, 2, "account lock-outs count failed logins");
}

#[tokio::test]
async fn a_static_token_answers_a_bearer_challenge_without_a_token_server() {
    let server = Server::start_knowing(|url| {
        let challenge = format!("Bearer realm=\"{url}/token\"");
        move |seen| match seen.authorization() {
            Some("Bearer canary-s3cr3t") => manifest_reply(),
            _ => Reply::challenge(&challenge),
        }
    })
    .await;
    let credentials = CredentialStore::fixed(Credential::Bearer(Secret::new(CANARY)));
    pull(&client(UpstreamConfig { credentials, ..config(&server) })).await.unwrap();
    assert!(server.seen_at("/token").is_empty());
}

/// What a pull says when the token server gives `reply`.
async fn with_token_reply(reply: Reply) -> (ClientError, Server) {
    let server = Server::start_knowing(|url| {
        let challenge = format!("Bearer realm=\"{url}/token\"");
        move |seen| if seen.path() == "/token" { reply.clone() } else { Reply::challenge(&challenge) }
    })
    .await;
    let error = pull(&with_credential(&server)).await.unwrap_err();
    (error, server)
}

#[tokio::test]
async fn the_token_servers_failures_are_not_the_contents() {
    let (error, _) = with_token_reply(Reply::new(404, &[], "")).await;
    assert!(matches!(&error, ClientError::UpstreamStatus { answer, .. } if answer.status == 404), "{error:?}");
    let (error, server) = with_token_reply(Reply::new(429, &[("retry-after", "120")], "")).await;
    assert!(
        matches!(error, ClientError::RateLimited { retry_after: Some(wait), .. } if wait == Duration::from_mins(2))
    );
    assert_eq!(server.seen_at("/token").len(), 1, "no request before the time");
    let (error, _) = with_token_reply(Reply::new(401, &[], "")).await;
    assert!(matches!(error, ClientError::Unauthorized { .. }), "{error:?}");
    let (error, _) = with_token_reply(Reply::new(403, &[], "")).await;
    assert!(matches!(error, ClientError::Denied { .. }), "{error:?}");
}

#[tokio::test]
async fn a_token_servers_nonsense_is_bounded_and_refused() {
    let page = Reply::new(200, &[("content-type", "text/html")], "<html>login</html>");
    for reply in [
        Reply::json(&json!({})),
        Reply::json(&json!({"token": ""})),
        Reply::json(&json!({"token": "a\nb"})),
        Reply::json(&json!([])),
        page,
    ] {
        let (error, _) = with_token_reply(reply).await;
        assert!(matches!(error, ClientError::Protocol { .. }), "{error:?}");
    }
    let huge = vec![b' '; 1024 * 1024 + 1];
    for reply in [Reply::ok(&huge), Reply::chunked(200, &[], &huge)] {
        let (error, _) = with_token_reply(reply).await;
        assert!(matches!(error, ClientError::TooLarge { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_challenge_that_cannot_be_read_is_an_error_and_gets_nothing() {
    for challenge in ["Bearer realm=\"http://127.0.0.1", "Bearer", "Bearer realm=\"a\",realm=\"b\""] {
        let server = Server::start(move |_| Reply::challenge(challenge)).await;
        let error = pull(&with_credential(&server)).await.unwrap_err();
        assert!(
            matches!(error, ClientError::Protocol { .. } | ClientError::Unauthorized { .. }),
            "{challenge}: {error:?}"
        );
        server.assert_no_credential();
    }
    let endless = format!("Bearer realm=\"https://r.example/{}\"", "a".repeat(64 * 1024));
    let server = Server::start(move |_| Reply::challenge(&endless)).await;
    let error = pull(&with_credential(&server)).await.unwrap_err();
    assert!(matches!(error, ClientError::Protocol { .. }), "{error:?}");
    server.assert_no_credential();
}

#[tokio::test]
async fn secrets_echoed_by_the_upstream_do_not_come_back_in_errors() {
    let echo = json!({"errors": [{"code": "UNAUTHORIZED", "message": format!("bad password {CANARY} for ci")}]});
    let (error, _) = with_token_reply(Reply::new(401, &[("content-type", "application/json")], echo.to_string())).await;
    assert_eq!(error.upstream_message(), Some("bad password [redacted] for ci"));
    assert!(!format!("{error} {error:?}").contains(CANARY));
}

#[tokio::test]
async fn ping_succeeds_where_a_registry_is_there_and_takes_the_login() {
    let server = Server::start(|seen| match seen.authorization() {
        Some(CANARY_BASIC) => Reply::json(&json!({})),
        _ => Reply::challenge("Basic realm=\"registry\""),
    })
    .await;
    anonymous(&server).ping().await.unwrap();
    with_credential(&server).ping().await.unwrap();
    assert!(server.seen().iter().all(|seen| seen.target == "/v2/"));
    let credentials =
        CredentialStore::fixed(Credential::Basic { username: "ci".into(), password: Secret::new("wrong") });
    let error = client(UpstreamConfig { credentials, ..config(&server) }).ping().await.unwrap_err();
    assert!(matches!(error, ClientError::Unauthorized { .. }), "{error:?}");
}

#[tokio::test]
async fn tokens_echoed_by_the_upstream_do_not_come_back_either() {
    for status in [400, 401, 403, 500] {
        let server = Server::start_knowing(|url| {
            let challenge = format!("Bearer realm=\"{url}/token\"");
            move |seen| match (seen.path(), seen.authorization()) {
                ("/token", _) => Reply::json(&json!({ "token": CANARY })),
                (_, Some(offered)) => {
                    let headers = [("content-type", "text/plain"), ("www-authenticate", &*challenge)];
                    Reply::new(status, &headers, format!("you sent {offered}"))
                }
                _ => Reply::challenge(&challenge),
            }
        })
        .await;
        let error = pull(&anonymous(&server)).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains(CANARY), "{status}: {error}");
        assert_eq!(error.upstream_message(), Some("you sent Bearer [redacted]"), "{status}");
    }
}
