//! `transship push`, `pull` and `copy`: digests stay, wrong content never gets a name, what breaks off is resumed.
//!
//! Must not know: how anything is moved. Invariant: after each refusal it is looked at that nothing changed at the other end.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use oci::Digest;
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};
use testkit::clients::Skopeo;
use testkit::image::{self, Dialect, Image, Manifest, Platform};
use testkit::program::Finished;
use testkit::registry_peer::RegistryPeer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::http;
use crate::lab::PROGRAM;
use crate::push::Hosted;

/// The program as a command for the server of a test, with a home of its own.
pub(crate) struct Cli {
    home: TempDir,
    variables: Vec<(String, String)>,
}

impl Cli {
    /// With the server's admin token at hand.
    pub(crate) fn of(house: &Hosted) -> Self {
        let token = house.transship.cache_dir().join("admin.token");
        Self::nobody()
            .with("TRANSSHIP_SERVER", house.transship.url())
            .with("TRANSSHIP_ADMIN_TOKEN_FILE", token.display().to_string())
    }

    /// Without any login.
    pub(crate) fn nobody() -> Self {
        Self { home: tempdir().unwrap(), variables: Vec::new() }
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.env_clear().env("HOME", self.home.path()).env("TMPDIR", self.home.path()).stdin(Stdio::null());
        command.envs(self.variables.iter().map(|(name, value)| (name, value))).args(words);
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Finished {
        Finished::of(&mut self.command(words))
    }

    /// What a success tells as JSON.
    #[track_caller]
    pub(crate) fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.run(&[words, &["--json"]].concat()).expect_success()).unwrap()
    }

    /// The exit code and the words of a failure.
    #[track_caller]
    pub(crate) fn fails(&self, words: &[&str]) -> (i32, String) {
        let ended = self.run(words);
        (ended.status.code().unwrap(), ended.expect_failure())
    }
}

/// Writes an OCI layout: `named` by their names, others only for what they refer to.
pub(crate) fn layout(folder: &Path, named: &[(&str, &Image)], others: &[&Image]) {
    fs::create_dir_all(folder.join("blobs/sha256")).unwrap();
    fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let entry = |manifest: &Manifest| json!({ "mediaType": manifest.media_type, "digest": manifest.digest, "size": manifest.bytes.len() });
    let mut entries = Vec::new();
    for (name, image) in named {
        put(folder, image);
        let mut entry = entry(&image.manifest);
        entry["annotations"] = json!({ "org.opencontainers.image.ref.name": name });
        entries.push(entry);
    }
    for image in others {
        put(folder, image);
        entries.push(entry(&image.manifest));
    }
    fs::write(folder.join("index.json"), json!({ "schemaVersion": 2, "manifests": entries }).to_string()).unwrap();
}

fn put(folder: &Path, image: &Image) {
    let at = |digest: &Digest| folder.join("blobs/sha256").join(digest.hex());
    fs::write(at(&image.manifest.digest), &image.manifest.bytes).unwrap();
    image.blobs.iter().for_each(|blob| fs::write(at(&blob.digest), &blob.bytes).unwrap());
    image.children.iter().for_each(|child| put(folder, child));
}

/// The blobs of a layout.
pub(crate) fn blobs(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(folder.join("blobs/sha256")).unwrap().map(|entry| entry.unwrap());
    files.map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap())).collect()
}

/// An index for two platforms, and a signature and an SBOM that refer to it.
pub(crate) fn multi() -> (Image, Image, Image) {
    let images = vec![
        (Platform::new("linux", "amd64"), Image::small(1, 600_000)),
        (Platform::new("linux", "arm64"), Image::small(2, 5_000)),
    ];
    let index = image::index(Dialect::Oci, images);
    let signature = image::artifact("application/vnd.example.signature", "signed", Some(&index.manifest));
    let sbom = image::artifact("application/vnd.example.sbom", "parts", Some(&index.manifest));
    (index, signature, sbom)
}

