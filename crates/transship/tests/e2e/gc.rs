//! Garbage collection as operators see it: the command, the API, the configuration, metrics; and as clients see it.
//!
//! Must not know: rows. Invariant: what is on the disk is looked at, not only what is answered.

use std::process::Command;

use oci::Digest;
use serde_json::{Value, json};

use crate::lab::{PROGRAM, comes_true, metric_in};
use crate::push::{Hosted, IMAGE, manifest};

/// Nothing runs by itself; what nothing needs may go a second and a half after a client was told of it.
pub(crate) fn by_hand() -> Value {
    json!({ "interval": "0s", "grace": "1h", "lease": "1s" })
}

impl Hosted {
    pub(crate) async fn gc(&self, query: &str) -> Value {
        let token = format!("Bearer {}", self.transship.admin_token());
        let answer = self.send("POST", &format!("/api/gc{query}"), &[("Authorization", &token)], "").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let report = answer.json();
        assert_eq!(report["end"], "completed", "{report}");
        report
    }

    /// Runs until no lease holds anything back; the sum of what was freed.
    pub(crate) async fn gc_all(&self) -> u64 {
        let mut freed = 0;
        loop {
            let report = self.gc("?now=true").await;
            freed += report["freed_bytes"].as_u64().unwrap();
            if [count(&report, "leased"), count(&report, "collected"), count(&report, "pardoned")] == [0; 3] {
                return freed;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    pub(crate) async fn push_image(&self, name: &str, tag: &str, layer: &[u8]) -> Digest {
        self.push_blob(name, b"{}").await;
        let digest = self.push_blob(name, layer).await;
        let text = manifest(&[(digest, layer.len())]);
        let path = format!("/v2/{name}/manifests/{tag}");
        let pushed = self.as_admin("PUT", &path, &[("Content-Type", IMAGE)], text.clone()).await;
        assert_eq!(pushed.status, 201, "{}", pushed.text());
        Digest::sha256_of(text.as_bytes())
    }
}

/// A count over all repositories of a report, blobs and manifests together.
pub(crate) fn count(report: &Value, name: &str) -> u64 {
    let repositories = report["repositories"].as_array().unwrap();
    repositories
        .iter()
        .map(|repo| repo["blobs"][name].as_u64().unwrap() + repo["manifests"][name].as_u64().unwrap())
        .sum()
}

fn command(house: &Hosted, args: &[&str]) -> (i32, String, String) {
    let token = house.transship.cache_dir().join("admin.token");
    let done = Command::new(PROGRAM)
        .env_clear()
        .arg("gc")
        .args(args)
        .args(["--server", &house.transship.url(), "--admin-token-file"])
        .arg(token)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (done.status.code().unwrap(), text(done.stdout), text(done.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_what_would_go_and_has_it_go() {
    let house = Hosted::with(&json!({ "gc": by_hand() }));
    house.push_image("lab/app", "keep", b"kept").await;
    let digest = house.push_image("lab/app", "drop", b"dropped").await;
    assert_eq!(house.as_admin("DELETE", &format!("/v2/lab/app/manifests/{digest}"), &[], "").await.status, 202);
    let leased = house.gc("?now=true").await;
    assert!(
        count(&leased, "leased") <= 1 && house.files() == (if count(&leased, "collected") == 0 { 4 } else { 3 }, 0)
    );
    // Once the lease is over, a dry run says what a run then does.
    let (mut plan, mut text) = (Value::Null, String::new());
    assert!(
        comes_true(|| {
            let (code, stdout, stderr) = command(&house, &["--dry-run", "--now", "--json"]);
            assert_eq!((code, stderr.as_str()), (0, ""));
            plan = serde_json::from_str(&stdout).unwrap();
            count(&plan, "leased") == 0
        })
        .await
    );
    let files = house.files();
    if files.0 == 4 {
        assert_eq!((count(&plan, "collected"), plan["freed_bytes"].as_u64()), (1, Some(7)));
        text = command(&house, &["--dry-run", "--now"]).1;
        assert!(
            text.contains("would collect  blob      lab/app@sha256:") && text.contains("would free 1 blobs"),
            "{text}"
        );
        assert_eq!(house.files(), files, "nothing was changed");
    }
    let (code, stdout, _) = command(&house, &["--now"]);
    assert!(code == 0 && stdout.contains("garbage collection: begun"), "{stdout}\n{text}");
    assert_eq!(house.files(), (3, 0));
    assert_eq!(house.send("GET", "/v2/lab/app/manifests/keep", &[], "").await.status, 200);

    let last: Value = serde_json::from_str(&command(&house, &["--last", "--json"]).1).unwrap();
    assert_eq!((&last["dry_run"], &last["end"], &last["lease"]), (&json!(false), &json!("completed"), &json!("1s")));
    let metrics = house.send("GET", "/metrics", &[], "").await.text();
    assert_eq!(metric_in(&metrics, "transship_gc_collected_total"), Some(1.0));
    assert_eq!(metric_in(&metrics, "transship_gc_freed_bytes_total"), Some(7.0));
    assert!(metric_in(&metrics, "transship_gc_runs_total{end=\"completed\"}") >= Some(2.0), "{metrics}");
    let logged = house
        .transship
        .log_text()
        .lines()
        .any(|line| line.contains("garbage collection") && line.contains("\"freed_bytes\":7"));
    assert!(logged, "{}", house.transship.log_text());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_wrongly_changes_nothing() {
    let house = Hosted::with(&json!({ "gc": by_hand() }));
    let token = format!("Bearer {}", house.transship.admin_token());
    assert_eq!(house.send("POST", "/api/gc", &[], "").await.status, 401);
    let shown = [("Authorization", token.as_str()), ("Content-Type", "application/json")];
    assert_eq!(house.send("GET", "/api/gc", &shown, "").await.status, 404, "none has run");
    for (path, body, words) in [
        ("/api/gc?dryrun=true", "", "unknown parameter"),
        ("/api/gc?dry_run=yes", "", "true or false"),
        ("/api/gc", "{\"dry_run\":true}", "write dry_run and now into the query"),
    ] {
        let refused = house.send("POST", path, &shown, body).await;
        assert!(refused.status == 400 && refused.error_messages().contains(words), "{path}: {}", refused.text());
    }
    assert_eq!(house.send("GET", "/api/gc", &shown, "").await.status, 404, "none has run still");
    let (code, _, stderr) = command(&house, &["--last"]);
    assert!(code == 2 && stderr.contains("POST /api/gc runs one"), "{stderr}");
    let (code, _, stderr) = command(&house, &["--last", "--now"]);
    assert!(code == 2 && stderr.contains("cannot be used with"), "{stderr}");
}

/// A client that was told by HEAD that a blob is here leaves its upload out, as docker does; a run in between takes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn runs_by_the_interval_and_a_blob_that_head_told_of_outlives_them() {
    let rules = json!({ "interval": "1s", "grace": "0s", "lease": "3m" });
    let house = Hosted::with(&json!({ "gc": rules, "repos": {
        "lab": { "kind": "hosted", "push": "anyone" }, "tidy": { "kind": "hosted", "gc": { "delete_untagged": true } },
    } }));
    let layer = house.push_blob("lab/app", b"layer").await;
    house.push_blob("lab/app", b"{}").await;
    assert_eq!(house.send("HEAD", &format!("/v2/lab/app/blobs/{layer}"), &[], "").await.status, 200);
    let runs = async |house: &Hosted| {
        let metrics = house.send("GET", "/metrics", &[], "").await.text();
        metric_in(&metrics, "transship_gc_runs_total{end=\"completed\"}").unwrap_or_default()
    };
    while runs(&house).await < 3.0 {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let text = manifest(&[(layer, 5)]);
    let pushed = house.as_admin("PUT", "/v2/lab/app/manifests/a", &[("Content-Type", IMAGE)], text).await;
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    // Rules change while it runs: from now on leases are short, and untagged manifests of `tidy` go with all they need.
    house.push_image("tidy/app", "once", b"tidy").await;
    assert_eq!(house.files().0, 5);
    let file = house.transship.config_file();
    let mut config: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    config["gc"]["lease"] = json!("1s");
    std::fs::write(&file, config.to_string()).unwrap();
    house.transship.reload();
    assert_eq!(house.as_admin("DELETE", "/v2/tidy/app/manifests/once", &[], "").await.status, 202);
    assert!(comes_true(|| house.files() == (3, 0)).await, "{:?}\n{}", house.files(), house.transship.log_text());
    let config = house
        .send(
            "GET",
            "/v2/lab/app/blobs/sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
            &[],
            "",
        )
        .await;
    assert_eq!((config.status, config.text().as_str()), (200, "{}"), "the other repository needs the same bytes");
}
