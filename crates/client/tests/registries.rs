//! A private image is pulled through a fake of every registry in the table of profiles; nothing secret leaves it.

#![expect(clippy::unwrap_used, reason = "a test stops where something unexpected happens")]

extern crate transship_client as client;

use std::collections::BTreeSet;
use std::sync::Arc;

use client::profiles;
use client::{
    ClientError, Credential, CredentialStore, ManifestFetch, NoObserver, Reach, RegistryClient, Secret, UpstreamConfig,
};
use futures_util::StreamExt;
use mock_upstream::image::Image;
use mock_upstream::registries::{ALL, FakeRegistry, Login, PASSWORD};
use oci::{Digest, Reference, RepositoryName};

const TAG: &str = "1.0";

fn start(key: &str) -> (FakeRegistry, Image) {
    let fake = FakeRegistry::start(key).unwrap();
    let image = Image::small(7, 40_000);
    fake.add_image(TAG, &image);
    (fake, image)
}

fn client(fake: &FakeRegistry, credential: Option<Credential>) -> RegistryClient {
    let config = UpstreamConfig {
        credentials: credential.map_or_else(CredentialStore::anonymous, CredentialStore::fixed),
        profile: profiles::by_key(fake.recipe().key),
        token_hosts: fake.token_host().iter().map(|host| host.parse().unwrap()).collect(),
        reach: Reach::Internal,
        max_attempts: 1,
        ..UpstreamConfig::new(fake.origin().url().parse().unwrap())
    };
    RegistryClient::new(config, Arc::new(NoObserver)).unwrap()
}

fn logged_in(fake: &FakeRegistry) -> RegistryClient {
    let credential = fake
        .account()
        .map(|account| Credential::Basic { username: account.username, password: Secret::new(account.password) });
    client(fake, credential)
}

fn name(fake: &FakeRegistry) -> RepositoryName {
    fake.pull_name().parse().unwrap()
}

fn tag(text: &str) -> Reference {
    text.parse().unwrap()
}

async fn blob(client: &RegistryClient, name: &RepositoryName, digest: &Digest) -> Result<Vec<u8>, ClientError> {
    let mut body = client.get_blob(name, digest, None).await?.body;
    let mut bytes = Vec::new();
    while let Some(piece) = body.next().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(bytes)
}

#[test]
fn every_profile_has_its_fake() {
    let profiles: BTreeSet<_> = profiles::ALL.iter().map(|profile| profile.key).collect();
    let fakes: BTreeSet<_> = ALL.iter().map(|recipe| recipe.key).collect();
    assert_eq!(profiles, fakes);
}

#[tokio::test]
async fn a_private_image_comes_through_every_registry() {
    for recipe in ALL {
        let key = recipe.key;
        let (fake, image) = start(key);
        let (client, name) = (logged_in(&fake), name(&fake));
        client.ping().await.unwrap_or_else(|error| panic!("{key}: {error}"));
        let head = client.head_manifest(&name, &tag(TAG)).await.unwrap_or_else(|error| panic!("{key}: {error}"));
        assert_eq!(head.digest, Some(image.digest()), "{key}");
        let fetched =
            client.get_manifest(&name, &tag(TAG), None).await.unwrap_or_else(|error| panic!("{key}: {error}"));
        assert!(matches!(fetched, ManifestFetch::Fetched { digest, .. } if digest == image.digest()), "{key}");
        for wanted in &image.blobs {
            let size = client.head_blob(&name, &wanted.digest).await.unwrap_or_else(|error| panic!("{key}: {error}"));
            assert_eq!(size.size, Some(wanted.bytes.len() as u64), "{key}");
            let bytes = blob(&client, &name, &wanted.digest).await.unwrap_or_else(|error| panic!("{key}: {error}"));
            assert!(bytes == wanted.bytes, "{key}: other bytes");
        }
    }
}

#[tokio::test]
async fn nobody_gets_it_without_the_login() {
    for recipe in ALL.iter().filter(|recipe| !matches!(recipe.login, Login::Open)) {
        let key = recipe.key;
        let (fake, image) = start(key);
        let (client, name) = (client(&fake, None), name(&fake));
        let error = client.get_manifest(&name, &tag(TAG), None).await.expect_err(key);
        assert_eq!(error.upstream_status(), Some(401), "{key}: {error}");
        let error = blob(&client, &name, &image.layers()[0].digest).await.expect_err(key);
        assert_eq!(error.upstream_status(), Some(401), "{key}: {error}");
        let sent = fake.origin().bytes_sent_for(&image.layers()[0].digest);
        assert!(sent < 1000, "{key}: {sent} bytes of a private blob");
    }
}

#[tokio::test]
async fn the_password_stays_with_the_registry_and_its_token_server() {
    for recipe in ALL {
        let key = recipe.key;
        let (fake, image) = start(key);
        let (client, name) = (logged_in(&fake), name(&fake));
        client.get_manifest(&name, &tag(TAG), None).await.unwrap();
        for wanted in &image.blobs {
            blob(&client, &name, &wanted.digest).await.unwrap();
        }
        let basic = fake.account().map(|account| account.basic()).unwrap_or_default();
        for seen in fake.asked_beyond() {
            let all = format!("{seen:?}");
            assert!(basic.is_empty() || !all.contains(&basic), "{key}: the login went beyond");
            assert!(!all.contains(PASSWORD), "{key}: the password went beyond");
        }
        if let Login::Bearer(server) = recipe.login {
            let leaks = fake
                .origin()
                .requests()
                .iter()
                .filter(|seen| seen.authorization() == Some(&basic))
                .any(|seen| seen.path != server.path);
            assert!(!leaks, "{key}: content was asked for with the password instead of a token");
        }
    }
}

