//! Secrets are shown nowhere: log, answers, metrics, process list.
//!
//! Must not know: where secrets are kept. Invariant: every secret of the run is a text that stands nowhere else, and it
//! is searched for in everything that came out.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use testkit::image::Image;
use testkit::upstream::{Access, Account, BearerRules, FakeUpstream, Fault, Kind, Location, Target};

use crate::lab::{Lab, LabSetup, NAME};

const IN_FILE: &str = "canary-file-91c2";
const IN_API: &str = "canary-api-55d0";
const WRONG: &str = "canary-wrong-0e7a";
const SIGNATURE: &str = "canary-signature-3b18";

/// Everything the program showed to anybody.
async fn shown(lab: &Lab, answers: &[String]) -> String {
    let pid = lab.transship.pid();
    let process_list = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    let metrics = lab.get("/metrics").await.text();
    let mut all = vec![lab.transship.log_text(), process_list, metrics];
    for path in ["/api/repos", "/api/repos/lab", "/api/repos/added", "/api/repos/wrong"] {
        all.push(lab.api("GET", path, None).await.text());
    }
    all.extend_from_slice(answers);
    all.join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_ever_shown() {
    let repository = json!({ "auth": { "username": "ci", "password": IN_FILE }, "tag_ttl": "0s" });
    let args = vec!["--log-level".to_owned(), "trace".to_owned()];
    let lab = Lab::with(LabSetup { repository, args, ..LabSetup::default() });
    let (other, cdn) = (FakeUpstream::start(), FakeUpstream::start_beside(&lab.upstream));
    let image = Image::small(1, 200_000);
    for upstream in [&lab.upstream, &other] {
        upstream.add_image(NAME, "1", &image);
    }
    lab.upstream.set_access(Access::Bearer(BearerRules {
        account: Some(Account::new("ci", IN_FILE)),
        ..BearerRules::default()
    }));
    other.set_access(Access::Basic(Account::new("ci", IN_API)));
    let signed = format!("{}/cdn/{}?X-Amz-Signature={SIGNATURE}", cdn.url(), image.blobs[1].digest);
    lab.upstream.fault(Target::kind(Kind::Blob), Fault::Redirect(307, Location::Fixed(signed)));

    let mut answers = Vec::new();
    for (key, password) in [("added", IN_API), ("wrong", WRONG)] {
        let document = json!({
            "key": key, "upstream": other.url(), "internal": true, "auth": { "username": "ci", "password": password },
        });
        let created = lab.api("POST", "/api/repos", Some(document)).await;
        assert_eq!(created.status, 201, "{}", created.text());
        answers.push(created.text());
    }
    // Documents that are refused are not echoed either.
    let refused = json!({ "key": "x", "upstream": format!("https://ci:{IN_API}@registry.example"), "auth": IN_API, "tag_ttl": IN_API });
    let refused = lab.api("POST", "/api/repos", Some(refused)).await;
    assert_eq!(refused.status, 400);
    // `tag_ttl` is no secret field; the others are.
    answers.push(refused.text().replace(&format!("'{IN_API}' is not a duration"), ""));
    for (path, status) in [
        (Lab::manifest_path("1"), 200),
        (Lab::blob_path(&image.blobs[1].digest), 200),
        (format!("/v2/added/{NAME}/manifests/1?token={SIGNATURE}"), 200),
        (format!("/v2/wrong/{NAME}/manifests/1"), 403),
    ] {
        let answer = lab.get(&path).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        answers.push(format!("{:?} {}", answer.headers, answer.text()));
    }
    let with_password = [("Authorization", format!("Basic {}", STANDARD.encode(format!("me:{WRONG}"))))];
    let headers: Vec<_> = with_password.iter().map(|(name, value)| (*name, value.as_str())).collect();
    answers.push(lab.get_with("/v2/", &headers).await.text());

    let tokens = (1..=3).map(|number| format!("fake-token-{number}"));
    let basics = [IN_FILE, IN_API, WRONG].map(|password| STANDARD.encode(format!("ci:{password}")));
    let shown = shown(&lab, &answers).await;
    assert!(shown.contains("transship::upstream") && shown.contains("X-Amz-Signature"), "there is something to search");
    let secrets = [IN_FILE, IN_API, WRONG, SIGNATURE].map(str::to_owned);
    for secret in secrets.into_iter().chain(tokens).chain(basics).chain([lab.transship.admin_token()]) {
        let place = shown.find(&secret).map(|at| shown[at.saturating_sub(300)..at].to_owned());
        assert_eq!(place, None, "{secret} is shown after this");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_with_secrets_are_for_their_owner_alone() {
    let lab = Lab::start();
    let document = json!({ "key": "added", "upstream": "https://registry.example", "auth": { "username": "ci", "password": IN_API } });
    assert_eq!(lab.api("POST", "/api/repos", Some(document)).await.status, 201);
    let root = lab.transship.cache_dir();
    for name in ["", "transship.db", "transship.db-wal", "transship.db-shm", "admin.token", "staging", "blobs"] {
        let path = root.join(name);
        let Ok(facts) = path.metadata() else { continue };
        assert_eq!(facts.permissions().mode() & 0o077, 0, "{} is open to others", path.display());
    }
    assert!(root.join("transship.db").exists() && root.join("admin.token").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_configuration_names_fields_without_their_values() {
    let config = format!(
        "repos:\n  lab:\n    upstream: https://registry.example\n    auth: {{ username: [], password: {{ a: {IN_FILE} }} }}\n    passwort: {IN_API}\n"
    );
    let setup = testkit::transship_process::TransshipSetup { config: Some(config), ..Default::default() };
    let mut process = testkit::transship_process::TransshipProcess::start_unready(crate::lab::PROGRAM, setup);
    let status = process.wait_end(std::time::Duration::from_mins(1)).unwrap();
    assert_eq!(status.code(), Some(2));
    let log = process.log_text();
    assert!(log.contains("repos.lab.auth") && log.contains("repos.lab.passwort"), "{log}");
    assert!(!log.contains(IN_FILE) && !log.contains(IN_API), "{log}");
}
