//! Credential helpers and other programs: what they are told, what is taken from them, how long it is used.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use client::{ClientError, CredentialSource, ExecHelper, ManifestFetch};
use tempfile::TempDir;

use crate::entries::*;
use crate::support::*;

/// A program in a folder of its own that writes down what it was given before it does what `script` says.
pub(crate) struct Script {
    folder: TempDir,
}

impl Script {
    pub(crate) fn new(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path().display();
        let text = format!(
            "#!/bin/sh\necho \"$@\" >>{here}/arguments\nenv >>{here}/environment\ncat >>{here}/input\n{script}\n"
        );
        // Written by another process: while one of ours has it open for writing it cannot be run.
        let write = format!("cat >{here}/program <<'EOF'\n{text}EOF\nchmod +x {here}/program");
        assert!(Command::new("/bin/sh").args(["-c", &write]).status().unwrap().success());
        Self { folder }
    }

    pub(crate) fn path(&self) -> String {
        self.file("program").to_str().unwrap().to_owned()
    }

    fn file(&self, name: &str) -> PathBuf {
        Path::join(self.folder.path(), name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.file(name)).unwrap_or_default()
    }

    pub(crate) fn runs(&self) -> usize {
        self.read("arguments").lines().count()
    }

    fn helper(&self) -> CredentialSource {
        CredentialSource::Helper(self.path())
    }

    fn exec(&self, lifetime: Duration) -> CredentialSource {
        let environment = [("FOR_IT".to_owned(), "yes".to_owned())].into();
        CredentialSource::Exec(ExecHelper { command: vec![self.path(), "one".into()], environment, lifetime })
    }
}

pub(crate) const PRINTS_LOGIN: &str = r#"echo '{"ServerURL":"x","Username":"ci","Secret":"canary-s3cr3t"}'"#;

