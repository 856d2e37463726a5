//! Logins of Google's and Azure's registries: what is asked of whom, and who learns nothing.

use std::time::Duration;

use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use client::{AzureIdentity, AzureLogin, CredentialSource, GoogleIdentity, GoogleLogin, Secret};
use serde_json::{Value, json};
use url::Url;

use crate::entries::*;
use crate::programs::later;
use crate::support::*;

fn google(identity: GoogleIdentity, endpoint: Option<Url>) -> CredentialSource {
    CredentialSource::Google(Box::new(GoogleLogin { identity, endpoint }))
}

fn azure(identity: AzureIdentity, endpoint: Option<Url>) -> CredentialSource {
    CredentialSource::Azure(Box::new(AzureLogin { identity, endpoint }))
}

/// A registry of Google's: the access token is the password for its token server.
async fn google_registry() -> Server {
    let taken = format!("Basic {}", STANDARD.encode(format!("oauth2accesstoken:{CANARY}")));
    token_registry(move |seen| if seen.authorization() == Some(&taken) { token() } else { Reply::new(401, &[], "") })
        .await
}

fn access_token() -> Reply {
    Reply::json(&json!({"access_token": CANARY, "expires_in": 3599, "token_type": "Bearer"}))
}

#[tokio::test]
async fn a_service_accounts_key_signs_a_claim_that_is_exchanged() {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let document = json!({
        "type": "service_account", "client_email": "puller@project.example", "private_key_id": "k1",
        "private_key": key.serialize_pem(), "token_uri": "https://elsewhere.example/token",
    });
    let (endpoint, server) = (Server::start(|_| access_token()).await, google_registry().await);
    let mut url = endpoint.url.clone();
    url.set_path("/token");
    let identity = GoogleIdentity::Key(Secret::new(document.to_string()));
    let client = with_source(&server, google(identity, Some(url.clone())));
    pull(&client).await.unwrap();
    pull(&client).await.unwrap();
    let asked = endpoint.seen();
    assert_eq!((asked.len(), asked[0].method.as_str(), asked[0].target.as_str()), (1, "POST", "/token"));
    assert!(has(&asked[0], "grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"));
    let fields = form(&asked[0]);
    let (_, assertion) = fields.iter().find(|(name, _)| name == "assertion").unwrap();
    let (signed, signature) = assertion.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let part = |text: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap();
    assert_eq!(part(header), json!({"alg": "RS256", "typ": "JWT", "kid": "k1"}));
    let (claims, signature) = (part(claims), URL_SAFE_NO_PAD.decode(signature).unwrap());
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!("puller@project.example"), &json!(url.as_str())));
    assert_eq!(claims["scope"], "https://www.googleapis.com/auth/cloud-platform");
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 3600);
    let pair = RsaKeyPair::from_pkcs8(&key.serialize_der()).unwrap();
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref());
    assert!(public.verify(signed.as_bytes(), &signature).is_ok(), "the signature is wrong");
    assert!(server.seen().iter().all(|seen| !format!("{seen:?}").contains("puller@")));
    for (minutes, requests) in [(45, 1), (5, 2)] {
        later(Duration::from_mins(minutes)).await;
        pull(&client).await.unwrap();
        assert_eq!(endpoint.seen().len(), requests, "renewed after four fifths of its life");
    }
}

#[tokio::test]
async fn the_metadata_service_is_asked_in_its_own_way() {
    let metadata = Server::start(|seen| match (seen.path(), seen.header("metadata-flavor")) {
        ("/computeMetadata/v1/instance/service-accounts/default/token", Some("Google")) => access_token(),
        _ => Reply::new(403, &[], ""),
    })
    .await;
    let server = google_registry().await;
    pull(&with_source(&server, google(GoogleIdentity::Metadata, Some(metadata.url.clone())))).await.unwrap();
    assert_eq!((metadata.seen().len(), metadata.seen()[0].method.as_str()), (1, "GET"));
}

#[tokio::test]
async fn hosts_that_are_not_the_clouds_need_an_endpoint() {
    let server = google_registry().await;
    let token = || Secret::new(CANARY);
    for source in [
        google(GoogleIdentity::AccessToken(token()), None),
        google(GoogleIdentity::Metadata, None),
        azure(AzureIdentity::AccessToken(token()), None),
        azure(AzureIdentity::Managed { client_id: None }, None),
    ] {
        let why = pull_without_credential(&with_source(&server, source)).await;
        assert!(why.contains("127.0.0.1 is not a registry of"), "{why}");
    }
    server.assert_no_credential();
    assert!(server.seen_at("/oauth2/exchange").is_empty());
}