#[tokio::test]
async fn tags_are_listed_between_pulls_with_the_right_the_registry_wants() {
    for recipe in ALL.iter().filter(|recipe| recipe.asked_as == recipe.repository) {
        let key = recipe.key;
        let (fake, _) = start(key);
        let (client, name) = (logged_in(&fake), name(&fake));
        for _ in 0..2 {
            client.head_manifest(&name, &tag(TAG)).await.unwrap_or_else(|error| panic!("{key}: {error}"));
            let page = client.list_tags(&name, Some(5000), None).await.unwrap_or_else(|error| panic!("{key}: {error}"));
            assert_eq!(page.tags.iter().map(ToString::to_string).collect::<Vec<_>>(), [TAG], "{key}");
        }
        let asked: Vec<_> =
            fake.origin().requests().into_iter().filter(|seen| seen.path.ends_with("/tags/list")).collect();
        let page = if key == "ecr" { "n=1000" } else { "n=5000" };
        assert!(asked.iter().all(|seen| seen.query == page), "{key}");
        if matches!(recipe.login, Login::Bearer(_)) {
            let refused = asked.iter().filter(|seen| seen.status == Some(401)).count();
            assert!(refused <= 1, "{key}: {refused} of {} lists were asked for with the wrong token", asked.len());
        }
    }
}

#[tokio::test]
async fn artifactorys_403_for_a_tag_is_a_missing_tag_only_while_the_login_is_good() {
    for key in ["jfrog", "artifactory"] {
        let (fake, _) = start(key);
        let (client, name) = (logged_in(&fake), name(&fake));
        let error = client.head_manifest(&name, &tag("no-such-tag")).await.unwrap_err();
        assert!(matches!(error, ClientError::NotFound { .. }), "{key}: {error:?}");
        let error = client.get_manifest(&name, &tag("no-such-tag"), None).await.unwrap_err();
        assert!(matches!(error, ClientError::NotFound { .. }), "{key}: {error:?}");
        let digest = Reference::from(Digest::sha256_of(b"no such manifest"));
        let error = client.get_manifest(&name, &digest, None).await.unwrap_err();
        assert!(matches!(error, ClientError::Denied { .. }), "{key}: a digest is not judged: {error:?}");
    }
    // Elsewhere a 403 stays one.
    let (fake, _) = start("ghcr");
    let error = logged_in(&fake).head_manifest(&name(&fake), &tag("no-such-tag")).await.unwrap_err();
    assert!(matches!(error, ClientError::Denied { .. }), "{error:?}");
}

#[tokio::test]
async fn what_the_second_registry_of_kubernetes_lacks_is_missing() {
    let (fake, _) = start("k8s");
    let (client, name) = (logged_in(&fake), name(&fake));
    let error = client.head_manifest(&name, &tag("no-such-tag")).await.unwrap_err();
    assert!(matches!(error, ClientError::NotFound { .. }), "{error:?}");
    let tokens = fake.asked_beyond().iter().filter(|seen| seen.path == "/v2/token").count();
    assert_eq!(tokens, 1);
    assert!(fake.origin().credentials_seen().is_empty(), "the second registry's token came back to the first");
    assert!(fake.asked_beyond().iter().all(|seen| seen.authorization().is_none_or(|sent| sent.starts_with("Bearer "))));

    // Without the profile the second registry is a stranger whose challenge nobody answers.
    let config = UpstreamConfig {
        reach: Reach::Internal,
        max_attempts: 1,
        ..UpstreamConfig::new(fake.origin().url().parse().unwrap())
    };
    let plain = RegistryClient::new(config, Arc::new(NoObserver)).unwrap();
    let error = plain.head_manifest(&name, &tag(TAG)).await.unwrap_err();
    assert!(matches!(error, ClientError::UpstreamStatus { .. }), "{error:?}");
}

#[tokio::test]
async fn a_token_server_elsewhere_gets_the_login_only_when_it_is_listed() {
    for key in ["dockerhub", "gitlab", "suse"] {
        let (fake, _) = start(key);
        let account = fake.account().unwrap();
        let config = UpstreamConfig {
            credentials: CredentialStore::fixed(Credential::Basic {
                username: account.username,
                password: Secret::new(account.password),
            }),
            // The profile is chosen for a host that is not the registry's own: its token hosts are not taken over.
            profile: profiles::by_key(key),
            reach: Reach::Internal,
            max_attempts: 1,
            ..UpstreamConfig::new(fake.origin().url().parse().unwrap())
        };
        let client = RegistryClient::new(config, Arc::new(NoObserver)).unwrap();
        let error = client.head_manifest(&name(&fake), &tag(TAG)).await.unwrap_err();
        assert!(
            matches!(&error, ClientError::Refused { what, .. } if what.contains("token_hosts")),
            "{key}: {error:?}"
        );
    }
}
