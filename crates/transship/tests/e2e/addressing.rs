//! The ways to say which repository is meant: key, upstream host, `ns`, host name, port.
//!
//! Must not know: routing. Invariant: which upstream was asked is read from the upstreams' own logs.

use serde_json::{Value, json};
use testkit::clients::{Docker, Podman};
use testkit::hello_program;
use testkit::image::{Dialect, Image};
use testkit::port;
use testkit::upstream::FakeUpstream;

use crate::http;
use crate::lab::{Lab, NAME};
use crate::pull_through::one_at_a_time;

/// A second upstream, which is the repository `mirror` with a host name and a port of its own.
async fn with_mirror(more: Value) -> (Lab, FakeUpstream, u16) {
    let lab = Lab::start();
    let (second, own_port) = (FakeUpstream::start(), port::free_port());
    let mut document = json!({
        "key": "mirror", "upstream": second.url(), "internal": true,
        "hosts": ["hub.mirror.example"], "listen": format!("127.0.0.1:{own_port}"),
    });
    document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let created = lab.api("POST", "/api/repos", Some(document)).await;
    assert_eq!(created.status, 201, "{}", created.text());
    lab.eventually("the repository listens", || std::net::TcpStream::connect(("127.0.0.1", own_port)).is_ok()).await;
    (lab, second, own_port)
}

#[tokio::test(flavor = "multi_thread")]
async fn all_addresses_of_a_repository_lead_to_its_upstream() {
    let (lab, second, own_port) = with_mirror(json!({})).await;
    let (first_image, second_image) = (Image::small(1, 10), Image::small(2, 10));
    lab.upstream.add_image(NAME, "1", &first_image);
    second.add_image(NAME, "1", &second_image);
    let main = lab.transship.url();
    let own = format!("http://127.0.0.1:{own_port}");
    let (first_host, second_host) = (lab.upstream.host(), second.host());
    let mirror_host: &[(&str, &str)] = &[("Host", "hub.mirror.example")];
    let mirror_host_port: &[(&str, &str)] = &[("Host", "HUB.mirror.example:5000")];
    // Address, headers, whether the second upstream answers, the namespace that is echoed.
    let no_header: &[(&str, &str)] = &[];
    let cases = [
        (format!("{main}/v2/lab/{NAME}/manifests/1"), no_header, false, ""),
        (format!("{main}/v2/mirror/{NAME}/manifests/1"), no_header, true, ""),
        (format!("{main}/v2/{first_host}/{NAME}/manifests/1"), no_header, false, ""),
        (format!("{main}/v2/{second_host}/{NAME}/manifests/1"), no_header, true, ""),
        (format!("{main}/v2/{NAME}/manifests/1?ns={first_host}"), no_header, false, &first_host),
        (format!("{main}/v2/{NAME}/manifests/1?ns={second_host}"), no_header, true, &second_host),
        (format!("{main}/v2/{NAME}/manifests/1"), mirror_host, true, ""),
        (format!("{main}/v2/{NAME}/manifests/1"), mirror_host_port, true, ""),
        (format!("{own}/v2/{NAME}/manifests/1"), no_header, true, ""),
        (format!("{own}/v2/{NAME}/manifests/1?ns={second_host}"), no_header, true, &second_host),
        (format!("{own}/v2/{NAME}/manifests/1?ns={first_host}"), no_header, false, &first_host),
    ];
    for (url, headers, is_second, namespace) in cases {
        let answer = http::send(&lab.client, "GET", &url, headers, Vec::new()).await;
        let expected = if is_second { &second_image } else { &first_image };
        assert_eq!((answer.status, answer.body == expected.manifest.bytes), (200, true), "{url}: {}", answer.text());
        assert_eq!(answer.header("oci-namespace"), namespace, "{url}");
        assert_eq!(answer.header("docker-content-digest"), expected.digest().to_string(), "{url}");
    }
    for url in [
        format!("{main}/v2/{NAME}/manifests/1"),
        format!("{main}/v2/{NAME}/manifests/1?ns=unknown.example"),
        format!("{main}/v2/unknown.example/{NAME}/manifests/1"),
    ] {
        let answer = http::send(&lab.client, "GET", &url, &[], Vec::new()).await;
        assert_eq!((answer.status, answer.json()["errors"][0]["code"] == "NAME_UNKNOWN"), (404, true), "{url}");
        assert!(answer.error_messages().contains("lab, mirror"), "it says what there is: {}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_goes_with_its_repository_and_comes_back_after_a_restart() {
    let (mut lab, second, own_port) = with_mirror(json!({})).await;
    let image = Image::small(1, 10);
    second.add_image("app", "1", &image);
    lab.transship.start_again();
    let url = format!("http://127.0.0.1:{own_port}/v2/app/manifests/1");
    lab.eventually("it listens again", || std::net::TcpStream::connect(("127.0.0.1", own_port)).is_ok()).await;
    assert_eq!(http::send(&lab.client, "GET", &url, &[], Vec::new()).await.body, image.manifest.bytes);
    assert_eq!(lab.api("DELETE", "/api/repos/mirror", None).await.status, 204);
    lab.eventually("nobody listens any more", || std::net::TcpStream::connect(("127.0.0.1", own_port)).is_err()).await;
    assert_eq!(lab.get("/v2/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_segment_names_get_library_where_the_repository_says_so() {
    let (lab, second, own_port) = with_mirror(json!({ "library_prefix": true })).await;
    let image = Image::small(1, 10);
    second.add_image("library/alpine", "1", &image);
    for url in [
        lab.url("/v2/mirror/alpine/manifests/1"),
        lab.url("/v2/mirror/library/alpine/manifests/1"),
        format!("http://127.0.0.1:{own_port}/v2/alpine/manifests/1"),
    ] {
        let answer = http::send(&lab.client, "GET", &url, &[], Vec::new()).await;
        assert_eq!((answer.status, answer.body == image.manifest.bytes), (200, true), "{url}: {}", answer.text());
    }
    assert_eq!(second.gets_for(&image.digest()), 0);
    assert!(second.requests().iter().all(|request| request.path.starts_with("/v2/library/alpine/")));
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_uses_it_as_its_registry_mirror() {
    let _turn = one_at_a_time().await;
    let (lab, second, own_port) = with_mirror(json!({})).await;
    second.add_image("library/hello", "1", &hello_program::image(Dialect::Docker));
    let docker = Docker::start(&json!({ "registry-mirrors": [format!("http://127.0.0.1:{own_port}")] }));
    docker.pull("hello:1").expect_success();
    assert_eq!(docker.run("hello:1", &[]).expect_success(), "hello\n");
    let line = lab.request_lines().into_iter().find(|line| line["path"] == "/v2/library/hello/manifests/1");
    assert_eq!(line.unwrap()["repo_key"], "mirror");
}

#[tokio::test(flavor = "multi_thread")]
async fn podman_uses_it_as_a_mirror_in_registries_conf() {
    let _turn = one_at_a_time().await;
    let (lab, second, _) = with_mirror(json!({})).await;
    second.add_image("team/hello", "1", &hello_program::image(Dialect::Oci));
    let location = format!("{}/mirror", lab.transship.host());
    let podman = Podman::start(&format!(
        "[[registry]]\nlocation = \"registry.example\"\n[[registry.mirror]]\nlocation = \"{location}\"\ninsecure = true\n"
    ));
    podman.pull("registry.example/team/hello:1").expect_success();
    assert_eq!(podman.run("registry.example/team/hello:1", &[]).expect_success(), "hello\n");
}
