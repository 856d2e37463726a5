//! Docker's `config.json`, and secrets in files.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use client::{ClientError, CredentialSource, RegistryClient};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::entries::*;
use crate::programs::{PRINTS_LOGIN, Script};
use crate::support::*;

/// A file with this content.
struct File(TempDir);

impl File {
    fn new(content: &str) -> Self {
        let file = Self(tempfile::tempdir().unwrap());
        file.write(content);
        file
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("file")
    }

    fn write(&self, content: &str) {
        std::fs::write(self.path(), content).unwrap();
    }
}

fn logged_in(server: &Server, config: &Value) -> (RegistryClient, File) {
    let file = File::new(&config.to_string());
    (with_source(server, CredentialSource::DockerConfig(file.path())), file)
}

fn pair(password: &str) -> Value {
    json!({ "auth": STANDARD.encode(format!("ci:{password}")) })
}

#[tokio::test]
async fn the_entry_of_the_host_is_used_and_that_of_the_longest_path_first() {
    let server = basic_registry(CANARY_BASIC.into()).await;
    let host = server.address();
    for (key, place) in [("", "the host"), ("/library", "the path"), ("/library/alpine", "the repository")] {
        let mut auths = json!({ "other.example": pair("wrong"), format!("{host}/library/alp"): pair("wrong") });
        auths[&host] = pair("wrong");
        auths[format!("{host}{key}")] = pair(CANARY);
        let (client, _file) = logged_in(&server, &json!({ "auths": auths }));
        pull(&client).await.unwrap_or_else(|error| panic!("{place}: {error}"));
    }
    let offers = server.seen();
    assert!(offers.iter().all(|seen| seen.authorization().is_none_or(|offered| offered == CANARY_BASIC)));
}

#[tokio::test]
async fn an_identity_token_of_the_file_goes_to_the_token_server() {
    let server =
        token_registry(|seen| if has(seen, "refresh_token", CANARY) { token() } else { Reply::new(401, &[], "") })
            .await;
    let entry = json!({"auth": STANDARD.encode("00000000-0000-0000-0000-000000000000:"), "identitytoken": CANARY});
    let (client, _file) = logged_in(&server, &json!({"auths": {server.address(): entry}}));
    pull(&client).await.unwrap();
    assert_eq!(server.seen_at("/token")[0].method, "POST");
}

#[tokio::test]
async fn helpers_of_the_file_are_asked() {
    let server = basic_registry(CANARY_BASIC.into()).await;
    let (used, unused) = (Script::new(PRINTS_LOGIN), Script::new("exit 7"));
    let empty_entry = json!({ server.address(): {} });
    for config in [
        json!({"credHelpers": {server.address(): used.path()}, "credsStore": unused.path(), "auths": empty_entry}),
        json!({"credHelpers": {"other.example": unused.path()}, "credsStore": used.path(), "auths": empty_entry}),
    ] {
        let (client, _file) = logged_in(&server, &config);
        pull(&client).await.unwrap();
    }
    assert_eq!((used.runs(), unused.runs()), (2, 0));
}

#[tokio::test]
async fn what_the_file_has_for_others_is_not_sent() {
    let server = basic_registry(CANARY_BASIC.into()).await;
    let host = server.address();
    let auths = json!({
        "127.0.0.1": pair(CANARY), "127.0.0.1:1": pair(CANARY), format!("{host}.example"): pair(CANARY),
        format!("{host}/other"): pair(CANARY), "https://index.docker.io/v1/": pair(CANARY),
    });
    let (client, _file) = logged_in(&server, &json!({ "auths": auths }));
    let error = pull(&client).await.unwrap_err();
    assert!(matches!(error, ClientError::Unauthorized { .. }), "{error:?}");
    server.assert_no_credential();
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_an_error_that_quotes_nothing() {
    let server = basic_registry("never".into()).await;
    for content in ["{\"auths\": canary-s3cr3t", "[]", "{\"auths\":{\"H\":{\"auth\":\"canary-s3cr3t\"}}}"] {
        let file = File::new(&content.replace('H', &server.address()));
        let client = with_source(&server, CredentialSource::DockerConfig(file.path()));
        let why = pull_without_credential(&client).await;
        assert!(why.contains(file.path().to_str().unwrap()), "{why}");
    }
    let missing = CredentialSource::DockerConfig("/no/such/config.json".into());
    let why = pull_without_credential(&with_source(&server, missing)).await;
    assert!(why.contains("cannot read /no/such/config.json"), "{why}");
}

#[tokio::test]
async fn a_password_that_was_changed_in_its_file_is_found_at_once() {
    let taken = Arc::new(Mutex::new("old".to_owned()));
    let now = taken.clone();
    let server = Server::start(move |seen| match seen.authorization() {
        Some(offered) if offered == format!("Basic {}", STANDARD.encode(format!("ci:{}", now.lock().unwrap()))) => {
            manifest_reply()
        }
        _ => Reply::challenge("Basic realm=\"registry\""),
    })
    .await;
    let plain = File::new("old\n");
    let docker = File::new(&json!({"auths": {server.address(): pair("old")}}).to_string());
    let password_file = CredentialSource::PasswordFile { username: "ci".into(), file: plain.path() };
    let clients =
        [with_source(&server, password_file), with_source(&server, CredentialSource::DockerConfig(docker.path()))];
    for client in &clients {
        pull(client).await.unwrap();
    }
    CANARY.clone_into(&mut taken.lock().unwrap());
    plain.write(CANARY);
    docker.write(&json!({"auths": {server.address(): pair(CANARY)}}).to_string());
    for client in &clients {
        pull(client).await.unwrap();
    }
}

#[tokio::test]
async fn entries_are_for_their_repositories_and_others_stay_anonymous() {
    let server = basic_registry(CANARY_BASIC.into()).await;
    let fixed = || CredentialSource::Fixed(basic_credential());
    let error = pull(&with_entries(config(&server), vec![("library/alp", fixed()), ("other", fixed())])).await;
    assert!(matches!(error, Err(ClientError::Unauthorized { .. })));
    server.assert_no_credential();
    pull(&with_entries(config(&server), vec![("library", fixed())])).await.unwrap();
}
