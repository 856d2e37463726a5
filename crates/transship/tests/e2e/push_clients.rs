//! Real clients push to a hosted repository and pull it back: docker, podman, skopeo; digests stay.
//!
//! Must not know: HTTP. Invariant: each client is refused without its login before it pushes with it.

use oci::Digest;
use serde_json::json;
use tempfile::tempdir;
use testkit::clients::{Docker, Podman, Skopeo};
use testkit::hello_program;
use testkit::image::{self, Dialect, Image, Platform};
use testkit::registry_peer::RegistryPeer;

use crate::pull_through::one_at_a_time;
use crate::push::Hosted;

#[tokio::test(flavor = "multi_thread")]
async fn docker_logs_in_pushes_and_pulls() {
    let _turn = one_at_a_time().await;
    let (house, docker, source) = (Hosted::start(), Docker::start(&json!({})), RegistryPeer::start_plain());
    let from = source.push("hello", "1", &hello_program::image(Dialect::Docker));
    docker.pull(&from).expect_success();
    let image = format!("{}/rel/team/hello:v1", house.transship.host());
    docker.command(&["tag", &from, &image]).expect_success();
    docker.command(&["push", "--quiet", &image]).expect_failure();
    let host = house.transship.host();
    docker.command(&["login", "--username", "ci", "--password", "wrong", &host]).expect_failure();
    let token = house.transship.admin_token();
    docker.command(&["login", "--username", "ci", "--password", &token, &host]).expect_success();
    docker.command(&["push", "--quiet", &image]).expect_success();
    let digests = ["image", "inspect", "--format", "{{join .RepoDigests \" \"}}", &image];
    let pushed = docker.command(&digests).expect_success();
    docker.command(&["logout", &host]).expect_success();
    docker.remove(&image);
    docker.remove(&from);
    // As nobody, through the token service.
    docker.pull(&image).expect_success();
    let pulled = docker.command(&digests).expect_success();
    let digest = |text: &str| text.split(['@', ' ', '\n']).find(|part| part.starts_with("sha256:")).map(str::to_owned);
    assert!(digest(&pulled).is_some() && pushed.contains(&digest(&pulled).unwrap()), "{pushed} {pulled}");
    assert_eq!(docker.run(&image, &["/bin/echo", "pushed"]).expect_success().trim(), "pushed");
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_and_podman_push_and_pull_with_the_same_digests() {
    let _turn = one_at_a_time().await;
    let (house, skopeo, source) = (Hosted::start(), Skopeo::new(), RegistryPeer::start_plain());
    let images = vec![
        (Platform::new("linux", "amd64"), hello_program::image(Dialect::Oci)),
        (Platform::new("linux", "arm64"), Image::small(7, 20_000)),
    ];
    let index = image::index(Dialect::Oci, images);
    let from = source.push("multi", "1", &index);
    let folder = tempdir().unwrap();
    skopeo.pull(&from, folder.path()).expect_success();
    let target = format!("{}/rel/multi:v1", house.transship.host());
    let login = format!("ci:{}", house.transship.admin_token());
    skopeo.push(folder.path(), "pulled", &target, None).expect_failure();
    skopeo.push(folder.path(), "pulled", &target, Some("ci:wrong")).expect_failure();
    skopeo.push(folder.path(), "pulled", &target, Some(&login)).expect_success();
    let raw = skopeo.raw_manifest(&target).expect_success();
    assert_eq!(Digest::sha256_of(raw.as_bytes()), index.manifest.digest);
    let back = tempdir().unwrap();
    skopeo.pull(&target, back.path()).expect_success();

    let podman = Podman::start("");
    podman.pull(&target).expect_success();
    let again = format!("{}/rel/again:v1", house.transship.host());
    podman.command(&["push", "--quiet", "--tls-verify=false", &target, &again]).expect_failure();
    podman.command(&["push", "--quiet", "--tls-verify=false", "--creds", &login, &target, &again]).expect_success();
    podman.remove(&target);
    podman.pull(&again).expect_success();
}
