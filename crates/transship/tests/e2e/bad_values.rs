//! Well-formed requests with nonsense in them: ranges, conditions, management documents.
//!
//! Must not know: parsers. Invariants: a header that makes no sense never breaks a pull; a document that makes no sense
//! changes nothing.

use crate::http;
use crate::lab::Lab;
use crate::refusals::{check_error_body, lives};

#[tokio::test(flavor = "multi_thread")]
async fn malformed_ranges_and_conditions_never_break_a_pull() {
    let lab = Lab::start();
    let bytes = testkit::image::blob(1, 2048);
    let digest = lab.upstream.add_blob(crate::lab::NAME, bytes.clone());
    let path = Lab::blob_path(&digest);
    assert_eq!(lab.get(&path).await.body, bytes);
    let many = format!("bytes={}", (0..2000).map(|n| format!("{n}-{n}")).collect::<Vec<_>>().join(","));
    for (header, value, statuses) in [
        ("Range", "bytes=-", &[200][..]),
        ("Range", "bytes=5-x", &[200]),
        ("Range", "bytes=--5", &[200]),
        ("Range", "bytes=99999999999999999999999-", &[200, 416]),
        ("Range", "bytes=0-99999999999999999999999", &[200, 206]),
        ("Range", "bytes=18446744073709551615-", &[416]),
        ("Range", "bytes=-18446744073709551616", &[200, 206]),
        ("Range", "bytes=0-0,0-0,0-0,0-0", &[200, 206]),
        ("Range", "bytes=,,,", &[200]),
        ("Range", "\u{e9}=0-1", &[200]),
        ("Range", &many, &[200, 206, 416]),
        ("If-Range", "", &[200]),
        ("If-Range", "\"", &[200]),
        ("If-None-Match", "\"", &[200]),
        ("If-None-Match", "sha256:abc", &[200]),
        ("If-None-Match", ",,,", &[200]),
        ("Accept", "\"", &[200]),
        ("Accept-Encoding", ";;;q=", &[200]),
        ("traceparent", "00-zz-zz-zz", &[200]),
        ("X-Request-Id", "a b <script>", &[200]),
    ] {
        let answer = lab.get_with(&path, &[(header, value)]).await;
        assert!(statuses.contains(&answer.status) && answer.is_whole(), "{header}: {value:.60}: {}", answer.status);
        if answer.status == 200 {
            assert_eq!(answer.body, bytes, "{header}: {value:.60}");
        }
    }
    assert_eq!(lab.get("/healthz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_management_bodies_are_refused() {
    let lab = Lab::start();
    let authorization = format!("Bearer {}", lab.transship.admin_token());
    let deep = "[".repeat(200_000);
    let large = format!("{{\"key\": \"{}\"}}", "x".repeat(2 << 20));
    let cases: Vec<(&str, &str, &[u8], &[u16])> = vec![
        ("application/json", "", b"", &[400]),
        ("application/json", "", b"{", &[400]),
        ("application/json", "", b"null", &[400]),
        ("application/json", "", b"[]", &[400]),
        ("application/json", "", b"\"x\"", &[400]),
        ("application/json", "", b"{}{}", &[400]),
        ("application/json", "", b"\xff\xfe", &[400]),
        ("application/json", "", b"{\"key\":\"a\",\"upstream\":\"https://x\"", &[400]),
        ("application/json", "", deep.as_bytes(), &[400]),
        ("application/json", "", large.as_bytes(), &[413]),
        ("text/plain", "", b"{\"key\":\"a\",\"upstream\":\"https://registry.example\"}", &[415]),
        ("application/yaml", "", b"key: a", &[415]),
        // What `curl -d` says when it is told nothing; the content is not JSON all the same.
        ("application/x-www-form-urlencoded", "", b"key=a", &[400]),
        ("", "", b"key: a", &[400]),
        ("application/json", "/%2e%2e", b"{}", &[400, 404, 405]),
        ("application/json", "/UPPER", b"{}", &[400, 405]),
        ("application/json", "/a%00b", b"{}", &[400, 405]),
        ("application/json", "/a/b", b"{}", &[404, 405]),
        ("application/json", "/%ff", b"{}", &[400, 405]),
    ];
    for (content_type, below, body, statuses) in cases {
        let url = lab.url(&format!("/api/repos{below}"));
        let method = if below.is_empty() { "POST" } else { "PUT" };
        let mut headers = vec![("Authorization", authorization.as_str())];
        headers.extend((!content_type.is_empty()).then_some(("Content-Type", content_type)));
        let answer = http::send(&lab.client, method, &url, &headers, body.to_vec()).await;
        let what = format!("{content_type} {below} {:.60}", String::from_utf8_lossy(body));
        assert!(statuses.contains(&answer.status), "{what}: {} {}", answer.status, answer.text());
        check_error_body(&what, "content-type: application/json", &answer.text(), "");
    }
    let repositories = lab.api("GET", "/api/repos", None).await.json();
    assert!(repositories.as_array().unwrap().iter().all(|repo| repo["source"] != "api"), "{repositories}");
    lives(&lab).await;
}
