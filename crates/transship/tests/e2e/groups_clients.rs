//! Real clients push through a group and pull back: docker and skopeo; what they push is the hosted member's.
//!
//! Must not know: HTTP. Invariant: digests stay, and images of all members come from one address.

use oci::Digest;
use serde_json::json;
use tempfile::tempdir;
use testkit::clients::{Docker, Skopeo};
use testkit::hello_program;
use testkit::image::{self, Dialect, Image, Platform};
use testkit::registry_peer::RegistryPeer;

use crate::groups::Groups;
use crate::pull_through::one_at_a_time;

#[tokio::test(flavor = "multi_thread")]
async fn docker_pushes_through_a_group_and_pulls_back() {
    let _turn = one_at_a_time().await;
    let (house, docker, source) = (Groups::start(), Docker::start(&json!({})), RegistryPeer::start_plain());
    let from = source.push("hello", "1", &hello_program::image(Dialect::Docker));
    docker.pull(&from).expect_success();
    let image = format!("{}/all/team/hello:v1", house.transship.host());
    docker.command(&["tag", &from, &image]).expect_success();
    docker.command(&["push", "--quiet", &image]).expect_success();
    docker.remove(&image);
    docker.remove(&from);
    docker.pull(&image).expect_success();
    assert_eq!(docker.run(&image, &["/bin/echo", "through a group"]).expect_success().trim(), "through a group");
    docker.remove(&image);
    docker.pull(&format!("{}/rel/team/hello:v1", house.transship.host())).expect_success();
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_copies_an_index_into_a_group_that_other_members_have_layers_of() {
    let _turn = one_at_a_time().await;
    let (house, skopeo, source) = (Groups::start(), Skopeo::new(), RegistryPeer::start_plain());
    let images = vec![
        (Platform::new("linux", "amd64"), hello_program::image(Dialect::Oci)),
        (Platform::new("linux", "arm64"), Image::small(7, 20_000)),
    ];
    let index = image::index(Dialect::Oci, images);
    // The same image, under the same name, lies at a cache of the group.
    house.hub_has("library/multi", "v1", &index);
    let from = source.push("multi", "1", &index);
    let folder = tempdir().unwrap();
    skopeo.pull(&from, folder.path()).expect_success();
    let target = format!("{}/all/library/multi:v1", house.transship.host());
    skopeo.push(folder.path(), "pulled", &target, None).expect_success();
    for address in ["all", "rel"] {
        let raw = skopeo.raw_manifest(&format!("{}/{address}/library/multi:v1", house.transship.host()));
        assert_eq!(Digest::sha256_of(raw.expect_success().as_bytes()), index.manifest.digest, "{address}");
    }
    let back = tempdir().unwrap();
    skopeo.pull(&target, back.path()).expect_success();
    // What is only at a cache comes from the same address.
    house.hub_has("library/base", "v1", &Image::small(8, 20_000));
    let back = tempdir().unwrap();
    skopeo.pull(&format!("{}/all/library/base:v1", house.transship.host()), back.path()).expect_success();
}
