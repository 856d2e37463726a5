//! Real clients that log in with their accounts at the upstream: docker, containerd, podman, skopeo.
//!
//! Must not know: HTTP. Invariants: each client pulls with a login and is refused without; the image is cached after the
//! first, so that what refuses the others is their lack of a right and nothing else.

use serde_json::json;
use tempfile::tempdir;
use testkit::clients::{Containerd, Docker, Podman, Skopeo};
use testkit::image::Image;
use testkit::port;
use testkit::program::Finished;
use testkit::upstream::{Access, Account, Accounts, Login};

use crate::lab::{Lab, LabSetup};
use crate::pull_through::one_at_a_time;

const NAME: &str = "team/secret";
const CREDENTIALS: &str = "ann:canary-ann-77e1";

/// The repository `lab`, served alone at a port of its own and among others at the main one.
struct House {
    lab: Lab,
    own: String,
}

impl House {
    fn start() -> Self {
        let own = format!("127.0.0.1:{}", port::free_port());
        let lab =
            Lab::with(LabSetup { repository: json!({ "auth": "passthrough", "listen": own }), ..LabSetup::default() });
        lab.upstream.add_image(NAME, "1", &Image::small(1, 50_000));
        let rights = vec![(Account::new("ann", "canary-ann-77e1"), vec![NAME.to_owned()])];
        lab.upstream.set_access(Access::Accounts(Accounts { login: Login::Bearer, rights, public: Vec::new() }));
        Self { lab, own }
    }

    /// The image's address among other repositories, and at the repository's own listener.
    fn addresses(&self) -> [String; 2] {
        [format!("{}/lab/{NAME}:1", self.lab.transship.host()), format!("{}/{NAME}:1", self.own)]
    }
}

#[track_caller]
fn refused(what: Finished) {
    let said = what.expect_failure().to_lowercase();
    assert!(said.contains("unauthorized") || said.contains("denied") || said.contains("auth"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_and_podman_pull_with_their_login_and_not_without() {
    let _turn = one_at_a_time().await;
    let house = House::start();
    // They take their challenge from `/v2/`, which asks for a login at the repository's own listener only.
    let [_, image] = house.addresses();
    let (folder, source) = (tempdir().unwrap(), format!("docker://{image}"));
    let target = format!("oci:{}:pulled", folder.path().display());
    let copy = ["copy", "--quiet", "--src-tls-verify=false"];
    let skopeo = Skopeo::new();
    let with = |login: &[&str]| skopeo.command(&[&copy[..], login, &[&source, &target]].concat());
    with(&["--src-creds", CREDENTIALS]).expect_success();
    refused(with(&[]));
    refused(with(&["--src-creds", "ann:wrong"]));

    let podman = Podman::start("");
    refused(podman.pull(&image));
    podman.pull_as(&image, CREDENTIALS).expect_success();
}

#[tokio::test(flavor = "multi_thread")]
async fn containerd_pulls_with_its_login_and_not_without() {
    let _turn = one_at_a_time().await;
    let house = House::start();
    let containerd = Containerd::start();
    for image in house.addresses() {
        refused(containerd.pull(&image));
        containerd.pull_as(&image, CREDENTIALS).expect_success();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_logs_in_and_pulls_at_the_repositorys_own_listener() {
    let _turn = one_at_a_time().await;
    let house = House::start();
    let docker = Docker::start(&json!({}));
    let [_, own] = house.addresses();
    refused(docker.pull(&own));
    refused(docker.command(&["login", "--username", "ann", "--password", "wrong", &house.own]));
    docker.command(&["login", "--username", "ann", "--password", "canary-ann-77e1", &house.own]).expect_success();
    docker.pull(&own).expect_success();
}
