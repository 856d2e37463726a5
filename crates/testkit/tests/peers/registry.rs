//! docker-registry: plain, with authentication, in proxy mode, stopped and started.

use testkit::clients::Skopeo;
use testkit::image::{self, Dialect, Image, Platform};
use testkit::plain_http;
use testkit::registry_peer::{RegistryPeer, RegistrySetup};
use testkit::upstream::{Account, FakeUpstream};

#[test]
fn an_index_is_pushed_with_its_digests_unchanged() {
    let peer = RegistryPeer::start_plain();
    for (dialect, name) in [(Dialect::Oci, "oci"), (Dialect::Docker, "docker")] {
        let child = |seed| image::ImageBuilder::new().dialect(dialect).file("seed", &[seed]).end_layer().build();
        let children = vec![(Platform::new("linux", "amd64"), child(1)), (Platform::new("linux", "arm64"), child(2))];
        let index = image::index(dialect, children);
        let pushed = peer.push(&format!("a/{name}"), "1", &index);
        assert_eq!(Skopeo::new().raw_manifest(&pushed).expect_success().as_bytes(), index.manifest.bytes);
    }
}

#[test]
fn an_account_is_asked_for() {
    let account = Some(Account::new("ann", "secret"));
    let peer = RegistryPeer::start_with(&RegistrySetup { account: account.clone(), ..RegistrySetup::default() });
    peer.push("a", "1", &Image::small(1, 10));
    let status = |headers: &[(&str, &str)]| {
        plain_http::send(&peer.host(), "GET", "/v2/a/tags/list", headers, &[]).expect("it answers").status
    };
    assert_eq!(status(&[]), 401);
    assert_eq!(status(&[("Authorization", &Account::new("ann", "wrong").basic())]), 401);
    assert_eq!(status(&[("Authorization", &Account::new("ann", "secret").basic())]), 200);
}

#[test]
fn proxy_mode_fetches_from_another_registry() {
    let upstream = FakeUpstream::start();
    let image = Image::small(1, 1000);
    let digest = upstream.add_image("library/app", "1", &image);
    let proxy_of = Some(upstream.url());
    let peer = RegistryPeer::start_with(&RegistrySetup { proxy_of, ..RegistrySetup::default() });
    let pulled = Skopeo::new().raw_manifest(&format!("{}/library/app@{digest}", peer.host())).expect_success();
    assert_eq!(pulled.as_bytes(), image.manifest.bytes);
    assert_eq!(upstream.gets_for(&digest), 1);
}

#[test]
fn stopped_it_refuses_and_started_again_it_has_its_images() {
    let mut peer = RegistryPeer::start_plain();
    peer.push("a", "1", &Image::small(1, 10));
    peer.stop();
    assert!(plain_http::get(&peer.host(), "/v2/").is_none());
    peer.start();
    let tags = plain_http::get(&peer.host(), "/v2/a/tags/list").expect("it answers").text();
    assert_eq!(tags, "{\"name\":\"a\",\"tags\":[\"1\"]}\n");
}
