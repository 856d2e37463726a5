//! Tags over HTTP: freshness and staleness as clients and caches in front see them, and lists of tags.
//!
//! Must not know: how tags are kept. Invariant: what upstream was asked is read from its log.

use serde_json::json;
use testkit::image::{self, Dialect, Image, Platform};
use testkit::upstream::{Fault, Kind, Target};

use crate::http;
use crate::lab::{Lab, NAME};

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_tag_may_be_kept_for_its_time_and_a_digest_for_ever() {
    let lab = Lab::start();
    let image = Image::small(1, 10);
    let digest = lab.upstream.add_image(NAME, "1", &image);
    for _ in ["cold", "warm"] {
        let tag = lab.get(&Lab::manifest_path("1")).await;
        let seconds: u64 = tag.header("cache-control").strip_prefix("public, max-age=").unwrap().parse().unwrap();
        assert!((290..=300).contains(&seconds), "{seconds}");
        assert_eq!(tag.header("vary"), "Accept");
        assert!(tag.header("age").parse::<u64>().is_ok_and(|age| age < 60), "{:?}", tag.headers);
        assert_eq!(tag.header("etag"), format!("\"{digest}\""));
        let by_digest = lab.get(&Lab::manifest_path(&digest.to_string())).await;
        assert_eq!(by_digest.header("cache-control"), "public, max-age=31536000, immutable");
        assert_eq!(by_digest.body, image.manifest.bytes);
    }
    let unchanged = lab.get_with(&Lab::manifest_path("1"), &[("If-None-Match", &format!("\"{digest}\""))]).await;
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    assert_eq!(lab.upstream.requests().len(), 1, "a tag inside its time asks nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_short_way_to_a_manifest_answers_as_the_long_one_does() {
    let lab = Lab::start();
    let image = Image::small(1, 10);
    lab.upstream.add_image(NAME, "1", &image);
    let path = Lab::manifest_path("1");
    assert_eq!(lab.get(&path).await.header("cache-status"), "transship; fwd=uri-miss");
    for method in ["GET", "HEAD"] {
        let url = lab.url(&path);
        let ask = |headers: &'static [(&str, &str)]| http::send(&lab.client, method, &url, headers, Vec::new());
        // A condition that does not hold makes a request unusual and changes nothing about its answer.
        let [mut short, mut long] = [ask(&[]).await, ask(&[("If-None-Match", "\"other\"")]).await];
        assert!(short.body == long.body, "{method}");
        for answer in [&mut short, &mut long] {
            assert_eq!((answer.status, answer.header("cache-status")), (200, "transship; hit"), "{method}");
            for differs in ["x-request-id", "age", "date"] {
                assert!(answer.headers.remove(differs).is_some_and(|value| !value.is_empty()), "{method} {differs}");
            }
        }
        assert_eq!(short.headers, long.headers, "{method}");
    }
    assert_eq!(lab.upstream.requests().len(), 1);
    let text = lab.get("/metrics").await.text();
    let hits = text.lines().find(|line| line.starts_with("transship_pulls_total") && line.contains("outcome=\"hit\""));
    assert!(hits.is_some_and(|line| line.ends_with(" 4")), "{hits:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_of_every_kind_come_byte_for_byte() {
    let lab = Lab::start();
    let child = |seed| image::ImageBuilder::new().file("seed", &[seed]).end_layer().build();
    let children = || vec![(Platform::new("linux", "amd64"), child(1)), (Platform::new("linux", "arm64"), child(2))];
    let docker = image::ImageBuilder::new().dialect(Dialect::Docker).file("a", b"b").end_layer().build();
    let images = [
        ("oci", child(1)),
        ("docker", docker),
        ("index", image::index(Dialect::Oci, children())),
        ("list", image::index(Dialect::Docker, children())),
        ("artifact", image::artifact("application/vnd.example.thing", "payload", None)),
    ];
    for (tag, image) in &images {
        lab.upstream.add_image(NAME, tag, image);
        for path in [Lab::manifest_path(tag), Lab::manifest_path(&image.digest().to_string())] {
            let got = lab.get(&path).await;
            assert_eq!((got.status, got.body == image.manifest.bytes), (200, true), "{path}");
            assert_eq!(got.header("content-type"), image.manifest.media_type, "{path}");
            let head = http::send(&lab.client, "HEAD", &lab.url(&path), &[], Vec::new()).await;
            assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
            for name in ["content-type", "docker-content-digest", "etag", "content-length"] {
                assert_eq!(head.header(name), got.header(name), "{name} of HEAD {path}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_tag_says_so_and_a_deleted_one_is_gone() {
    let mut lab = Lab::with_repository(json!({ "tag_ttl": "0s" }));
    let image = Image::small(1, 10);
    lab.upstream.add_image(NAME, "1", &image);
    assert_eq!(lab.get(&Lab::manifest_path("1")).await.status, 200);
    for fault in [Fault::status(500), Fault::too_many_requests(Some("1")), Fault::status(403)] {
        lab.upstream.fault(Target::kind(Kind::Manifest), fault.clone());
        let stale = lab.get(&Lab::manifest_path("1")).await;
        assert_eq!((stale.status, stale.body == image.manifest.bytes), (200, true), "{fault:?}: {}", stale.text());
        assert!(stale.header("warning").starts_with("299 - \"stale: "), "{fault:?}: {:?}", stale.headers);
        assert_eq!(stale.header("cache-control"), "no-cache", "{fault:?}");
        assert!(stale.header("age").parse::<u64>().is_ok(), "{fault:?}");
        lab.upstream.clear_faults();
        lab.transship.start_again();
    }
    lab.upstream.delete_tag(NAME, "1");
    let gone = lab.get(&Lab::manifest_path("1")).await;
    assert_eq!((gone.status, gone.json()["errors"][0]["code"] == "MANIFEST_UNKNOWN"), (404, true), "{}", gone.text());
    lab.upstream.stop();
    assert_eq!(
        lab.get(&Lab::manifest_path(&image.digest().to_string())).await.status,
        200,
        "by digest it is still here"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_of_upstream_have_the_status_that_makes_clients_do_the_right_thing() {
    let lab = Lab::start();
    let cases = [
        (Fault::status(401), 403, "DENIED"),
        (Fault::status(403), 403, "DENIED"),
        (Fault::status(404), 404, "MANIFEST_UNKNOWN"),
        (Fault::status(500), 502, "UNKNOWN"),
        (Fault::status(503), 502, "UNKNOWN"),
        (Fault::html_page(), 502, "UNKNOWN|MANIFEST_INVALID"),
        // The last: the upstream's wish is heeded for whatever is asked after it.
        (Fault::too_many_requests(Some("7")), 429, "TOOMANYREQUESTS"),
    ];
    for (number, (fault, status, code)) in cases.into_iter().enumerate() {
        let tag = format!("case-{number}");
        lab.upstream.fault(Target::manifest(&tag), fault.clone());
        let answer = lab.get(&Lab::manifest_path(&tag)).await;
        let error = &answer.json()["errors"][0];
        assert_eq!(answer.status, status, "{fault:?}: {error}");
        assert!(code.split('|').any(|code| error["code"] == code), "{fault:?}: {error}");
        assert_eq!(error["detail"]["upstream"], lab.upstream.url(), "{fault:?}");
        assert_eq!(error["detail"]["repo_key"], "lab", "{fault:?}");
        assert_eq!(answer.header("cache-control"), "no-store", "{fault:?}");
        assert_eq!(!answer.header("retry-after").is_empty(), status == 429, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_paged_with_links_that_work() {
    let mut lab = Lab::start();
    let image = Image::small(1, 10);
    let wanted: Vec<String> = (0..25).map(|number| format!("v{number:02}")).collect();
    for tag in &wanted {
        lab.upstream.add_image(NAME, tag, &image);
    }
    let list = format!("/v2/lab/{NAME}/tags/list");
    let whole = lab.get(&list).await;
    assert_eq!(whole.json(), json!({ "name": format!("lab/{NAME}"), "tags": wanted }));
    assert_eq!(walk(&lab, &list, "miss").await, (wanted.clone(), 3));

    let pulled = &wanted[3..15];
    for tag in pulled {
        assert_eq!(lab.get(&Lab::manifest_path(tag)).await.status, 200);
    }
    lab.upstream.stop();
    let stale = lab.get(&list).await;
    assert!(stale.header("warning").starts_with("299 - \"stale: "), "a list of what was pulled says that it is one");
    assert_eq!(walk(&lab, &list, "stale").await, (pulled.to_vec(), 2));
    assert_eq!(lab.get(&format!("{list}?n=0")).await.json()["tags"], json!([]));
    let unknown = lab.get("/v2/lab/no/such/tags/list").await;
    assert_eq!(unknown.status, 502, "nothing is known of it and nobody can be asked: {}", unknown.text());
}

/// Follows the links of a list in pages of ten: the tags, and the number of pages.
async fn walk(lab: &Lab, list: &str, outcome: &str) -> (Vec<String>, usize) {
    let (mut path, mut seen, mut pages) = (format!("{list}?n=10"), Vec::new(), 0);
    loop {
        let page = lab.get(&path).await;
        assert_eq!(page.status, 200, "{}", page.text());
        assert!(page.header("cache-status").contains(if outcome == "stale" { "fwd=stale" } else { "fwd=uri-miss" }));
        seen.extend(page.json()["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap().to_owned()));
        pages += 1;
        let link = page.header("link");
        let Some(next) = link.strip_prefix('<').and_then(|rest| rest.strip_suffix(">; rel=\"next\"")) else { break };
        next.clone_into(&mut path);
    }
    (seen, pages)
}
