//! More real clients push to a hosted repository and pull it back: containerd, buildah; and what helm, WASM and model tools push.
//!
//! Must not know: HTTP. Invariant: digests are compared at every step.

use oci::Digest;
use serde_json::json;
use tempfile::tempdir;
use testkit::clients::{Buildah, Containerd, Skopeo};
use testkit::image::{self, Blob, Dialect, Image, Manifest, Platform};
use testkit::registry_peer::RegistryPeer;

use crate::pull_through::one_at_a_time;
use crate::push::Hosted;
use crate::transfer::{Cli, blobs, layout};

#[tokio::test(flavor = "multi_thread")]
async fn containerd_pushes_an_index_and_pulls_it_back() {
    let _turn = one_at_a_time().await;
    let (house, containerd, source) = (Hosted::start(), Containerd::start(), RegistryPeer::start_plain());
    let images = vec![
        (Platform::new("linux", "amd64"), Image::small(31, 20_000)),
        (Platform::new("linux", "arm64"), Image::small(32, 20_000)),
    ];
    let index = image::index(Dialect::Oci, images);
    let from = source.push("multi", "1", &index);
    containerd.pull_all(&from).expect_success();
    let target = format!("{}/rel/multi:v1", house.transship.host());
    containerd.push(&target, &from, None).expect_failure();
    containerd.push(&target, &from, Some("ci:wrong")).expect_failure();
    let login = format!("ci:{}", house.transship.admin_token());
    containerd.push(&target, &from, Some(&login)).expect_success();
    let raw = Skopeo::new().raw_manifest(&target).expect_success();
    assert_eq!(Digest::sha256_of(raw.as_bytes()), index.digest());
    containerd.remove(&from);
    containerd.pull(&target).expect_success();
    let listed = containerd.command(&["images", "ls"]).expect_success();
    let line = listed.lines().find(|line| line.starts_with(&target)).unwrap();
    assert!(line.contains(&index.digest().to_string()), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn buildah_builds_pushes_and_pulls_with_the_same_digest() {
    let house = Hosted::start();
    let host = house.transship.host();
    let (buildah, folder) = (Buildah::start(&host), tempdir().unwrap());
    std::fs::write(folder.path().join("Containerfile"), "FROM scratch\nCOPY file /file\n").unwrap();
    std::fs::write(folder.path().join("file"), image::blob(33, 300_000)).unwrap();
    let (context, target) = (folder.path().to_str().unwrap(), format!("{host}/rel/built:v1"));
    buildah.command(&["bud", "--quiet", "--tag", &target, context]).expect_success();
    let digest_file = folder.path().join("digest");
    let digest_file = digest_file.to_str().unwrap();
    let push = |login: &[&str]| {
        buildah.command(&[&["push", "--quiet", "--digestfile", digest_file], login, &[target.as_str()]].concat())
    };
    push(&[]).expect_failure();
    let login = format!("ci:{}", house.transship.admin_token());
    push(&["--creds", &login]).expect_success();
    let digest = std::fs::read_to_string(digest_file).unwrap().trim().to_owned();
    let raw = Skopeo::new().raw_manifest(&target).expect_success();
    assert_eq!(Digest::sha256_of(raw.as_bytes()).to_string(), digest);
    let other = Buildah::start(&host);
    other.command(&["pull", "--quiet", &format!("{host}/rel/built@{digest}")]).expect_success();
    let digests = other.command(&["images", "--digests", "--format", "{{.Digest}}"]).expect_success();
    assert_eq!(digests.trim(), digest);
}

/// An artifact as its tool pushes it: a configuration of a type of its own, and layers.
fn artifact(config: (&str, &[u8]), layers: &[(&str, Vec<u8>)], subject: Option<&Image>) -> Image {
    const TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
    let blob = |kind: &str, bytes: Vec<u8>| Blob {
        media_type: kind.to_owned(),
        digest: Digest::sha256_of(&bytes),
        bytes: bytes.into(),
    };
    let mut all = vec![blob(config.0, config.1.to_vec())];
    all.extend(layers.iter().map(|(kind, bytes)| blob(kind, bytes.clone())));
    let descriptor =
        |blob: &Blob| json!({ "mediaType": blob.media_type, "digest": blob.digest, "size": blob.bytes.len() });
    let mut document = json!({
        "schemaVersion": 2, "mediaType": TYPE, "config": descriptor(&all[0]),
        "layers": all[1..].iter().map(descriptor).collect::<Vec<_>>(),
        "annotations": { "org.opencontainers.image.title": "thing" },
    });
    if let Some(subject) = subject {
        document["subject"] = json!({
            "mediaType": subject.manifest.media_type, "digest": subject.digest(), "size": subject.manifest.bytes.len(),
        });
    }
    Image { manifest: Manifest::from_bytes(TYPE, document.to_string()), blobs: all, children: Vec::new() }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_helm_wasm_and_model_tools_push_comes_back_with_the_same_digests() {
    let (house, skopeo, folder) = (Hosted::start(), Skopeo::new(), tempdir().unwrap());
    let cli = Cli::of(&house);
    let bytes = |seed: u64, size: usize| image::blob(seed, size).to_vec();
    let chart = artifact(
        ("application/vnd.cncf.helm.config.v1+json", br#"{"name":"app","version":"1.0.0","apiVersion":"v2"}"#),
        &[
            ("application/vnd.cncf.helm.chart.content.v1.tar+gzip", bytes(41, 4000)),
            ("application/vnd.cncf.helm.chart.provenance.v1.prov", b"-----BEGIN PGP SIGNED MESSAGE-----".to_vec()),
        ],
        None,
    );
    let wasm = artifact(
        ("application/vnd.wasm.config.v0+json", br#"{"architecture":"wasm","os":"wasip1"}"#),
        &[("application/wasm", bytes(42, 90_000))],
        None,
    );
    let model = artifact(
        ("application/vnd.example.model.config.v1+json", br#"{"format":"weights"}"#),
        &[
            ("application/vnd.example.model.weights.v1.raw", bytes(43, 9 << 20)),
            ("application/vnd.example.model.weights.v1.raw", bytes(44, 5 << 20)),
            ("application/vnd.example.model.doc.v1.tar", bytes(45, 700)),
        ],
        None,
    );
    let sbom = artifact(
        ("application/vnd.oci.empty.v1+json", b"{}"),
        &[("application/spdx+json", b"{}\n".to_vec())],
        Some(&model),
    );
    for (name, thing, others) in [("chart", &chart, None), ("wasm", &wasm, None), ("model", &model, Some(&sbom))] {
        let from = folder.path().join(name);
        layout(&from, &[("1.0.0", thing)], &others.into_iter().collect::<Vec<_>>());
        let target = format!("rel/things/{name}:1.0.0");
        let pushed = cli.json(&["push", "--referrers", "--oci-layout", from.to_str().unwrap(), &target]);
        assert_eq!(pushed["images"][0]["digest"], json!(thing.digest()), "{name}");
        let full = format!("{}/{target}", house.transship.host());
        assert_eq!(skopeo.raw_manifest(&full).expect_success().as_bytes(), thing.manifest.bytes, "{name}");
        let to = folder.path().join(format!("{name}-back"));
        cli.run(&["pull", &full, "--referrers", "--oci-layout", to.to_str().unwrap()]).expect_success();
        assert_eq!(blobs(&to), blobs(&from), "{name}");
        // No container image: docker could not load it.
        let tar = folder.path().join("no.tar");
        let (code, words) = cli.fails(&["pull", &full, "--docker-archive", tar.to_str().unwrap()]);
        assert!(code == 1 && words.contains("--oci-layout") && !tar.exists(), "{name}: {code} {words}");
        assert!(!folder.path().join("no.tar.partial").exists());
    }
}