/// The clock goes on by this much.
pub(crate) async fn later(by: Duration) {
    tokio::time::pause();
    tokio::time::advance(by).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_helper_is_told_the_server_and_no_secret() {
    let (server, script) = (basic_registry(CANARY_BASIC.into()).await, Script::new(PRINTS_LOGIN));
    let client = with_source(&server, script.helper());
    pull(&client).await.unwrap();
    pull(&client).await.unwrap();
    assert_eq!(script.read("arguments"), "get\n", "once for both pulls");
    assert_eq!(script.read("input"), server.address());
    assert!(!script.read("environment").contains(CANARY));
    later(Duration::from_mins(6)).await;
    pull(&client).await.unwrap();
    assert_eq!(script.runs(), 2, "it is asked again after five minutes");
}

#[tokio::test]
async fn a_helper_may_give_an_identity_token() {
    let script = Script::new(&PRINTS_LOGIN.replace("\"ci\"", "\"<token>\""));
    let server =
        token_registry(|seen| if has(seen, "refresh_token", CANARY) { token() } else { Reply::new(401, &[], "") })
            .await;
    pull(&with_source(&server, script.helper())).await.unwrap();
    assert!(server.seen().iter().all(|seen| seen.authorization().is_none_or(|offered| offered == "Bearer t")));
}

#[tokio::test]
async fn a_helper_that_knows_nothing_leaves_the_pull_anonymous() {
    let server = token_registry(|seen| if seen.method == "GET" { token() } else { Reply::new(401, &[], "") }).await;
    for script in ["echo 'credentials not found in native keychain'; exit 1", &PRINTS_LOGIN.replace(CANARY, "")] {
        let script = Script::new(script);
        pull(&with_source(&server, script.helper())).await.unwrap();
        assert_eq!(script.runs(), 1);
    }
    server.assert_no_credential_but("Bearer t");
}

#[tokio::test]
async fn a_helper_that_fails_is_an_error_and_not_a_missing_image() {
    let server = basic_registry("never".into()).await;
    let failing = Script::new("echo canary-s3cr3t; exit 1");
    let client = with_source(&server, failing.helper());
    let why = pull_without_credential(&client).await;
    assert!(why.contains("failed (exit status: 1); run it by hand"), "{why}");
    pull_without_credential(&client).await;
    assert_eq!(failing.runs(), 1, "a failure is the answer for some seconds");
    for (script, expected) in [
        ("echo 'canary-s3cr3t is no JSON'", "cannot be read"),
        ("echo canary-s3cr3t; exec head -c 400000 /dev/zero", "prints more than 256 KiB"),
    ] {
        let why = pull_without_credential(&with_source(&server, Script::new(script).helper())).await;
        assert!(why.contains(expected), "{why}");
    }
    let why = pull_without_credential(&with_source(&server, CredentialSource::Helper("no-such-helper".into()))).await;
    assert!(why.contains("cannot run docker-credential-no-such-helper"), "{why}");
    server.assert_no_credential();
}

#[tokio::test]
async fn what_a_program_prints_is_used_as_long_as_both_sides_say() {
    let server = basic_registry(CANARY_BASIC.into()).await;
    let script = Script::new(r#"echo '{"username":"ci","password":"canary-s3cr3t","expires_in":100}'"#);
    let client = with_source(&server, script.exec(Duration::from_mins(10)));
    pull(&client).await.unwrap();
    assert_eq!((script.read("arguments").as_str(), script.read("input").as_str()), ("one\n", ""));
    let environment = script.read("environment");
    assert!(environment.lines().any(|line| line == format!("TRANSSHIP_UPSTREAM={}", server.address())));
    assert!(environment.lines().any(|line| line == "FOR_IT=yes") && !environment.contains(CANARY));
    for (seconds, runs) in [(60, 1), (25, 2), (60, 2), (25, 3)] {
        later(Duration::from_secs(seconds)).await;
        pull(&client).await.unwrap();
        assert_eq!(script.runs(), runs, "after four fifths of the lifetime");
    }
    let patient = with_source(&server, script.exec(Duration::from_secs(50)));
    pull(&patient).await.unwrap();
    later(Duration::from_secs(45)).await;
    pull(&patient).await.unwrap();
    assert_eq!(script.runs(), 5, "the configured lifetime is a bound");
}

#[tokio::test]
async fn a_bare_token_is_sent_to_the_upstream_alone() {
    let server = Server::start_knowing(|url| {
        let challenge = format!("Bearer realm=\"{url}/token\"");
        move |seen| match seen.authorization() {
            Some("Bearer canary-s3cr3t") => manifest_reply(),
            _ => Reply::challenge(&challenge),
        }
    })
    .await;
    let script = Script::new("echo canary-s3cr3t");
    let fetched = pull(&with_source(&server, script.exec(Duration::from_mins(1)))).await.unwrap();
    assert!(matches!(fetched, ManifestFetch::Fetched { .. }));
    assert!(server.seen_at("/token").is_empty());
    let wrong = Script::new("echo canary-s3cr3t and more");
    let why = pull_without_credential(&with_source(&server, wrong.exec(Duration::from_mins(1)))).await;
    assert!(why.contains("neither a JSON object nor one token"), "{why}");
}

#[tokio::test]
async fn a_login_that_is_refused_is_asked_for_anew_once() {
    let server = basic_registry(CANARY_BASIC.into()).await;
    let script = Script::new(
        r#"p=old; [ "$(wc -l <"$(dirname "$0")/arguments")" -gt 1 ] && p=canary-s3cr3t
           echo "{\"Username\":\"ci\",\"Secret\":\"$p\"}""#,
    );
    pull(&with_source(&server, script.helper())).await.unwrap();
    assert_eq!(script.runs(), 2, "the new password was found within the same pull");
    let never = basic_registry("never".into()).await;
    let script = Script::new(PRINTS_LOGIN);
    let client = with_source(&never, script.helper());
    for _ in 0..3 {
        let error = pull(&client).await.unwrap_err();
        assert!(matches!(error, ClientError::Unauthorized { .. }), "{error:?}");
    }
    assert_eq!(script.runs(), 2, "a wrong password does not run the helper for each pull");
}
