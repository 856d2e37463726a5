//! Which image of a layout is meant, and where it goes: never another one, never over another one.
//!
//! Must not know: how layouts are read. Invariant: after each command the digests at the server are looked at.

use std::fs;
use std::path::Path;

use oci::{Digest, DigestAlgorithm};
use serde_json::{Value, json};
use tempfile::tempdir;
use testkit::image::{self, Image, Manifest};

use crate::push::Hosted;
use crate::transfer::{Cli, blobs, layout};

fn index(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("index.json")).unwrap()).unwrap()
}

/// Changes the entries of a layout.
fn entries(folder: &Path, change: impl Fn(usize, &mut Value)) {
    let mut index = index(folder);
    index["manifests"].as_array_mut().unwrap().iter_mut().enumerate().for_each(|(at, entry)| change(at, entry));
    fs::write(folder.join("index.json"), index.to_string()).unwrap();
}

/// The digest under a tag or digest of the server; none when there is nothing.
async fn found(house: &Hosted, name: &str, reference: &str) -> Option<String> {
    let answer = house.as_admin("HEAD", &format!("/v2/{name}/manifests/{reference}"), &[], "").await;
    (answer.status == 200).then(|| answer.header("docker-content-digest").to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_in_the_layout_is_never_pushed_instead_of_the_image() {
    let (house, folder) = (Hosted::start(), tempdir().unwrap());
    let cli = Cli::of(&house);
    let (image, signature) = (Image::small(31, 2000), Image::small(32, 100));
    let beside = format!("sha256-{}.sig", image.digest().hex());
    let from = folder.path().join("from");
    layout(&from, &[("v1", &image), (&beside, &signature)], &[]);
    let from = from.to_str().unwrap();
    cli.run(&["push", "--oci-layout", &format!("{from}:v1"), "lab/app:v1", "--referrers"]).expect_success();
    assert_eq!(found(&house, "lab/app", &beside).await, Some(signature.digest().to_string()), "it went along");

    let out = folder.path().join("out");
    let source = format!("lab/app@{}", image.digest());
    cli.run(&["pull", &source, "--oci-layout", out.to_str().unwrap(), "--referrers"]).expect_success();
    let pushed = cli.json(&["push", "--oci-layout", out.to_str().unwrap(), "lab/pushed:v1"]);
    assert_eq!(pushed["images"][0]["digest"], json!(image.digest()));
    assert_eq!(found(&house, "lab/pushed", "v1").await, Some(image.digest().to_string()));

    // One that has no name is as good as one that has one.
    let (two, other) = (folder.path().join("two"), Image::small(33, 100));
    layout(&two, &[("v1", &image)], &[&other]);
    let (code, words) = cli.fails(&["push", "--oci-layout", two.to_str().unwrap(), "lab/two:v1"]);
    assert!(code == 2 && words.contains("v1") && words.contains(&other.digest().to_string()), "{code} {words}");
    assert_eq!(found(&house, "lab/two", "v1").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_images_of_docker_with_one_tag_go_to_their_own_names() {
    let (house, folder) = (Hosted::start(), tempdir().unwrap());
    let cli = Cli::of(&house);
    let (one, two) = (Image::small(34, 1000), Image::small(35, 1000));
    let saved = folder.path().join("saved");
    layout(&saved, &[("v1", &one), ("v1", &two)], &[]);
    entries(&saved, |at, entry| {
        let name = ["docker.io/library/aaa:v1", "docker.io/library/bbb:v1"][at];
        entry["annotations"]["io.containerd.image.name"] = json!(name);
    });
    let saved = saved.to_str().unwrap();
    cli.run(&["import", saved, "lab"]).expect_success();
    assert_eq!(found(&house, "lab/library/aaa", "v1").await, Some(one.digest().to_string()));
    assert_eq!(found(&house, "lab/library/bbb", "v1").await, Some(two.digest().to_string()));
    let (code, words) = cli.fails(&["push", "--oci-layout", &format!("{saved}:v1"), "lab/x:v1"]);
    assert!(code == 2 && words.contains("library/aaa:v1") && words.contains(&two.digest().to_string()), "{words}");
    let whole = format!("{saved}:docker.io/library/bbb:v1");
    let pushed = cli.json(&["push", "--oci-layout", &whole, "lab/x:v1"]);
    assert_eq!(pushed["images"][0]["digest"], json!(two.digest()));

    let clash = folder.path().join("clash");
    layout(&clash, &[("a.io/app:v1", &one), ("b.io/app:v1", &two)], &[]);
    let (code, words) = cli.fails(&["import", clash.to_str().unwrap(), "lab"]);
    assert!(code == 2 && words.contains("a.io/app:v1") && words.contains("b.io/app:v1"), "{code} {words}");
    assert_eq!(found(&house, "lab/app", "v1").await, None, "neither is taken for the other");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_named_by_sha512_keeps_its_digest_and_what_refers_to_it() {
    let (house, folder) = (Hosted::start(), tempdir().unwrap());
    let cli = Cli::of(&house);
    let image = Image::small(36, 1000);
    let digest = Digest::of(DigestAlgorithm::Sha512, &image.manifest.bytes);
    let subject = Manifest { digest, ..image.manifest.clone() };
    let sbom = image::artifact("application/vnd.example.sbom", "parts", Some(&subject));
    let from = folder.path().join("from");
    layout(&from, &[("v1", &image)], &[&sbom]);
    fs::create_dir(from.join("blobs/sha512")).unwrap();
    let of_256 = from.join("blobs/sha256").join(image.digest().hex());
    fs::rename(of_256, from.join("blobs/sha512").join(digest.hex())).unwrap();
    entries(&from, |at, entry| {
        if at == 0 {
            entry["digest"] = json!(digest);
        }
    });
    let words = ["push", "--oci-layout", from.to_str().unwrap(), "lab/app:v1", "--referrers"];
    assert_eq!(cli.json(&words)["images"][0]["digest"], json!(digest));
    assert_eq!(found(&house, "lab/app", &digest.to_string()).await, Some(digest.to_string()));
    assert_eq!(found(&house, "lab/app", "v1").await, Some(digest.to_string()));
    assert_eq!(cli.json(&words)["manifests"]["moved"], 0, "it is there");
    let out = folder.path().join("out");
    cli.run(&["export", "lab", "--to", out.to_str().unwrap()]).expect_success();
    assert!(out.join("blobs/sha512").join(digest.hex()).exists());
    assert!(blobs(&out).contains_key(&sbom.digest().hex()), "what refers to it came along");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_cannot_be_read_fails_alone() {
    let (house, folder) = (Hosted::start(), tempdir().unwrap());
    let cli = Cli::of(&house);
    let images: Vec<Image> = (40..44).map(|seed| Image::small(seed, 1000)).collect();
    let from = folder.path().join("from");
    let named: Vec<(&str, &Image)> = ["a:1", "b:1", "c:1+odd", "d:1"].into_iter().zip(&images).collect();
    let lost = image::artifact("application/vnd.example.sbom", "parts", Some(&images[0].manifest));
    layout(&from, &named, &[&lost]);
    for broken in [&images[1], &lost] {
        let file = from.join("blobs/sha256").join(broken.digest().hex());
        let mut bytes = fs::read(&file).unwrap();
        bytes[20] ^= 1;
        fs::write(file, bytes).unwrap();
    }
    let ended = cli.run(&["import", from.to_str().unwrap(), "lab", "--json"]);
    let told: Value = serde_json::from_str(&ended.stdout).unwrap();
    let words = |list: &str, key: &str| {
        let listed = told[list].as_array().unwrap().iter();
        listed.map(|one| one[key].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ended.status.code(), Some(6), "{told}");
    assert_eq!(words("images", "image"), ["lab/a:1", "lab/d:1"]);
    let failed = words("failed", "image");
    assert_eq!(failed, ["c:1+odd".to_owned(), "lab/b:1".to_owned(), lost.digest().to_string()], "{told}");
    for (name, there) in [("a", true), ("b", false), ("d", true)] {
        assert_eq!(found(&house, &format!("lab/{name}"), "1").await.is_some(), there, "{name}");
    }
    // Alone, what may refer to the image is missed.
    let push = ["push", "--oci-layout", &format!("{}:a:1", from.to_str().unwrap()), "lab/alone:1", "--referrers"];
    assert_eq!(cli.fails(&push).0, 5);
}
