//! Logins of Amazon's registries: the signed request, the life of the login, and who is never asked or told.

use std::time::{Duration, SystemTime};

use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use client::{AwsIdentity, AwsKeys, CredentialSource, EcrLogin, Secret};
use serde_json::json;
use url::Url;

use crate::entries::*;
use crate::programs::later;
use crate::support::*;

pub(crate) const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG+canary-s3cr3t";
pub(crate) const SESSION: &str = "session-canary-s3cr3t";

fn source(endpoint: Option<Url>) -> CredentialSource {
    let keys = AwsKeys {
        access_key_id: "AKIDEXAMPLE".into(),
        secret_access_key: Secret::new(SECRET_KEY),
        session_token: Some(Secret::new(SESSION)),
    };
    CredentialSource::Ecr(Box::new(EcrLogin {
        identity: AwsIdentity::Keys(keys),
        region: Some("eu-west-1".into()),
        endpoint,
    }))
}

/// Amazon's endpoint: a login for twelve hours, for those who sign right.
pub(crate) async fn endpoint() -> Server {
    Server::start(|seen| {
        if !is_signed(seen) {
            return Reply::new(403, &[], "the signature is wrong");
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let (token, end) = (STANDARD.encode(format!("AWS:{CANARY}")), (now + Duration::from_hours(12)).as_secs_f64());
        Reply::json(&json!({"authorizationData": [{"authorizationToken": token, "expiresAt": end}]}))
    })
    .await
}

pub(crate) async fn registry() -> Server {
    basic_registry(format!("Basic {}", STANDARD.encode(format!("AWS:{CANARY}")))).await
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

/// Signs what came once more, as the documentation of Signature Version 4 says, and compares.
fn is_signed(seen: &Seen) -> bool {
    let sha256 = |text: &str| hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
    let authorization = seen.authorization().unwrap();
    let part = |name: &str| {
        let rest = authorization.split_once(name).unwrap().1;
        rest.split_once(", ").map_or(rest, |(value, _)| value).to_owned()
    };
    let (credential, names, signature) = (part("Credential="), part("SignedHeaders="), part("Signature="));
    let header = |name: &str| format!("{name}:{}\n", seen.header(name).unwrap());
    let headers = names.split(';').map(header).collect::<Vec<_>>().concat();
    let canonical = format!("{}\n{}\n\n{headers}\n{names}\n{}", seen.method, seen.path(), sha256(&seen.body));
    let (_, scope) = credential.split_once('/').unwrap();
    let to_sign = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{}", seen.header("x-amz-date").unwrap(), sha256(&canonical));
    let sign =
        |key: &[u8], text: &str| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec();
    let start = format!("AWS4{SECRET_KEY}").into_bytes();
    let key = scope.split('/').fold(start, |key, part| sign(&key, part));
    authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/") && signature == hex(&sign(&key, &to_sign))
}

#[tokio::test]
async fn a_login_is_asked_for_with_a_signed_request_and_renewed_before_it_ends() {
    let (endpoint, server) = (endpoint().await, registry().await);
    let client = with_source(&server, source(Some(endpoint.url.clone())));
    pull(&client).await.unwrap();
    pull(&client).await.unwrap();
    let asked = endpoint.seen();
    assert_eq!(asked.len(), 1);
    assert_eq!((asked[0].method.as_str(), asked[0].target.as_str(), asked[0].body.as_str()), ("POST", "/", "{}"));
    for (name, value) in [
        ("content-type", "application/x-amz-json-1.1"),
        ("x-amz-target", "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"),
        ("x-amz-security-token", SESSION),
    ] {
        assert_eq!(asked[0].header(name), Some(value));
    }
    let authorization = asked[0].authorization().unwrap();
    let names = "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target";
    assert!(authorization.contains("/eu-west-1/ecr/aws4_request, ") && authorization.contains(names));
    assert!(!format!("{asked:?}").contains(SECRET_KEY), "the key itself is never sent");
    for (hours, requests) in [(9, 1), (1, 2), (9, 2)] {
        later(Duration::from_hours(hours)).await;
        pull(&client).await.unwrap();
        assert_eq!(endpoint.seen().len(), requests, "{hours} h later");
    }
    let sent = format!("{:?}", server.seen());
    assert!(!sent.contains(SESSION) && !sent.contains("AKIDEXAMPLE"), "the registry sees the login alone");
}

#[tokio::test]
async fn a_host_that_is_not_amazons_needs_an_endpoint() {
    let server = registry().await;
    let why = pull_without_credential(&with_source(&server, source(None))).await;
    assert!(why.contains("127.0.0.1 is not a host of ECR") && why.contains("write the endpoint"), "{why}");
    server.assert_no_credential();
}

#[tokio::test]
async fn an_endpoint_that_fails_tells_no_secret_and_one_that_sends_on_gives_nothing_away() {
    let (stranger, server) = (greedy().await, registry().await);
    let elsewhere = stranger.at("/");
    let sends_on = Server::start(move |_| Reply::redirect(&elsewhere)).await;
    let echoes = Server::start(|seen| Reply::new(400, &[("content-type", "text/plain")], format!("{seen:?}"))).await;
    let no_login = Server::start(|_| Reply::json(&json!({"authorizationData": []}))).await;
    for endpoint in [&sends_on, &echoes, &no_login] {
        let why = pull_without_credential(&with_source(&server, source(Some(endpoint.url.clone())))).await;
        assert!(why.contains(&endpoint.address()) && !why.contains(SECRET_KEY) && !why.contains(SESSION), "{why}");
    }
    assert!(stranger.seen().is_empty());
    server.assert_no_credential();
}

#[tokio::test]
async fn a_cdn_that_wants_a_login_gets_none() {
    let (endpoint, cdn) = (endpoint().await, greedy().await);
    let elsewhere = cdn.at("/data");
    let server = Server::start(move |seen| match seen.authorization() {
        Some(_) => Reply::redirect(&elsewhere),
        None => Reply::challenge("Basic realm=\"ecr\""),
    })
    .await;
    let client = with_source(&server, source(Some(endpoint.url.clone())));
    client.get_blob(&name(), &digest(), None).await.err().unwrap();
    assert!(!cdn.seen().is_empty() && cdn.seen_at("/token").is_empty());
    cdn.assert_no_credential();
}
