//! A real Debian image goes through every client.

use serde_json::json;
use testkit::clients::{Containerd, Docker, Podman, Skopeo};
use testkit::debian_rootfs;
use testkit::registry_peer::RegistryPeer;

#[test]
fn every_client_runs_debian() {
    let peer = RegistryPeer::start_plain();
    let image = format!("{}/debian/minbase:latest", peer.host());
    Skopeo::new().push(&debian_rootfs::layout(), debian_rootfs::TAG, &image, None).expect_success();
    let words = ["/bin/sh", "-c", "echo hello from $(. /etc/os-release; echo $ID)"];

    let docker = Docker::start(&json!({}));
    docker.pull(&image).expect_success();
    assert_eq!(docker.run(&image, &words).expect_success(), "hello from debian\n");

    let containerd = Containerd::start();
    containerd.pull(&image).expect_success();
    assert_eq!(containerd.run(&image, &words).expect_success(), "hello from debian\n");

    let podman = Podman::start("");
    podman.pull(&image).expect_success();
    assert_eq!(podman.run(&image, &words).expect_success(), "hello from debian\n");
}
