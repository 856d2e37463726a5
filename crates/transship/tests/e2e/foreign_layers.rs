//! Layers whose manifest says where else they are (`urls`): by default nobody goes there; where the operator allows it,
//! they are fetched as nobody, checked, and cached like any other.
//!
//! Must not know: how fills work. Invariant: what a host was asked is read from that host's own log.

use bytes::Bytes;
use oci::Digest;
use serde_json::{Value, json};
use testkit::image::{Manifest, blob};
use testkit::upstream::{Access, Account, Cut, FakeUpstream, Fault, Location, Target};

use crate::http::{self, Answer};
use crate::lab::{Lab, NAME};

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const FOREIGN: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
const PASSWORD: &str = "canary-foreign-61b0";

/// A host with files, which is no registry of ours.
struct Files {
    fake: FakeUpstream,
    bytes: Bytes,
    digest: Digest,
}

impl Files {
    fn start(bytes: Bytes) -> Self {
        let fake = FakeUpstream::start();
        let digest = fake.add_blob("files", bytes.clone());
        Self { fake, bytes, digest }
    }

    /// Where it has the file with this digest.
    fn url(&self, digest: &Digest) -> String {
        format!("{}/v2/files/blobs/{digest}", self.fake.url())
    }

    /// It was asked, and always without anything that is somebody's.
    #[track_caller]
    fn was_asked_by_nobody(&self) {
        let requests = self.fake.requests();
        assert!(!requests.is_empty());
        for request in requests {
            let text = format!("{request:?}");
            assert!(request.authorization().is_none() && !text.contains(PASSWORD), "{text}");
            assert!(["cookie", "traceparent"].iter().all(|name| request.header(name).is_none()), "{text}");
        }
    }
}

/// Puts a manifest with one foreign layer under the tag `1`.
fn add_manifest(upstream: &FakeUpstream, digest: &Digest, size: usize, urls: &[String]) {
    add_manifest_to(upstream, NAME, digest, size, urls);
}

fn add_manifest_to(upstream: &FakeUpstream, name: &str, digest: &Digest, size: usize, urls: &[String]) {
    let config = upstream.add_blob(name, Bytes::from_static(b"{}"));
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": { "mediaType": "application/vnd.docker.container.image.v1+json", "digest": config, "size": 2 },
        "layers": [{ "mediaType": FOREIGN, "digest": digest, "size": size, "urls": urls }],
    });
    let manifest = Manifest::from_bytes(MANIFEST, manifest.to_string());
    upstream.add_manifest(name, &manifest);
    upstream.set_tag(name, "1", &manifest.digest);
}

/// A repository with a login of its own that allows foreign layers from these hosts.
fn allowing(hosts: &[&FakeUpstream]) -> Lab {
    let hosts: Vec<String> = hosts.iter().map(|host| host.host()).collect();
    let lab = Lab::with_repository(
        json!({ "auth": { "username": "ci", "password": PASSWORD }, "foreign_layers": hosts, "tag_ttl": "1h" }),
    );
    lab.upstream.set_access(Access::Basic(Account::new("ci", PASSWORD)));
    lab
}

/// Pulls the manifest under `1`, and then asks for the layer.
async fn pull(lab: &Lab, digest: &Digest) -> Answer {
    let manifest = lab.get(&Lab::manifest_path("1")).await;
    assert_eq!(manifest.status, 200, "{}", manifest.text());
    lab.get(&Lab::blob_path(digest)).await
}

/// Whether somebody got what the digest promises.
fn is_delivered(answer: &Answer, digest: &Digest) -> bool {
    answer.status == 200 && answer.is_whole() && Digest::sha256_of(&answer.body) == *digest
}

