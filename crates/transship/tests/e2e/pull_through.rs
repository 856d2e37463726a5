//! The main job with real programs: a Debian image from a real docker-registry to docker, containerd, podman and
//! skopeo; again with the registry stopped and Transship restarted.
//!
//! Must not know: HTTP. Invariants: the warm pulls are made by clients with empty folders; the image that runs is the
//! one that was pulled. Container runtimes run one at a time.

use std::fs;
use std::path::Path;
use std::process::Command;

use oci::Digest;
use serde_json::{Value, json};
use testkit::clients::{Containerd, Docker, Podman, Skopeo};
use testkit::debian_rootfs;
use testkit::registry_peer::RegistryPeer;
use testkit::transship_process::{TransshipProcess, TransshipSetup};
use tokio::sync::{Mutex, MutexGuard};

use crate::http;
use crate::lab::{PROGRAM, log_of, manage};

const WORDS: [&str; 3] = ["/bin/sh", "-c", "echo hello from $(. /etc/os-release; echo $ID)"];
const SAID: &str = "hello from debian\n";

/// Lets one test at a time run containers.
pub(crate) async fn one_at_a_time() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::const_new(());
    TURN.lock().await
}

/// A registry with the Debian image, and Transship with that registry as its repository `lab`.
struct House {
    registry: RegistryPeer,
    transship: TransshipProcess,
    digest: Digest,
    _turn: MutexGuard<'static, ()>,
}

impl House {
    async fn start() -> Self {
        let turn = one_at_a_time().await;
        let registry = RegistryPeer::start_plain();
        let pushed = format!("{}/debian/minbase:latest", registry.host());
        Skopeo::new().push(&debian_rootfs::layout(), debian_rootfs::TAG, &pushed, None).expect_success();
        let transship = TransshipProcess::start(PROGRAM, TransshipSetup::default());
        let document = json!({ "key": "lab", "kind": "proxy", "upstream": registry.url(), "internal": true });
        let created = manage(&http::client(), &transship, "POST", "/api/repos", Some(document)).await;
        assert_eq!(created.status, 201, "{}", created.text());
        let digest = manifest_digest(&debian_rootfs::layout());
        Self { registry, transship, digest, _turn: turn }
    }

    /// The image's address at Transship.
    fn by_tag(&self) -> String {
        format!("{}/lab/debian/minbase:latest", self.transship.host())
    }

    fn by_digest(&self) -> String {
        format!("{}/lab/debian/minbase@{}", self.transship.host(), self.digest)
    }

    /// Stops the registry and starts Transship again.
    fn cut_off(&mut self) {
        self.registry.stop();
        assert!(self.transship.terminate().success());
        self.transship.start_again();
    }

    /// The file that `transship client-config` prints for a client that shall pull from `registry` through us.
    fn client_config(&self, client: &str, registry: &str) -> String {
        let mut command = Command::new(PROGRAM);
        command.args(["client-config", "--for", client, "--server", &self.transship.url()]);
        let printed = command.args(["--registry", registry, "--json"]).output().unwrap();
        assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
        let printed: Value = serde_json::from_slice(&printed.stdout).unwrap();
        printed["files"][0]["content"].as_str().unwrap().to_owned()
    }

    /// Asserts that no request was answered with an error.
    fn had_no_failure(&self) {
        let requests = log_of(&self.transship).into_iter().filter(|line| line["message"] == "request");
        let failed: Vec<Value> =
            requests.filter(|line| line["status"].as_u64() >= Some(400) && line["kind"] != Value::Null).collect();
        assert!(failed.is_empty(), "{failed:?}");
    }
}

