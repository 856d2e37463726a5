//! docker, containerd, podman and skopeo pull from a plain HTTP registry on loopback, and the image runs.

use std::fs;

use serde_json::json;
use testkit::clients::{Containerd, Docker, Podman, Skopeo};
use testkit::hello_program;
use testkit::image::Dialect;
use testkit::registry_peer::RegistryPeer;

/// A registry that holds an image for each dialect; the names of the images.
fn registry_with_hello() -> (RegistryPeer, Vec<String>) {
    let peer = RegistryPeer::start_plain();
    let images = [(Dialect::Oci, "hello/oci"), (Dialect::Docker, "hello/docker")]
        .map(|(dialect, name)| peer.push(name, "1", &hello_program::image(dialect)));
    (peer, images.to_vec())
}

#[test]
fn docker_pulls_and_runs() {
    let (_peer, images) = registry_with_hello();
    let docker = Docker::start(&json!({}));
    for image in &images {
        docker.pull(image).expect_success();
        assert_eq!(docker.run(image, &[]).expect_success(), "hello\n");
        docker.remove(image).expect_success();
        docker.run(image, &[]).expect_failure();
    }
}

#[test]
fn containerd_pulls_and_runs() {
    let (peer, images) = registry_with_hello();
    let containerd = Containerd::start();
    for image in &images {
        containerd.pull(image).expect_success();
        assert_eq!(containerd.run(image, &["/bin/echo", "from", "ctr"]).expect_success(), "from ctr\n");
        containerd.remove(image).expect_success();
        containerd.run(image, &[]).expect_failure();
    }
    let mirror = format!("[host.\"{}\"]\n  capabilities = [\"pull\", \"resolve\"]\n", peer.url());
    containerd.write_hosts_toml("registry.example", &mirror);
    containerd.pull_by_hosts("registry.example/hello/oci:1").expect_success();
    assert_eq!(containerd.run("registry.example/hello/oci:1", &[]).expect_success(), "hello\n");
    assert!(peer.log_text().contains("ns=registry.example"), "containerd names the registry it mirrors");
}

#[test]
fn podman_pulls_and_runs() {
    let (_peer, images) = registry_with_hello();
    let podman = Podman::start("");
    for image in &images {
        podman.pull(image).expect_success();
        assert_eq!(podman.run(image, &[]).expect_success(), "hello\n");
        podman.remove(image).expect_success();
        podman.run(image, &[]).expect_failure();
    }
}

#[test]
fn skopeo_pulls_every_byte() {
    let (_peer, images) = registry_with_hello();
    let image = hello_program::image(Dialect::Oci);
    let folder = tempfile::tempdir().expect("a folder can be made");
    Skopeo::new().pull(&images[0], folder.path()).expect_success();
    for blob in &image.blobs {
        let pulled = fs::read(folder.path().join("blobs/sha256").join(blob.digest.hex())).expect("it was pulled");
        assert_eq!(pulled, blob.bytes);
    }
}
