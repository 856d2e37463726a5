//! Headers that an upstream adds: a client gets those that belong to the content, written by us, and no others.
//!
//! Must not know: how answers are made. Invariant: every header of an answer is on the list here.

use testkit::image::Image;
use testkit::upstream::{Fault, Target};

use crate::http;
use crate::lab::{Lab, NAME};

/// Every header that an answer with content may have.
const OURS: [&str; 18] = [
    "accept-ranges",
    "age",
    "cache-control",
    "cache-status",
    "connection",
    "content-length",
    "content-range",
    "content-type",
    "date",
    "docker-content-digest",
    "docker-distribution-api-version",
    "etag",
    "link",
    "server",
    "vary",
    "warning",
    "x-content-type-options",
    "x-request-id",
];

const EVIL: &str = "canary-evil-5c";

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_upstream_adds_is_passed_on() {
    let lab = Lab::start();
    let image = Image::small(1, 400_000);
    lab.upstream.add_image(NAME, "1", &image);
    let added = [
        ("Set-Cookie", EVIL),
        ("Connection", "X-Auth"),
        ("X-Auth", EVIL),
        ("Keep-Alive", EVIL),
        ("Trailer", "X-Auth"),
        ("Upgrade", "h2c"),
        ("Location", "https://evil.example/canary-evil-5c"),
        ("Refresh", "0; url=https://evil.example/canary-evil-5c"),
        ("Clear-Site-Data", "\"*\""),
        ("Access-Control-Allow-Origin", "*"),
        ("Strict-Transport-Security", "max-age=1"),
        ("Warning", "299 - \"canary-evil-5c\""),
        ("Cache-Control", "public, max-age=99999999"),
        ("Age", "12345"),
        ("Server", EVIL),
        ("Via", EVIL),
        ("X-Split", "a\r\nX-Injected: canary-evil-5c"),
    ];
    for (name, value) in added {
        lab.upstream.fault(Target::any(), Fault::AddHeader(name.into(), value.into()));
    }
    let layer = image.blobs[1].digest;
    for path in [Lab::manifest_path("1"), Lab::blob_path(&layer), format!("/v2/lab/{NAME}/tags/list")] {
        for _ in ["cold", "warm"] {
            for method in ["GET", "HEAD"] {
                if method == "HEAD" && path.ends_with("/tags/list") {
                    continue;
                }
                let answer = http::send(&lab.client, method, &lab.url(&path), &[], Vec::new()).await;
                assert_eq!(answer.status, 200, "{method} {path}: {}", answer.text());
                let text = format!("{:?}", answer.headers);
                assert!(!text.contains(EVIL), "{method} {path}: {text}");
                let strangers: Vec<_> = answer
                    .headers
                    .keys()
                    .map(reqwest::header::HeaderName::as_str)
                    .filter(|name| !OURS.contains(name))
                    .collect();
                assert!(strangers.is_empty(), "{method} {path}: {strangers:?}");
                assert_ne!(answer.header("age"), "12345");
            }
        }
    }
    // What it says in an error is quoted inside the body, as one JSON text.
    let words = format!("no\r\nX-Injected: {EVIL}");
    let headers =
        vec![("Content-Type".to_owned(), "text/plain".to_owned()), ("Set-Cookie".to_owned(), EVIL.to_owned())];
    lab.upstream.fault(Target::manifest("2"), Fault::Reply(403, headers, words.into()));
    let refused = lab.get(&Lab::manifest_path("2")).await;
    assert_eq!(refused.status, 403);
    let text = format!("{:?}", refused.headers).to_lowercase();
    assert!(!text.contains(EVIL) && !text.contains("x-injected") && !text.contains("cookie"), "{text}");
    assert!(refused.json()["errors"][0]["detail"].is_object());
}

#[tokio::test(flavor = "multi_thread")]
async fn lengths_that_contradict_each_other_are_no_answer() {
    let lab = Lab::start();
    let image = Image::small(2, 400_000);
    lab.upstream.add_image(NAME, "1", &image);
    lab.upstream.fault(Target::any(), Fault::AddHeader("Content-Length".into(), "5".into()));
    for path in [Lab::manifest_path("1"), Lab::blob_path(&image.blobs[1].digest)] {
        let answer = lab.get(&path).await;
        assert_eq!(answer.status, 502, "{path}: {}", answer.text());
    }
    lab.upstream.clear_faults();
    lab.upstream.fault(Target::any(), Fault::AddHeader("Transfer-Encoding".into(), "chunked".into()));
    for path in [Lab::manifest_path("1"), Lab::blob_path(&image.blobs[1].digest)] {
        let answer = lab.get(&path).await;
        let whole = answer.status == 200 && answer.is_whole();
        assert!(!whole, "{path}: a body that is no chunk was taken for one");
    }
}
