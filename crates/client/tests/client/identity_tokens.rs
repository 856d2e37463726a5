//! Refresh tokens, and passwords for token servers of the OAuth2 form alone.

use client::{ClientError, Credential, CredentialSource, Secret, UpstreamConfig};

use crate::entries::*;
use crate::support::*;

fn identity() -> CredentialSource {
    CredentialSource::Fixed(Credential::IdentityToken(Secret::new(CANARY)))
}

#[tokio::test]
async fn a_refresh_token_is_posted_to_the_token_server_and_nowhere_else() {
    let server = token_registry(|seen| match (seen.method.as_str(), has(seen, "refresh_token", CANARY)) {
        ("POST", true) => token(),
        _ => Reply::new(401, &[], ""),
    })
    .await;
    let client = with_source(&server, identity());
    pull(&client).await.unwrap();
    pull(&client).await.unwrap();
    let asked = server.seen_at("/token");
    assert_eq!(asked.len(), 1, "the token is kept");
    assert_eq!(asked[0].target, "/token", "nothing stands in the URL");
    assert_eq!(asked[0].authorization(), None);
    let fields = form(&asked[0]);
    let expected = [
        ("grant_type", "refresh_token"),
        ("refresh_token", CANARY),
        ("client_id", "transship"),
        ("service", "reg.example"),
        ("scope", "repository:library/alpine:pull"),
    ];
    assert!(fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).eq(expected));
    assert!(!format!("{:?}", server.seen_at(MANIFEST_PATH)).contains(CANARY));
}

#[tokio::test]
async fn a_refresh_token_does_not_answer_a_basic_challenge() {
    let server = basic_registry("never".into()).await;
    let error = pull(&with_source(&server, identity())).await.unwrap_err();
    assert!(matches!(error, ClientError::Unauthorized { .. }), "{error:?}");
    server.assert_no_credential();
}

#[tokio::test]
async fn a_realm_elsewhere_gets_neither_refresh_token_nor_password() {
    let stranger = Server::start(|_| token()).await;
    let realm = stranger.at("/token");
    let server = Server::start(move |_| Reply::challenge(&format!("Bearer realm=\"{realm}\""))).await;
    for source in [identity(), CredentialSource::Fixed(basic_credential())] {
        let error = pull(&with_source(&server, source)).await.unwrap_err();
        assert!(matches!(&error, ClientError::Refused { what, .. } if what.contains("token_hosts")), "{error:?}");
    }
    assert!(stranger.seen().is_empty());
    server.assert_no_credential();
}

#[tokio::test]
async fn a_refresh_token_leaves_plain_http_only_inside_the_house() {
    let token_server = Server::start(|_| token()).await;
    let realm = token_server.at("/token");
    let server = Server::start(move |seen| match seen.authorization() {
        Some("Bearer t") => manifest_reply(),
        _ => Reply::challenge(&format!("Bearer realm=\"{realm}\"")),
    })
    .await;
    let token_hosts = vec![token_server.address().parse().unwrap()];
    let listed = UpstreamConfig { token_hosts, ..config(&server) };
    pull(&with_entries(listed, vec![("", identity())])).await.unwrap();
    assert!(has(&token_server.seen()[0], "refresh_token", CANARY));
    server.assert_no_credential_but("Bearer t");
}

#[tokio::test]
async fn a_token_server_that_sends_on_gets_the_post_and_the_stranger_nothing() {
    let stranger = Server::start(|_| token()).await;
    for status in [301, 302, 303, 307, 308] {
        let elsewhere = stranger.at("/token");
        let server = token_registry(move |_| Reply::new(status, &[("location", &elsewhere)], "")).await;
        let error = pull(&with_source(&server, identity())).await.unwrap_err();
        assert!(matches!(error, ClientError::Refused { .. }), "{status}: {error:?}");
    }
    assert!(stranger.seen().is_empty());
}

#[tokio::test]
async fn a_password_is_posted_where_get_is_not_served() {
    for refusal in [404, 405] {
        let server = token_registry(move |seen| match seen.method.as_str() {
            "POST" if has(seen, "password", CANARY) && has(seen, "username", "ci") => token(),
            "POST" => Reply::new(401, &[], ""),
            _ => Reply::new(refusal, &[], ""),
        })
        .await;
        pull(&with_source(&server, CredentialSource::Fixed(basic_credential()))).await.unwrap();
        let asked = server.seen_at("/token");
        assert_eq!(asked.iter().map(|seen| seen.method.as_str()).collect::<Vec<_>>(), ["GET", "POST"], "{refusal}");
        assert!(has(&asked[1], "grant_type", "password"));
        assert_eq!((asked[1].target.as_str(), asked[1].authorization()), ("/token", None));
    }
    let refusing = token_registry(|_| Reply::new(401, &[], "")).await;
    pull(&with_source(&refusing, CredentialSource::Fixed(basic_credential()))).await.unwrap_err();
    assert_eq!(refusing.seen_at("/token").len(), 1, "a refused password is not tried in the other form");
}

#[tokio::test]
async fn what_the_token_server_says_back_is_redacted_in_every_form() {
    let server = token_registry(|seen| {
        let message = format!("no {} {}", seen.authorization().unwrap_or_default(), seen.body);
        let body = serde_json::json!({"errors": [{"code": "UNAUTHORIZED", "message": message}]}).to_string();
        Reply::new(401, &[("content-type", "application/json")], body)
    })
    .await;
    for source in [identity(), CredentialSource::Fixed(basic_credential())] {
        let error = pull(&with_source(&server, source)).await.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("[redacted]"), "{error:?}");
        assert!(!shown.contains(CANARY) && !shown.contains(&CANARY_BASIC[6..]), "{error:?}");
    }
}

#[tokio::test]
async fn a_cdn_that_wants_a_login_gets_none() {
    let cdn = greedy().await;
    let elsewhere = cdn.at("/data");
    let server = Server::start_knowing(|url| {
        let challenge = format!("Bearer realm=\"{url}/token\"");
        move |seen| match (seen.path(), seen.authorization()) {
            ("/token", _) => token(),
            (_, Some("Bearer t")) => Reply::redirect(&elsewhere),
            _ => Reply::challenge(&challenge),
        }
    })
    .await;
    let client = with_source(&server, identity());
    let error = client.get_blob(&name(), &digest(), None).await.err().unwrap();
    assert!(matches!(error, ClientError::UpstreamStatus { .. }), "{error:?}");
    assert!(cdn.seen_at("/token").is_empty() && !cdn.seen().is_empty());
    cdn.assert_no_credential();
}