/// The digest of the only manifest of an OCI layout.
fn manifest_digest(layout: &Path) -> Digest {
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    index["manifests"][0]["digest"].as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_pulls_and_runs_debian_also_without_the_registry() {
    let mut house = House::start().await;
    let (tag, digest) = (house.by_tag(), house.by_digest());
    let docker = Docker::start(&json!({}));
    docker.pull(&tag).expect_success();
    assert_eq!(docker.run(&tag, &WORDS).expect_success(), SAID);
    drop(docker);
    house.cut_off();
    let docker = Docker::start(&json!({}));
    docker.pull(&digest).expect_success();
    assert_eq!(docker.run(&digest, &WORDS).expect_success(), SAID);
    docker.pull(&tag).expect_success();
    assert_eq!(docker.run(&tag, &WORDS).expect_success(), SAID);
    house.had_no_failure();
}

#[tokio::test(flavor = "multi_thread")]
async fn containerd_pulls_and_runs_debian_also_without_the_registry() {
    let mut house = House::start().await;
    let (tag, digest) = (house.by_tag(), house.by_digest());
    let containerd = Containerd::start();
    containerd.pull(&tag).expect_success();
    assert_eq!(containerd.run(&tag, &WORDS).expect_success(), SAID);
    drop(containerd);
    house.cut_off();
    let containerd = Containerd::start();
    containerd.pull(&digest).expect_success();
    assert_eq!(containerd.run(&digest, &WORDS).expect_success(), SAID);
    containerd.pull(&tag).expect_success();
    assert_eq!(containerd.run(&tag, &WORDS).expect_success(), SAID);
    house.had_no_failure();
}

#[tokio::test(flavor = "multi_thread")]
async fn containerd_pulls_by_hosts_toml_and_ns_also_without_the_registry() {
    let mut house = House::start().await;
    // The name an administrator mirrors is that of the registry itself.
    let named = house.registry.host();
    let (tag, digest) = (format!("{named}/debian/minbase:latest"), format!("{named}/debian/minbase@{}", house.digest));
    let hosts = house.client_config("containerd", &named);
    let containerd = Containerd::start();
    containerd.write_hosts_toml(&named, &hosts);
    containerd.pull_by_hosts(&tag).expect_success();
    assert_eq!(containerd.run(&tag, &WORDS).expect_success(), SAID);
    drop(containerd);
    house.cut_off();
    let containerd = Containerd::start();
    containerd.write_hosts_toml(&named, &hosts);
    containerd.pull_by_hosts(&digest).expect_success();
    containerd.pull_by_hosts(&tag).expect_success();
    assert_eq!(containerd.run(&tag, &WORDS).expect_success(), SAID);
    let pulls =
        log_of(&house.transship).into_iter().filter(|line| line["path"] == "/v2/debian/minbase/manifests/latest");
    let keys: Vec<Value> = pulls.map(|line| line["repo_key"].clone()).collect();
    assert!(keys.len() >= 2 && keys.iter().all(|key| key == "lab"), "ns chose the repository: {keys:?}");
    house.had_no_failure();
}

#[tokio::test(flavor = "multi_thread")]
async fn podman_pulls_and_runs_debian_also_without_the_registry() {
    let mut house = House::start().await;
    let (tag, digest) = (house.by_tag(), house.by_digest());
    let podman = Podman::start("");
    podman.pull(&tag).expect_success();
    assert_eq!(podman.run(&tag, &WORDS).expect_success(), SAID);
    drop(podman);
    house.cut_off();
    let podman = Podman::start("");
    podman.pull(&digest).expect_success();
    assert_eq!(podman.run(&digest, &WORDS).expect_success(), SAID);
    podman.pull(&tag).expect_success();
    assert_eq!(podman.run(&tag, &WORDS).expect_success(), SAID);
    house.had_no_failure();
}

#[tokio::test(flavor = "multi_thread")]
async fn podman_pulls_by_the_registries_conf_we_print() {
    let house = House::start().await;
    let printed = house.client_config("podman", "docker.io");
    // Docker Hub is out of reach here: behind the mirror stands the repository `lab` in its place.
    let behind = |path: &str| format!("{}/{path}\"", house.transship.host());
    let (hub, lab) = (behind("docker.io"), behind("lab"));
    assert!(printed.contains(&hub), "{printed}");
    let podman = Podman::start(&printed.replace(&hub, &lab));
    podman.pull("docker.io/debian/minbase:latest").expect_success();
    assert_eq!(podman.run("docker.io/debian/minbase:latest", &WORDS).expect_success(), SAID);
    house.had_no_failure();
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_copies_every_byte_also_without_the_registry() {
    let mut house = House::start().await;
    let folder = tempfile::tempdir().unwrap();
    Skopeo::new().pull(&house.by_tag(), &folder.path().join("cold")).expect_success();
    let asked = house.registry.log_text().lines().filter(|line| line.contains("GET /v2/debian/minbase/blobs/")).count();
    house.cut_off();
    Skopeo::new().pull(&house.by_tag(), &folder.path().join("tag")).expect_success();
    Skopeo::new().pull(&house.by_digest(), &folder.path().join("digest")).expect_success();
    let original = debian_rootfs::layout().join("blobs/sha256");
    for copy in ["cold", "tag", "digest"] {
        let mut compared = 0;
        for blob in fs::read_dir(&original).unwrap() {
            let (path, name) = blob.map(|blob| (blob.path(), blob.file_name())).unwrap();
            let copied = folder.path().join(copy).join("blobs/sha256").join(name);
            assert!(fs::read(&path).unwrap() == fs::read(copied).unwrap(), "{copy}: {}", path.display());
            compared += 1;
        }
        assert_eq!(compared, 3, "manifest, config and layer");
    }
    assert!(asked >= 2, "the first copy came from the registry: {asked}");
    house.had_no_failure();
}