#[tokio::test(flavor = "multi_thread")]
async fn by_default_no_address_of_a_layer_is_asked() {
    let lab = Lab::start();
    let files = Files::start(blob(1, 400_000));
    add_manifest(&lab.upstream, &files.digest, files.bytes.len(), &[files.url(&files.digest)]);
    let answer = pull(&lab, &files.digest).await;
    assert_eq!((answer.status, &answer.json()["errors"][0]["code"]), (404, &Value::from("BLOB_UNKNOWN")));
    let url = lab.url(&Lab::blob_path(&files.digest));
    assert_eq!(http::send(&lab.client, "HEAD", &url, &[], Vec::new()).await.status, 404);
    assert!(files.fake.requests().is_empty(), "{:?}", files.fake.requests());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_allowed_host_is_asked_as_nobody_and_the_layer_is_kept() {
    let files = Files::start(blob(2, 3_000_000));
    let mut lab = allowing(&[&files.fake]);
    // The second connection goes on where the first broke off.
    files.fake.fault(Target::blob(&files.digest).get().nth(2), Fault::CutAtFraction(0.5, Cut::Reset));
    add_manifest(&lab.upstream, &files.digest, files.bytes.len(), &[files.url(&files.digest)]);
    assert_eq!(lab.get(&Lab::manifest_path("1")).await.status, 200);
    let url = lab.url(&Lab::blob_path(&files.digest));
    let head = http::send(&lab.client, "HEAD", &url, &[], Vec::new()).await;
    assert_eq!((head.status, head.header("content-length")), (200, "3000000"));
    let cold = pull(&lab, &files.digest).await;
    assert!(is_delivered(&cold, &files.digest), "{}: {}", cold.status, cold.text().len());
    assert_eq!(cold.header("cache-status"), "transship; fwd=uri-miss");
    lab.wait_stored(&files.digest).await;
    files.was_asked_by_nobody();
    assert!(lab.upstream.requests().iter().any(|seen| seen.path.contains(&files.digest.to_string())), "asked first");

    let asked = (files.fake.requests().len(), lab.upstream.requests().len());
    let warm = lab.get(&Lab::blob_path(&files.digest)).await;
    assert!(is_delivered(&warm, &files.digest) && warm.header("cache-status") == "transship; hit");
    lab.upstream.stop();
    lab.transship.start_again();
    assert!(is_delivered(&lab.get(&Lab::blob_path(&files.digest)).await, &files.digest), "after a restart, alone");
    assert_eq!((files.fake.requests().len(), lab.upstream.requests().len()), asked, "nobody was asked again");
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_a_cold_foreign_layer_come_too() {
    let files = Files::start(blob(3, 2_000_000));
    let lab = allowing(&[&files.fake]);
    add_manifest(&lab.upstream, &files.digest, files.bytes.len(), &[files.url(&files.digest)]);
    assert_eq!(lab.get(&Lab::manifest_path("1")).await.status, 200);
    let part = lab.get_with(&Lab::blob_path(&files.digest), &[("Range", "bytes=-1000")]).await;
    assert_eq!((part.status, part.body == files.bytes[1_999_000..]), (206, true), "{}", part.status);
    files.was_asked_by_nobody();
    assert!(files.fake.bytes_sent_for(&files.digest) < 600_000, "and no more than its blocks");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_bytes_and_wrong_sizes_reach_nobody() {
    for (case, size, fault) in [
        ("another file", 2_000_000, Some(Fault::FlipByte(1_000_000))),
        ("larger than it says", 1_999_999, None),
        ("smaller than it says", 2_000_001, None),
        ("a page", 2_000_000, Some(Fault::html_page())),
        ("not there", 2_000_000, Some(Fault::status(404))),
        ("not for us", 2_000_000, Some(Fault::status(403))),
        ("encoded", 2_000_000, Some(Fault::ContentEncodingGzip)),
    ] {
        let files = Files::start(blob(4, 2_000_000));
        let lab = allowing(&[&files.fake]);
        files.fake.fault(Target::any(), fault.unwrap_or(Fault::RemoveHeader("X-None".into())));
        add_manifest(&lab.upstream, &files.digest, size, &[files.url(&files.digest)]);
        let answer = pull(&lab, &files.digest).await;
        assert!(!is_delivered(&answer, &files.digest), "{case}");
        assert!(answer.status == 502 || !answer.is_whole(), "{case}: {} {}", answer.status, answer.text());
        lab.eventually("nothing is left in staging", || lab.staged().is_empty()).await;
        assert!(!lab.stored_file(&files.digest).exists(), "{case}: nothing is kept");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_listed_hosts_are_asked_at_every_hop() {
    let files = Files::start(blob(5, 500_000));
    let (stranger, signpost) = (Files::start(files.bytes.clone()), FakeUpstream::start());
    let lab = allowing(&[&files.fake, &signpost]);
    let odd = [
        stranger.url(&files.digest),
        format!("http://ci:{PASSWORD}@{}/v2/files/blobs/{}", files.fake.host(), files.digest),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "file:///etc/passwd".to_owned(),
        "nonsense".to_owned(),
    ];
    add_manifest(&lab.upstream, &files.digest, files.bytes.len(), &odd);
    assert_eq!(pull(&lab, &files.digest).await.status, 404, "none of them is an address for us");
    assert!(stranger.fake.requests().is_empty() && files.fake.requests().is_empty());

    // A listed host sends on: to one that is not, and to one that is.
    let lab = allowing(&[&files.fake, &signpost]);
    let there = format!("{}/go", signpost.url());
    add_manifest(&lab.upstream, &files.digest, files.bytes.len(), &[odd[0].clone(), there]);
    signpost.fault(Target::any(), Fault::Redirect(302, Location::Fixed(stranger.url(&files.digest))));
    let refused = pull(&lab, &files.digest).await;
    assert_eq!((refused.status, stranger.fake.requests().len()), (502, 0), "{}", refused.text());
    let host = stranger.fake.host();
    assert!(refused.text().contains("foreign_layers") && refused.text().contains(&host), "{}", refused.text());
    signpost.clear_faults();
    signpost.fault(Target::any(), Fault::Redirect(302, Location::Fixed(files.url(&files.digest))));
    let answer = lab.get(&Lab::blob_path(&files.digest)).await;
    assert!(is_delivered(&answer, &files.digest), "{}", answer.text());
    files.was_asked_by_nobody();
}

/// A laboratory whose other repository `private` has a blob in the cache that `lab` has not, and the host with files.
async fn beside_a_private_blob() -> (Lab, FakeUpstream, Files, Bytes, Digest) {
    let private = FakeUpstream::start();
    let secret = blob(6, 700_000);
    let digest = private.add_blob("secret", secret.clone());
    private.set_access(Access::Basic(Account::new("ci", PASSWORD)));
    let files = Files::start(blob(7, secret.len()));
    let lab = allowing(&[&files.fake]);
    let document = json!({
        "key": "private", "upstream": private.url(), "internal": true, "auth": { "username": "ci", "password": PASSWORD },
    });
    assert_eq!(lab.api("POST", "/api/repos", Some(document)).await.status, 201);
    let path = format!("/v2/private/secret/blobs/{digest}");
    assert!(is_delivered(&lab.get(&path).await, &digest));
    lab.wait_stored(&digest).await;
    (lab, private, files, secret, digest)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_opens_nothing_that_is_cached_for_others() {
    let (lab, _private, files, secret, digest) = beside_a_private_blob().await;
    // A manifest of ours lists it, at an allowed host that has other bytes.
    add_manifest(&lab.upstream, &digest, secret.len(), &[files.url(&files.digest)]);
    for range in [None, Some(("Range", "bytes=0-99"))] {
        assert_eq!(lab.get(&Lab::manifest_path("1")).await.status, 200);
        let answer = lab.get_with(&Lab::blob_path(&digest), range.as_slice()).await;
        assert!(!is_delivered(&answer, &digest), "{}", answer.status);
        assert!(answer.status >= 400 || answer.body[..100] != secret[..100], "not a byte of it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_has_the_bytes_proves_it_by_sending_them() {
    let (lab, private, files, secret, digest) = beside_a_private_blob().await;
    files.fake.add_blob("files", secret.clone());
    add_manifest(&lab.upstream, &digest, secret.len(), &[files.url(&digest)]);
    assert!(is_delivered(&pull(&lab, &digest).await, &digest));
    assert_eq!(
        files.fake.bytes_sent_for(&digest),
        secret.len() as u64,
        "they came from there, although they were here"
    );
    lab.wait_stored(&digest).await;
    // The link is written a moment after the last byte.
    let path = Lab::blob_path(&digest);
    let mut hits = 0;
    while hits == 0 {
        let again = lab.get(&path).await;
        assert!(is_delivered(&again, &digest));
        hits += usize::from(again.header("cache-status") == "transship; hit");
    }
    assert_eq!(private.gets_for(&digest), 2, "its own upstream was asked once, after its challenge");
}