async fn referrers(house: &Hosted, name: &str, subject: &Digest) -> Vec<String> {
    let url = format!("{}/v2/{name}/referrers/{subject}", house.transship.url());
    let listed = http::send(&http::client(), "GET", &url, &[], Vec::new()).await.json();
    let mut digests: Vec<String> =
        listed["manifests"].as_array().unwrap().iter().map(|m| m["digest"].as_str().unwrap().to_owned()).collect();
    digests.sort();
    digests
}

fn sorted(images: &[&Image]) -> Vec<String> {
    let mut digests: Vec<String> = images.iter().map(|image| image.digest().to_string()).collect();
    digests.sort();
    digests
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_with_two_referrers_goes_in_and_out_byte_for_byte_and_only_once() {
    let (house, folder) = (Hosted::start(), tempdir().unwrap());
    let (cli, skopeo) = (Cli::of(&house), Skopeo::new());
    let (index, signature, sbom) = multi();
    let from = folder.path().join("from");
    layout(&from, &[("v1", &index)], &[&signature, &sbom]);
    let words = ["push", "--oci-layout", from.to_str().unwrap(), "rel/team/app:v1", "--referrers"];
    let pushed = cli.json(&words);
    assert_eq!(pushed["images"][0], json!({ "image": "rel/team/app:v1", "digest": index.digest() }));
    assert_eq!((&pushed["manifests"]["moved"], &pushed["failed"]), (&json!(5), &json!([])), "{pushed}");
    let image = format!("{}/rel/team/app:v1", house.transship.host());
    let raw = skopeo.raw_manifest(&image).expect_success();
    assert_eq!(Digest::sha256_of(raw.as_bytes()), index.digest());
    assert_eq!(referrers(&house, "rel/team/app", &index.digest()).await, sorted(&[&signature, &sbom]));

    let again = cli.json(&words);
    assert_eq!(
        (&again["blobs"]["moved"], &again["manifests"]["moved"], &again["bytes"]),
        (&json!(0), &json!(0), &json!(0))
    );

    let to = folder.path().join("to");
    let pull = ["pull", &image, "--referrers", "--oci-layout", to.to_str().unwrap()];
    Cli::nobody().run(&pull).expect_success();
    assert_eq!(blobs(&to), blobs(&from));
    assert!(!to.join(".partial").exists());
    assert_eq!(Cli::nobody().json(&pull)["blobs"]["moved"], 0);
    let one = folder.path().join("one");
    let arm = ["pull", &image, "--platform", "linux/arm64", "--oci-layout", one.to_str().unwrap()];
    let pulled = Cli::nobody().json(&arm);
    assert_eq!(pulled["images"][0]["digest"], json!(index.children[1].digest()));
    assert_eq!(blobs(&one).len(), 1 + index.children[1].blobs.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_is_exit_5_and_nothing_is_tagged_or_left() {
    let (house, folder) = (Hosted::start(), tempdir().unwrap());
    let cli = Cli::of(&house);
    let image = Image::small(3, 600_000);
    for number in 0..image.blobs.len() {
        // What an earlier round has brought there rightly would not be sent again.
        let image = Image::small(100 + number as u64, 600_000);
        let blob = &image.blobs[number];
        let from = folder.path().join(number.to_string());
        layout(&from, &[("v1", &image)], &[]);
        let file = from.join("blobs/sha256").join(blob.digest.hex());
        let mut bytes = fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&file, bytes).unwrap();
        let (code, words) = cli.fails(&["push", "--oci-layout", from.to_str().unwrap(), "rel/app:v1"]);
        assert!(code == 5 && words.contains(&blob.digest.to_string()), "{code} {words}");
    }
    let cut = folder.path().join("cut");
    layout(&cut, &[("v1", &image)], &[]);
    let file = cut.join("blobs/sha256").join(image.layers()[0].digest.hex());
    fs::File::options().write(true).open(file).unwrap().set_len(1000).unwrap();
    assert_eq!(cli.fails(&["push", "--oci-layout", cut.to_str().unwrap(), "rel/app:v1"]).0, 5);
    let url = format!("{}/v2/rel/app/manifests/v1", house.transship.url());
    assert_eq!(http::send(&http::client(), "GET", &url, &[], Vec::new()).await.status, 404);
    assert_eq!(house.files().1, 0, "no upload is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn layouts_that_lead_elsewhere_are_refused() {
    let (house, folder) = (Hosted::start(), tempdir().unwrap());
    let cli = Cli::of(&house);
    let image = Image::small(4, 1000);
    let refused = |name: &str, what: &str, break_it: &dyn Fn(&Path)| {
        let from = folder.path().join(name);
        layout(&from, &[("v1", &image)], &[]);
        break_it(&from);
        let (code, words) = cli.fails(&["push", "--oci-layout", from.to_str().unwrap(), "rel/app:v1"]);
        assert!(code != 0 && words.contains(what), "{name}: {code} {words}");
    };
    refused("digest", "digest", &|from| {
        let index = fs::read_to_string(from.join("index.json")).unwrap();
        let index = index.replace(&image.digest().to_string(), "sha256:../../../../etc/passwd");
        fs::write(from.join("index.json"), index).unwrap();
    });
    refused("link", "not a regular file", &|from| {
        let file = from.join("blobs/sha256").join(image.layers()[0].digest.hex());
        fs::rename(&file, from.join("elsewhere")).unwrap();
        std::os::unix::fs::symlink("../../elsewhere", file).unwrap();
    });
    refused("unmarked", "oci-layout", &|from| fs::remove_file(from.join("oci-layout")).unwrap());
    refused("json", "index", &|from| fs::write(from.join("index.json"), "[").unwrap());

    let (tar, victim) = (folder.path().join("evil.tar"), folder.path().join("victim"));
    fs::write(&victim, "untouched").unwrap();
    let mut words = testkit::program::command("tar", folder.path());
    words.args(["-P", "-cf"]).arg(&tar).arg("--transform=s,^.*victim$,../victim,").arg(&victim);
    Finished::of(&mut words).expect_success();
    let (code, words) = cli.fails(&["push", "--oci-layout", tar.to_str().unwrap(), "rel/app:v1"]);
    assert!(code == 1 && words.contains("leads out of the archive"), "{code} {words}");
    assert_eq!(fs::read_to_string(victim).unwrap(), "untouched");
    assert_eq!(house.files(), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_reason_has_its_exit_code() {
    let (house, folder) = (Hosted::start(), tempdir().unwrap());
    let (cli, host) = (Cli::of(&house), house.transship.host());
    let from = folder.path().join("from");
    layout(&from, &[("a", &Image::small(5, 1000)), ("b", &Image::small(6, 1000))], &[]);
    let from = from.to_str().unwrap();
    let (a, b) = (format!("{from}:a"), format!("{from}:b"));
    assert_eq!(cli.fails(&["push", "--oci-layout", from, "rel/app:v1"]).0, 2, "which of the two?");
    assert_eq!(cli.fails(&["push", "rel/app:v1"]).0, 2);
    assert_eq!(cli.fails(&["push", "--oci-layout", &a, "app"]).0, 2);
    assert_eq!(cli.fails(&["push", "--oci-layout", &format!("{from}:c"), "rel/app:v1"]).0, 3);
    assert_eq!(cli.fails(&["push", "--oci-layout", "no/such", "rel/app:v1"]).0, 3);
    let out = folder.path().join("out");
    assert_eq!(cli.fails(&["pull", "rel/app:v1", "--oci-layout", out.to_str().unwrap()]).0, 3);

    let full = format!("{host}/rel/app:v1");
    let wrong = Cli::nobody().with("TRANSSHIP_USERNAME", "ci").with("TRANSSHIP_PASSWORD", "canary-wrong");
    for nobody in [&Cli::nobody(), &wrong] {
        let (code, words) = nobody.fails(&["push", "--oci-layout", &a, &full]);
        assert!(code == 4 && words.contains("--password-stdin") && !words.contains("canary"), "{code} {words}");
    }
    let right =
        Cli::nobody().with("TRANSSHIP_USERNAME", "ci").with("TRANSSHIP_PASSWORD", house.transship.admin_token());
    right.run(&["push", "--oci-layout", &a, &full]).expect_success();
    let (code, words) = right.fails(&["push", "--oci-layout", &b, &full]);
    assert!(code == 4 && words.contains("immutable"), "{code} {words}");

    let closed = testkit::port::free_port();
    let nowhere = format!("127.0.0.1:{closed}/rel/app:v1");
    assert_eq!(cli.fails(&["push", "--oci-layout", &a, &nowhere, "--retries", "0"]).0, 8);
    let said: Value =
        serde_json::from_str(&cli.run(&["pull", "rel/no:v1", "--json", "--oci-layout", out.to_str().unwrap()]).stdout)
            .unwrap();
    assert_eq!((&said["error"]["code"], &said["error"]["exit"]), (&json!("not_found"), &json!(3)));
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_between_registries_keep_digests_and_referrers_and_mount_where_they_can() {
    let house = Hosted::start();
    let (cli, skopeo) = (Cli::of(&house), Skopeo::new());
    let (index, signature, sbom) = multi();
    // docker's registry has no list of referrers: it is kept under a tag.
    let (peer, other) = (RegistryPeer::start_plain(), RegistryPeer::start_plain());
    let from = folder_of(&index, &[&signature, &sbom]);
    let source = format!("{}/multi:1", peer.host());
    cli.run(&["push", "--oci-layout", from.path().to_str().unwrap(), &source, "--referrers"]).expect_success();

    let copied = cli.json(&["copy", &source, "rel/multi:v1", "--referrers"]);
    assert_eq!(copied["images"][0]["digest"], json!(index.digest()));
    assert_eq!(referrers(&house, "rel/multi", &index.digest()).await, sorted(&[&signature, &sbom]));
    let back = format!("{}/back:1", other.host());
    cli.run(&["copy", "rel/multi:v1", &back, "--referrers"]).expect_success();
    for image in [&source, &back, &format!("{}/rel/multi:v1", house.transship.host())] {
        assert_eq!(Digest::sha256_of(skopeo.raw_manifest(image).expect_success().as_bytes()), index.digest());
    }
    let out = tempdir().unwrap();
    cli.run(&["pull", &back, "--referrers", "--oci-layout", out.path().join("x").to_str().unwrap()]).expect_success();
    assert_eq!(blobs(&out.path().join("x")), blobs(from.path()));

    let mounted = cli.json(&["copy", "rel/multi:v1", "lab/elsewhere:1"]);
    assert_eq!((&mounted["bytes"], &mounted["blobs"]["moved"]), (&json!(0), &json!(0)), "{mounted}");
    let arm = cli.json(&["copy", &source, "lab/arm:1", "--platform", "linux/arm64"]);
    assert_eq!(arm["images"][0]["digest"], json!(index.children[1].digest()));
}

fn folder_of(image: &Image, others: &[&Image]) -> TempDir {
    let folder = tempdir().unwrap();
    layout(folder.path(), &[("1", image)], others);
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_tags_one_that_fails_is_exit_6_and_the_others_are_there() {
    let (house, peer) = (Hosted::start(), RegistryPeer::start_plain());
    let cli = Cli::of(&house);
    for (tag, seed) in [("v1", 7), ("v2", 8), ("latest", 9)] {
        peer.push("app", tag, &Image::small(seed, 2000));
    }
    let taken = folder_of(&Image::small(10, 2000), &[]);
    cli.run(&["push", "--oci-layout", taken.path().to_str().unwrap(), "rel/app:v1"]).expect_success();
    let all = ["copy", &format!("{}/app", peer.host()), "rel/app", "--all-tags"];
    let (code, words) = cli.fails(&all);
    assert!(code == 6 && words.contains("app:v1") && words.contains("immutable"), "{code} {words}");
    let url = format!("{}/v2/rel/app/tags/list", house.transship.url());
    let tags = http::send(&http::client(), "GET", &url, &[], Vec::new()).await.json();
    assert_eq!(tags["tags"], json!(["latest", "v1", "v2"]));
    assert_eq!(cli.fails(&["copy", "rel/app:v1", "lab/x", "--all-tags"]).0, 2);
}

/// Passes bytes on to `to`; cuts each of the first `cuts` connections that have brought `after` bytes.
async fn cutting(to: String, after: u64, cuts: u32) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let left = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(cuts));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (to, left) = (to.clone(), left.clone());
            tokio::spawn(async move {
                let server = TcpStream::connect(to).await.unwrap();
                let (mut from_client, mut to_client) = client.into_split();
                let (mut from_server, mut to_server) = server.into_split();
                let answers = tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
                let (mut passed, mut piece) = (0, vec![0; 65_536]);
                while let Ok(count @ 1..) = from_client.read(&mut piece).await {
                    if to_server.write_all(&piece[..count]).await.is_err() {
                        break;
                    }
                    passed += count as u64;
                    let cut = |left: u32| left.checked_sub(1);
                    let order = std::sync::atomic::Ordering::SeqCst;
                    if passed >= after && left.fetch_update(order, order, cut).is_ok() {
                        break;
                    }
                }
                answers.abort();
            });
        }
    });
    host
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_breaks_off_goes_on_where_it_was() {
    const SIZE: usize = 48 << 20;
    let house = Hosted::start();
    let image = Image::small(11, SIZE);
    let from = folder_of(&image, &[]);
    let through = cutting(house.transship.host(), 20 << 20, 2).await;
    let cli = Cli::nobody().with("TRANSSHIP_USERNAME", "ci").with("TRANSSHIP_PASSWORD", house.transship.admin_token());
    // The login leads to the server itself, which names itself as it is asked.
    let target = format!("{through}/lab/app:1");
    let from = from.path().to_str().unwrap().to_owned();
    let pushed =
        tokio::task::spawn_blocking(move || cli.json(&["push", "--oci-layout", &from, &target])).await.unwrap();
    let sent = pushed["bytes"].as_u64().unwrap();
    assert!(sent > SIZE as u64, "nothing broke off: {pushed}");
    assert!(sent < (SIZE + (20 << 20)) as u64, "{sent} bytes were sent for {SIZE}: it began anew");
    let url = format!("{}/v2/lab/app/blobs/{}", house.transship.url(), image.layers()[0].digest);
    let there = http::send(&http::client(), "GET", &url, &[], Vec::new()).await;
    assert!(there.status == 200 && there.body == image.layers()[0].bytes);
    assert_eq!(house.files().1, 0, "no upload is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_can_be_bounded() {
    let house = Hosted::start();
    let cli = Cli::of(&house);
    let image = Image::small(12, 3_000_000);
    let from = folder_of(&image, &[]);
    let words = ["push", "--oci-layout", from.path().to_str().unwrap(), "lab/app:1", "--chunk-size", "1MiB"];
    cli.run(&words).expect_success();
    let log = house.transship.log_text();
    let accepted = |line: &&str| line.contains("\"method\":\"PATCH\"") && line.contains("\"status\":202");
    let requests = image.layers()[0].bytes.len().div_ceil(1 << 20);
    assert_eq!((log.lines().filter(accepted).count(), requests > 2), (requests, true), "{log}");
}