/// A registry of Azure's: an account's token for a refresh token, that for a token of each scope.
async fn azure_registry() -> Server {
    Server::start_knowing(|url| {
        let (challenge, host) = (format!("Bearer realm=\"{url}/oauth2/token\",service=\"acr\""), url[7..].to_owned());
        move |seen| match (seen.path(), seen.authorization()) {
            ("/oauth2/exchange", None) if has(seen, "access_token", "account") && has(seen, "service", &host) => {
                Reply::json(&json!({ "refresh_token": CANARY }))
            }
            ("/oauth2/token", None) if has(seen, "refresh_token", CANARY) => {
                let (_, scope) = form(seen).into_iter().find(|(name, _)| name == "scope").unwrap();
                Reply::json(&json!({ "access_token": scope }))
            }
            ("/oauth2/exchange" | "/oauth2/token", _) => Reply::new(401, &[], ""),
            (path, Some(offered)) => {
                let repository = path.strip_prefix("/v2/").unwrap().split("/manifests/").next().unwrap();
                let right = offered == format!("Bearer repository:{repository}:pull");
                if right { manifest_reply() } else { Reply::challenge(&challenge) }
            }
            (_, None) => Reply::challenge(&challenge),
        }
    })
    .await
}

/// Where applications and machines log in.
async fn authority() -> Server {
    Server::start(|seen| match (seen.method.as_str(), seen.path()) {
        ("POST", "/contoso/oauth2/v2.0/token")
            if has(seen, "client_id", "app")
                && has(seen, "client_secret", CANARY)
                && has(seen, "grant_type", "client_credentials")
                && has(seen, "scope", "https://containerregistry.azure.net/.default") =>
        {
            Reply::json(&json!({"access_token": "account"}))
        }
        ("GET", "/metadata/identity/oauth2/token") if seen.header("metadata") == Some("true") => {
            Reply::json(&json!({"access_token": "account", "expires_in": "86400"}))
        }
        _ => Reply::new(400, &[], "no"),
    })
    .await
}

#[tokio::test]
async fn an_account_is_exchanged_once_and_each_scope_has_its_token() {
    let client_secret = Secret::new(CANARY);
    for identity in [
        AzureIdentity::Client { tenant: "contoso".into(), client_id: "app".into(), client_secret },
        AzureIdentity::Managed { client_id: Some("chosen".into()) },
        AzureIdentity::AccessToken(Secret::new("account")),
    ] {
        let (authority, server) = (authority().await, azure_registry().await);
        let client = with_source(&server, azure(identity.clone(), Some(authority.url.clone())));
        let other = "team/app".parse().unwrap();
        for _ in 0..2 {
            pull(&client).await.unwrap_or_else(|error| panic!("{identity:?}: {error}"));
            client.get_manifest(&other, &tag(), None).await.unwrap();
        }
        assert_eq!(server.seen_at("/oauth2/exchange").len(), 1);
        let tokens = server.seen_at("/oauth2/token");
        assert_eq!(tokens.len(), 2);
        assert!(has(&tokens[1], "scope", "repository:team/app:pull"));
        let asked = authority.seen();
        assert!(
            asked.iter().all(|seen| seen.method == "POST" || seen.target.contains("client_id=chosen")),
            "{asked:?}"
        );
        assert_eq!(asked.len(), usize::from(!matches!(identity, AzureIdentity::AccessToken(_))));
    }
}

#[tokio::test]
async fn services_that_send_on_give_nothing_away() {
    let stranger = Server::start(|_| access_token()).await;
    let elsewhere = stranger.at("/oauth2/exchange");
    let sends_on = Server::start(move |seen| {
        let asked_for_image = seen.path().starts_with("/v2/");
        if asked_for_image { Reply::challenge("Bearer realm=\"x\"") } else { Reply::redirect(&elsewhere) }
    })
    .await;
    let (tenant, client_id) = ("contoso".to_owned(), "app".to_owned());
    let application = AzureIdentity::Client { tenant, client_id, client_secret: Secret::new(CANARY) };
    for source in [
        azure(application, Some(sends_on.url.clone())),
        azure(AzureIdentity::AccessToken(Secret::new(CANARY)), Some(sends_on.url.clone())),
        google(GoogleIdentity::Metadata, Some(sends_on.url.clone())),
    ] {
        let why = pull_without_credential(&with_source(&sends_on, source)).await;
        assert!(why.contains(&sends_on.address()), "{why}");
    }
    assert!(stranger.seen().is_empty());
}
