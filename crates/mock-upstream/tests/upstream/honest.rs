//! Without faults the upstream is a correct registry.

use mock_upstream::image::{self, Dialect, Image, ImageBuilder, Platform, blob};
use mock_upstream::upstream::{FakeUpstream, Fault, Gate, Target};

use crate::raw_client::{ask, get, get_range, open, rest};

#[test]
fn an_image_is_answered_byte_for_byte() {
    let upstream = FakeUpstream::start();
    let image = Image::small(1, 1000);
    let digest = upstream.add_image("library/app", "1", &image);
    for reference in ["1".to_owned(), digest.to_string()] {
        let seen = get(&upstream, &format!("/v2/library/app/manifests/{reference}"));
        assert_eq!((seen.status, seen.body.as_slice()), (200, &image.manifest.bytes[..]));
        assert_eq!(seen.header("docker-content-digest"), Some(digest.to_string().as_str()));
        assert_eq!(seen.header("content-type"), Some(image.manifest.media_type.as_str()));
    }
    for part in &image.blobs {
        assert_eq!(get(&upstream, &format!("/v2/library/app/blobs/{}", part.digest)).body, part.bytes);
    }
}

#[test]
fn head_names_the_length_and_sends_no_body() {
    let upstream = FakeUpstream::start();
    let digest = upstream.add_blob("app", blob(1, 1000));
    let seen = ask(&upstream, "HEAD", &format!("/v2/app/blobs/{digest}"), &[]);
    assert_eq!((seen.status, seen.header("content-length"), seen.body.len()), (200, Some("1000"), 0));
    assert_eq!((upstream.heads_for(&digest), upstream.gets_for(&digest), upstream.bytes_sent_for(&digest)), (1, 0, 0));
}

#[test]
fn ranges_are_exact() {
    let upstream = FakeUpstream::start();
    let bytes = blob(2, 2048);
    let path = format!("/v2/app/blobs/{}", upstream.add_blob("app", bytes.clone()));
    for (asked, said, part) in [
        ("bytes=500-1499", "bytes 500-1499/2048", 500..1500),
        ("bytes=2000-", "bytes 2000-2047/2048", 2000..2048),
        ("bytes=-51", "bytes 1997-2047/2048", 1997..2048),
        ("bytes=2000-5000", "bytes 2000-2047/2048", 2000..2048),
    ] {
        let seen = get_range(&upstream, &path, asked);
        assert_eq!((seen.status, seen.header("content-range")), (206, Some(said)), "{asked}");
        assert_eq!(seen.body, bytes[part], "{asked}");
    }
    let outside = get_range(&upstream, &path, "bytes=5000-");
    assert_eq!((outside.status, outside.header("content-range")), (416, Some("bytes */2048")));
}

#[test]
fn unknown_things_are_404_with_the_error_body() {
    let upstream = FakeUpstream::start();
    upstream.add_image("app", "1", &Image::small(1, 10));
    for (path, code) in [
        ("/v2/app/manifests/2", "MANIFEST_UNKNOWN"),
        ("/v2/none/manifests/1", "NAME_UNKNOWN"),
        ("/v2/none/tags/list", "NAME_UNKNOWN"),
        ("/v2/app/blobs/sha256:00", "BLOB_UNKNOWN"),
    ] {
        let seen = get(&upstream, path);
        assert_eq!(seen.status, 404, "{path}");
        assert!(String::from_utf8_lossy(&seen.body).contains(code), "{path}");
    }
}

#[test]
fn a_known_etag_is_not_sent_again() {
    let upstream = FakeUpstream::start();
    let digest = upstream.add_image("app", "1", &Image::small(1, 10));
    let seen = ask(&upstream, "GET", "/v2/app/manifests/1", &[("If-None-Match", &format!("\"{digest}\""))]);
    assert_eq!((seen.status, seen.body.len()), (304, 0));
}

#[test]
fn tags_are_listed_in_pages() {
    let upstream = FakeUpstream::start();
    let image = Image::small(1, 10);
    for tag in ["a", "b", "c"] {
        upstream.add_image("app", tag, &image);
    }
    let first = get(&upstream, "/v2/app/tags/list?n=2");
    assert_eq!(first.body, br#"{"name":"app","tags":["a","b"]}"#);
    assert_eq!(first.header("link"), Some("</v2/app/tags/list?last=b&n=2>; rel=\"next\""));
    let last = get(&upstream, "/v2/app/tags/list?last=b&n=2");
    assert_eq!((last.body.as_slice(), last.header("link")), (&br#"{"name":"app","tags":["c"]}"#[..], None));
}

#[test]
fn a_moved_tag_and_a_deleted_tag_are_seen_at_once() {
    let upstream = FakeUpstream::start();
    upstream.add_image("app", "1", &Image::small(1, 10));
    let other = Image::small(2, 10);
    upstream.add_image("app", "1", &other);
    assert_eq!(get(&upstream, "/v2/app/manifests/1").body, other.manifest.bytes);
    upstream.delete_tag("app", "1");
    assert_eq!(get(&upstream, "/v2/app/manifests/1").status, 404);
    assert_eq!(get(&upstream, &format!("/v2/app/manifests/{}", other.digest())).status, 200);
}

#[test]
fn an_index_brings_its_children_and_a_subject_its_descriptor() {
    let upstream = FakeUpstream::start();
    let arm = ImageBuilder::new().dialect(Dialect::Docker).platform(Platform::new("linux", "arm64")).build();
    let children = vec![
        (Platform::new("linux", "amd64"), Image::small(1, 10)),
        (Platform { os: "linux".into(), architecture: "arm64".into(), variant: Some("v8".into()) }, arm.clone()),
    ];
    let list = image::index(Dialect::Docker, children);
    upstream.add_image("app", "1", &list);
    assert_eq!(get(&upstream, &format!("/v2/app/manifests/{}", arm.digest())).body, arm.manifest.bytes);
    let signature = image::artifact("application/vnd.example.signature", "signed", Some(&list.manifest));
    assert!(String::from_utf8_lossy(&signature.manifest.bytes).contains(&list.digest().to_string()));
}

#[test]
fn builders_are_deterministic() {
    let build = || ImageBuilder::new().file("etc/a", b"1").end_layer().program("bin/b", b"2").end_layer().build();
    assert_eq!(build().digest(), build().digest());
    assert_eq!(build().layers().len(), 2);
    assert_eq!(blob(7, 100), blob(7, 1000).slice(..100));
    assert_ne!(blob(7, 100), blob(8, 100));
}

#[test]
fn a_stopped_upstream_refuses_and_a_restarted_one_keeps_its_port() {
    let mut upstream = FakeUpstream::start();
    let digest = upstream.add_blob("app", blob(1, 10));
    let port = upstream.port();
    upstream.stop();
    let refused = std::net::TcpStream::connect(upstream.host()).expect_err("nobody listens");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    upstream.restart();
    assert_eq!(upstream.port(), port);
    assert_eq!(get(&upstream, &format!("/v2/app/blobs/{digest}")).status, 200);
}

#[test]
fn stopping_cuts_answers_under_way() {
    let mut upstream = FakeUpstream::start();
    let digest = upstream.add_blob("app", blob(1, 10_000));
    let gate = Gate::new();
    upstream.fault(Target::any(), Fault::StallAfter(5_000, gate));
    let mut socket = open(&upstream, "GET", &format!("/v2/app/blobs/{digest}"), &[]);
    std::io::Read::read_exact(&mut socket, &mut [0; 5_000]).expect("the first half arrives");
    upstream.stop();
    assert!(rest(socket).0.len() < 5_500, "the second half never arrives");
}
