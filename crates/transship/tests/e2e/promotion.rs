//! Promotion end to end: what moves, what does not, what opens the gate, and that it can be taken back.
//!
//! Must not know: how rows are kept. Invariants: the files of the store are compared before and after; after each refusal
//! it is looked at that the target did not change.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use oci::Digest;
use reqwest::Client;
use serde_json::{Value, json};
use testkit::clients::Skopeo;
use testkit::image::{self, Dialect, Image, Platform};
use testkit::transship_process::{TransshipProcess, TransshipSetup};

use crate::http::{self, Answer};
use crate::lab::{PROGRAM, manage};

pub(crate) const COSIGN: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";
pub(crate) const SARIF: &str = "application/sarif+json";

/// The program with hosted repositories, where anyone on this machine pushes.
pub(crate) struct Yard {
    pub(crate) transship: TransshipProcess,
    client: Client,
}

impl Yard {
    pub(crate) fn start(repos: &Value) -> Self {
        let config = json!({ "builtin_upstreams": false, "repos": repos });
        let setup = TransshipSetup { config: Some(config.to_string()), ..TransshipSetup::default() };
        Self { transship: TransshipProcess::start(PROGRAM, setup), client: http::client() }
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> Answer {
        http::send(&self.client, method, &format!("{}{path}", self.transship.url()), headers, body.into()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    pub(crate) async fn api(&self, method: &str, path: &str, body: Value) -> Answer {
        let body = (!body.is_null()).then_some(body);
        manage(&self.client, &self.transship, method, path, body).await
    }

    /// Pushes an image with all it needs: its children by digest, itself under `tag`.
    pub(crate) async fn push(&self, name: &str, tag: &str, image: &Image) -> Digest {
        for blob in &image.blobs {
            let path = format!("/v2/{name}/blobs/uploads/?digest={}", blob.digest);
            let pushed = self.send("POST", &path, &[], blob.bytes.to_vec()).await;
            assert_eq!(pushed.status, 201, "{}", pushed.text());
        }
        for child in &image.children {
            Box::pin(self.push(name, &child.digest().to_string(), child)).await;
        }
        let manifest = &image.manifest;
        self.put(name, tag, &manifest.media_type, manifest.bytes.to_vec()).await;
        manifest.digest
    }

    pub(crate) async fn put(&self, name: &str, reference: &str, media_type: impl AsRef<str>, bytes: Vec<u8>) {
        let typed = [("Content-Type", media_type.as_ref())];
        let pushed = self.send("PUT", &format!("/v2/{name}/manifests/{reference}"), &typed, bytes).await;
        assert_eq!(pushed.status, 201, "{reference}: {}", pushed.text());
    }

    /// Pushes an artifact that refers to an image.
    pub(crate) async fn refer(&self, name: &str, kind: &str, subject: &Image) -> Digest {
        let artifact = image::artifact(kind, format!("{kind} of it"), Some(&subject.manifest));
        let digest = artifact.manifest.digest.to_string();
        self.push(name, &digest, &artifact).await
    }

    pub(crate) async fn digest_of(&self, name: &str, reference: &str) -> Option<String> {
        let answer = self.send("HEAD", &format!("/v2/{name}/manifests/{reference}"), &[], "").await;
        (answer.status == 200).then(|| answer.header("docker-content-digest").to_owned())
    }

    /// The program as a command, against this server: exit code, standard output, standard error.
    pub(crate) fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let token = self.transship.cache_dir().join("admin.token");
        let mut command = Command::new(PROGRAM);
        command.env_clear().env("HOME", self.transship.cache_dir()).args(arguments);
        let url = self.transship.url();
        let output = command.args(["--server", &url, "--admin-token-file", token.to_str().unwrap()]).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    /// Every file of pushed blobs, with when it was changed and how long it is.
    fn blob_files(&self) -> BTreeMap<String, (SystemTime, u64)> {
        let mut files = BTreeMap::new();
        collect(&self.transship.cache_dir().join("hosted/blobs"), &mut files);
        files
    }
}

fn collect(folder: &Path, files: &mut BTreeMap<String, (SystemTime, u64)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let (path, facts) = (entry.path(), entry.metadata().unwrap());
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.insert(path.display().to_string(), (facts.modified().unwrap(), facts.len()));
        }
    }
}

pub(crate) fn multi_arch(seed: u64) -> Image {
    let images = vec![
        (Platform::new("linux", "amd64"), Image::small(seed, 200_000)),
        (Platform::new("linux", "arm64"), Image::small(seed + 1, 300_000)),
    ];
    image::index(Dialect::Oci, images)
}

fn blobs_of(index: &Image) -> impl Iterator<Item = &image::Blob> {
    index.children.iter().flat_map(|child| &child.blobs)
}

pub(crate) fn open(more: &Value) -> Value {
    let mut fields = json!({ "kind": "hosted", "push": "anyone" });
    fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    fields
}

/// Everything is at the target under its own digest, and whole.
async fn assert_whole(yard: &Yard, index: &Image) {
    assert_eq!(yard.digest_of("prod/team/app", "1.4").await, Some(index.digest().to_string()));
    for child in &index.children {
        let answer = yard.get(&format!("/v2/prod/team/app/manifests/{}", child.digest())).await;
        assert_eq!((answer.status, answer.body.as_slice()), (200, &*child.manifest.bytes));
    }
    for blob in blobs_of(index) {
        let answer = yard.get(&format!("/v2/prod/team/app/blobs/{}", blob.digest)).await;
        assert_eq!((answer.status, answer.body.as_slice()), (200, &*blob.bytes));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_multi_arch_image_with_two_referrers_is_promoted_without_moving_a_byte_and_reverted() {
    let yard = Yard::start(&json!({ "dev": open(&json!({})), "prod": open(&json!({})) }));
    let index = multi_arch(1);
    let digest = yard.push("dev/team/app", "1.4", &index).await;
    let signature = yard.refer("dev/team/app", COSIGN, &index).await;
    let report = yard.refer("dev/team/app", SARIF, &index).await;
    let older = Image::small(9, 1000);
    let before = yard.push("prod/team/app", "1.4", &older).await;
    let files = yard.blob_files();

    let body = json!({ "from": "dev/team/app:1.4", "to": "prod/team/app:1.4", "dry_run": true });
    let tried = yard.api("POST", "/api/promotions", body).await;
    assert_eq!((tried.status, tried.json()["state"].as_str()), (200, Some("possible")), "{}", tried.text());
    assert_eq!(yard.digest_of("prod/team/app", "1.4").await, Some(before.to_string()), "only tried");
    assert_eq!(yard.api("GET", "/api/promotions", Value::Null).await.json()["promotions"], json!([]));

    let (code, out, err) = yard.run(&["promote", "dev/team/app:1.4", "→", "prod", "--json"]);
    assert_eq!(code, 0, "{out}{err}");
    let promotion: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&promotion["state"], &promotion["digest"]), (&json!("done"), &json!(digest)));
    assert_eq!((&promotion["manifests"], &promotion["brought_manifests"]), (&json!(5), &json!(5)), "{promotion}");
    assert_eq!(promotion["previous"], json!(before));
    assert_eq!(yard.blob_files(), files, "no file was added, changed or removed");

    assert_whole(&yard, &index).await;
    let listed = yard.get(&format!("/v2/prod/team/app/referrers/{digest}")).await.json();
    let mut found: Vec<String> =
        listed["manifests"].as_array().unwrap().iter().map(|one| one["digest"].as_str().unwrap().to_owned()).collect();
    found.sort();
    let mut expected = vec![signature.to_string(), report.to_string()];
    expected.sort();
    assert_eq!(found, expected);

    let (skopeo, folder) = (Skopeo::new(), tempfile::tempdir().unwrap());
    let target = format!("{}/prod/team/app:1.4", yard.transship.host());
    assert_eq!(Digest::sha256_of(skopeo.raw_manifest(&target).expect_success().as_bytes()), digest);
    skopeo.pull(&target, folder.path()).expect_success();

    let again = yard.run(&["promote", "dev/team/app:1.4", "prod/team/app:1.4", "--json"]);
    assert_eq!((again.0, serde_json::from_str::<Value>(&again.1).unwrap()["id"].clone()), (0, promotion["id"].clone()));

    let id = promotion["id"].as_str().unwrap();
    let (code, out, err) = yard.run(&["promotions", "revert", id]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains(&format!("points to {before} again")) && out.contains("5 manifests"), "{out}");
    assert_eq!(yard.digest_of("prod/team/app", "1.4").await, Some(before.to_string()));
    for gone in index.children.iter().map(Image::digest).chain([digest, signature, report]) {
        assert_eq!(yard.digest_of("prod/team/app", &gone.to_string()).await, None, "{gone}");
        assert!(yard.digest_of("dev/team/app", &gone.to_string()).await.is_some(), "{gone} is still at its source");
    }
    for blob in blobs_of(&index) {
        let there = yard.get(&format!("/v2/prod/team/app/blobs/{}", blob.digest)).await.status;
        assert_eq!(there, if older.blobs.iter().any(|own| own.digest == blob.digest) { 200 } else { 404 });
    }
    for blob in &older.blobs {
        assert_eq!(yard.get(&format!("/v2/prod/team/app/blobs/{}", blob.digest)).await.status, 200);
    }
    assert_eq!(yard.get(&format!("/v2/prod/team/app/referrers/{digest}")).await.json()["manifests"], json!([]));
    assert_eq!(yard.blob_files(), files, "and nothing but rows went");
    let twice = yard.run(&["promotions", "revert", id]);
    assert!(twice.0 == 1 && twice.2.contains("the promotion is reverted"), "{twice:?}");
    let (_, shown, _) = yard.run(&["promotions", "list"]);
    assert!(shown.contains("reverted") && shown.contains("dev/team/app:1.4"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_opens_only_when_every_rule_is_met_and_says_what_is_missing() {
    let yard = Yard::start(&json!({ "dev": open(&json!({})), "prod": open(&json!({})) }));
    let index = multi_arch(3);
    let digest = yard.push("dev/app", "1.4", &index).await;
    let require = ["--require", "signed", "--require", "scanned", "--require", "approved"];
    let promote = || yard.run(&[&["promote", "dev/app:1.4", "prod/app:1.4"][..], &require].concat());
    let (code, out, err) = promote();
    assert_eq!((code, out.as_str()), (1, ""));
    for word in
        ["signed: not met", "scanned: not met", "approved: not met", "transship promote approve dev/app@sha256:"]
    {
        assert!(err.contains(word), "{word} in {err}");
    }
    let body =
        json!({ "from": "dev/app:1.4", "to": "prod/app:1.4", "require": ["signed", { "labelled": { "a": "b" } }] });
    let refused = yard.api("POST", "/api/promotions", body).await;
    assert_eq!((refused.status, refused.json()["errors"].as_array().unwrap().len()), (403, 2), "{}", refused.text());
    assert_eq!(yard.digest_of("prod/app", "1.4").await, None);

    yard.refer("dev/app", COSIGN, &index).await;
    yard.refer("dev/app", SARIF, &index).await;
    let (code, _, err) = promote();
    assert!(code == 1 && !err.contains("signed: not met") && err.contains("approved: not met"), "{err}");
    let (code, out, err) = yard.run(&["promote", "approve", "dev/app:1.4", "--note", "load test passed"]);
    assert!(code == 0 && out.contains(&digest.to_string()), "{out}{err}");
    let (code, out, err) = promote();
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("approved: met: by admin") && out.contains("load test passed"), "{out}");
    assert_eq!(yard.digest_of("prod/app", "1.4").await, Some(digest.to_string()));

    // An approval is of a digest: other content under the same tag needs its own.
    yard.push("dev/app", "1.4", &Image::small(33, 1000)).await;
    let (code, _, err) = promote();
    assert!(code == 1 && err.contains("approved: not met"), "{err}");
    assert_eq!(yard.digest_of("prod/app", "1.4").await, Some(digest.to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_promoted_or_taken_back_is_said_and_changes_nothing() {
    let repos = json!({
        "dev": open(&json!({})), "prod": open(&json!({ "immutable_tags": ["v*"] })),
        "hub": { "kind": "proxy", "upstream": "https://registry.example.com" },
    });
    let yard = Yard::start(&repos);
    let (first, second) = (Image::small(1, 1000), Image::small(2, 1000));
    yard.push("dev/app", "v1", &first).await;
    yard.push("dev/app", "v2", &second).await;
    let post = async |body: Value| yard.api("POST", "/api/promotions", body).await;
    for (from, to, status, word) in [
        ("dev/app:nothing", "prod/app", 404, "dev/app:nothing is not there"),
        ("nowhere/app:v1", "prod/app", 404, "no repository 'nowhere'"),
        ("hub/library/alpine:3", "prod/alpine", 409, "cache of an upstream"),
        ("dev/app:v1", "hub/app:v1", 409, "cache of an upstream"),
        ("dev/app", "prod/app:v1", 400, "say which"),
        ("app", "prod/app:v1", 400, "REPOSITORY/NAME"),
    ] {
        let answer = post(json!({ "from": from, "to": to })).await;
        assert!(answer.status == status && answer.error_messages().contains(word), "{from}: {}", answer.text());
    }
    let unknown = post(json!({ "from": "dev/app:v1", "to": "prod/app", "requires": ["signed"] })).await;
    assert!(unknown.status == 400 && unknown.error_messages().contains("requires"), "{}", unknown.text());
    let unsure = post(json!({ "from": "dev/app:v1", "to": "prod/app", "require": ["singed"] })).await;
    assert!(unsure.status == 400 && unsure.error_messages().contains("require[0]"), "{}", unsure.text());

    let made = post(json!({ "from": "dev/app:v1", "to": "prod/app" })).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let over = post(json!({ "from": "dev/app:v2", "to": "prod/app:v1" })).await;
    assert!(over.status == 403 && over.error_messages().contains("immutable"), "{}", over.text());
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let held = yard.api("POST", &format!("/api/promotions/{id}/revert"), Value::Null).await;
    assert!(held.status == 403 && held.error_messages().contains("neither goes back nor away"), "{}", held.text());

    let moved = post(json!({ "from": "dev/app:v1", "to": "prod/app:latest" })).await.json();
    yard.push("prod/app", "latest", &second).await;
    let path = format!("/api/promotions/{}/revert", moved["id"].as_str().unwrap());
    let refused = yard.api("POST", &path, Value::Null).await;
    assert!(refused.status == 409 && refused.error_messages().contains("moved since"), "{}", refused.text());
    assert_eq!(yard.digest_of("prod/app", "latest").await, Some(second.manifest.digest.to_string()));
    let forced = yard.api("POST", &path, json!({ "force": true })).await;
    assert_eq!(forced.status, 200, "{}", forced.text());
    assert_eq!(yard.digest_of("prod/app", "latest").await, None);
    assert_eq!(yard.digest_of("prod/app", "v1").await, Some(first.manifest.digest.to_string()), "held by its tag");
    assert_eq!(yard.get("/api/promotions").await.status, 401, "not without the token");
    assert_eq!(yard.api("GET", "/api/promotions/none", Value::Null).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn signatures_found_by_their_tags_come_along_and_promotions_outlive_kill_9() {
    let mut yard = Yard::start(&json!({ "dev": open(&json!({})), "prod": open(&json!({})) }));
    let signed = Image::small(4, 1000);
    let digest = yard.push("dev/app", "1", &signed).await;
    let tag = format!("sha256-{}.sig", digest.hex());
    let signature = yard.push("dev/app", &tag, &Image::small(5, 10)).await;
    let body = json!({ "from": "dev/app:1", "to": "prod/app", "require": ["signed"] });
    let made = yard.api("POST", "/api/promotions", body).await;
    yard.transship.kill();
    assert_eq!(made.status, 201, "{}", made.text());
    yard.transship.start_again();
    assert_eq!(yard.digest_of("prod/app", "1").await, Some(digest.to_string()));
    assert_eq!(yard.digest_of("prod/app", &tag).await, Some(signature.to_string()));
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let kept = yard.api("GET", &format!("/api/promotions/{id}"), Value::Null).await.json();
    assert_eq!((&kept["state"], kept["tags"].as_array().unwrap().len()), (&json!("done"), 2), "{kept}");
    // The source may go: the target does not need it.
    for reference in [tag.clone(), "1".to_owned(), digest.to_string(), signature.to_string()] {
        assert_eq!(yard.send("DELETE", &format!("/v2/dev/app/manifests/{reference}"), &[], "").await.status, 202);
    }
    for blob in &signed.blobs {
        assert_eq!(yard.send("DELETE", &format!("/v2/dev/app/blobs/{}", blob.digest), &[], "").await.status, 202);
        assert_eq!(yard.get(&format!("/v2/prod/app/blobs/{}", blob.digest)).await.body, *blob.bytes);
    }
    assert_eq!(yard.api("POST", &format!("/api/promotions/{id}/revert"), Value::Null).await.status, 200);
    assert_eq!(yard.digest_of("prod/app", &tag).await, None);
    let files = yard.blob_files();
    let left: Vec<_> = signed.blobs.iter().filter(|b| files.keys().any(|f| f.ends_with(&b.digest.hex()))).collect();
    assert!(left.is_empty(), "with its last name the bytes went: {left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_serves_what_was_promoted_at_once() {
    let group = json!({ "kind": "group", "members": ["prod", "dev"], "push_to": "dev" });
    let yard = Yard::start(&json!({ "dev": open(&json!({})), "prod": open(&json!({})), "all": group }));
    let image = Image::small(1, 1000);
    let digest = yard.push("dev/app", "v1", &image).await.to_string();
    assert_eq!(yard.get("/v2/all/app/tags/list").await.json()["tags"], json!(["v1"]), "dev has the name");
    let (code, _, words) = yard.run(&["promote", "dev/app:v1", "prod/app:released"]);
    assert_eq!(code, 0, "{words}");
    assert_eq!(yard.digest_of("all/app", "released").await, Some(digest), "prod comes first, and has it now");
    assert_eq!(yard.get("/v2/all/app/tags/list").await.json()["tags"], json!(["released"]));
}
