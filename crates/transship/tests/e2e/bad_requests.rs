//! Malformed and hostile requests, byte for byte: each gets a clear 4xx, and the program lives on.
//!
//! Must not know: parsers. Invariant: where a request was HTTP, the answer carries the error body of the distribution
//! spec; none is ever a 5xx, and none reaches the upstream.

use serde_json::Value;

use crate::http;
use crate::lab::{Lab, LabSetup};

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A GET of this target with usual headers.
fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
}

/// A GET of a good path with these header lines.
fn with_headers(lines: &str) -> String {
    format!("GET /v2/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n\r\n")
}

/// Targets below `/v2/` that are no names, references, digests or queries; the code of each answer.
fn targets() -> Vec<(String, &'static str)> {
    let long = "a".repeat(300);
    let manifest = |name: &str| format!("/v2/{name}/manifests/latest");
    let tag = |tag: &str| format!("/v2/lab/app/manifests/{tag}");
    let blob = |digest: &str| format!("/v2/lab/app/blobs/{digest}");
    let tags = |query: &str| format!("/v2/lab/app/tags/list?{query}");
    let mut cases = vec![];
    for name in [
        "lab//app", "lab/../app", "lab/./app", "lab/app/..", "../lab/app", "lab/%2e%2e/app", "lab/app%2Fother", "lab%2fapp",
        "lab/app%00", "lab/%", "lab/%zz", "lab/%252e", "lab/App", "lab/-app", "lab/app-", "lab/a__-b", "lab/a...b", "lab/a b",
        "lab/app;v=1", "lab/app\\other", "lab/\u{e9}", "lab/app@1", "lab/app:1", "lab/%20", "lab/app%0d%0aX-Evil:1", "LAB/app",
        "lab/.hidden", "lab/_", &format!("lab/{long}"),
    ] {
        cases.push((manifest(name), "NAME_INVALID"));
    }
    for name in [".latest", "-latest", "la%20test", "lat%2Fest", "v1!", "v1*", "a@b", &"t".repeat(129), "%00", "lätest"] {
        cases.push((tag(name), "TAG_INVALID|NAME_INVALID"));
    }
    let hex = &DIGEST["sha256:".len()..];
    for digest in [
        "sha256:", "sha256:abc", "sha256", hex, &format!("sha256:{hex}0"), &format!("sha256:{}", hex.to_uppercase()),
        &format!("md5:{hex}"), &format!("sha512:{hex}"), &format!("sha256:{}", "g".repeat(64)), &format!("sha256%3A{}", &hex[..63]),
        "..", &format!("sha256:{hex}%00"), "latest", ":", &format!("sha256:sha256:{hex}"),
    ] {
        cases.push((blob(digest), "DIGEST_INVALID|NAME_INVALID"));
    }
    for reference in ["sha256:abc", &format!("sha256:{hex}/"), &format!("sha1:{hex}"), "latest/", "a:b"] {
        cases.push((tag(reference), "DIGEST_INVALID|TAG_INVALID|NAME_INVALID|UNSUPPORTED"));
    }
    for query in [
        "n=-1", "n=abc", "n=", "n=1.5", "n=99999999999999999999999", "n=1&n=2", "n=%00", "n=%", "last=%00", "last=%ff",
        "last=a&last=b", "ns=", "ns=a%20b", "ns=http://x", "ns=docker.io&ns=quay.io", "ns=docker.io/x",
    ] {
        cases.push((tags(query), "UNSUPPORTED|TAG_INVALID|NAME_INVALID"));
    }
    for path in ["/v2/lab", "/v2/lab/app", "/v2/lab/app/", "/v2/lab/app/manifests", "/v2/lab/app/manifests/", "/v2/lab/app/blobs/",
        "/v2/lab/app/tags", "/v2/lab/app/tags/", "/v2/lab/app/tags/list/", "/v2//", "/v2/_catalog", "/v2/manifests/latest",
        "/v2/nosuch/app/manifests/latest", "/v1/", "/", "/nothing", "/v2x/", "/V2/", "/api/nothing", "/api/repos/", "/metrics/"] {
        cases.push((path.to_owned(), ""));
    }
    cases
}

/// Requests below the level of paths: framing, headers, methods.
fn requests() -> Vec<(&'static str, Vec<u8>)> {
    let body = "Content-Type: application/json\r\n";
    let mut cases: Vec<(&'static str, Vec<u8>)> = [
        ("no HTTP at all", "hello\r\n\r\n".to_owned()),
        ("binary", "\u{16}\u{3}\u{1}\u{2}\r\n\r\n".to_owned()),
        ("an unknown version", "GET /v2/ HTTP/9.9\r\nHost: localhost\r\n\r\n".to_owned()),
        ("no version", "GET /v2/\r\n\r\n".to_owned()),
        ("no target", "GET HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned()),
        ("a space in the target", "GET /v2/ x HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned()),
        ("no Host", "GET /v2/ HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned()),
        ("two Hosts", with_headers("Host: other")),
        ("a Host that is no host", "GET /v2/ HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n".to_owned()),
        ("a header without a colon", with_headers("Nonsense")),
        ("a space before the colon", with_headers("Name : value")),
        ("a folded header", with_headers("Name: a\r\n b")),
        ("NUL in a header", with_headers("Name: a\0b")),
        ("a bare CR in a header", with_headers("Name: a\rb")),
        ("a header name of odd letters", with_headers("N(ame): x")),
        ("an empty header name", with_headers(": x")),
        ("100 KiB in one header", with_headers(&format!("Name: {}", "x".repeat(100 << 10)))),
        ("1000 headers", with_headers(&(0..1000).map(|n| format!("H{n}: x")).collect::<Vec<_>>().join("\r\n"))),
        ("100 KiB of target", get(&format!("/v2/{}", "a".repeat(100 << 10)))),
        ("two Content-Lengths", "POST /api/repos HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}x".to_owned()),
        ("Content-Length and Transfer-Encoding", "POST /api/repos HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n".to_owned()),
        ("a Content-Length that is no number", "POST /api/repos HTTP/1.1\r\nHost: a\r\nContent-Length: two\r\n\r\n{}".to_owned()),
        ("a negative Content-Length", "POST /api/repos HTTP/1.1\r\nHost: a\r\nContent-Length: -2\r\n\r\n{}".to_owned()),
        ("an unknown Transfer-Encoding", "POST /api/repos HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: rot13\r\n\r\n{}".to_owned()),
        ("Transfer-Encoding in HTTP/1.0", "POST /api/repos HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned()),
        ("CONNECT", "CONNECT registry.example:443 HTTP/1.1\r\nHost: registry.example:443\r\nConnection: close\r\n\r\n".to_owned()),
        ("OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned()),
        ("TRACE", "TRACE /v2/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned()),
        ("a made-up method", "BREW /v2/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned()),
        ("PUT of a manifest", format!("PUT /v2/lab/app/manifests/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{body}Content-Length: 2\r\n\r\n{{}}")),
        ("POST of an upload", "POST /v2/lab/app/blobs/uploads/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".to_owned()),
        ("DELETE of a blob", format!("DELETE /v2/lab/app/blobs/{DIGEST} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")),
        ("POST to /metrics", "POST /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".to_owned()),
        ("an absolute target of another scheme", get("ftp://localhost/v2/nothing/app/manifests/1")),
    ]
    .into_iter()
    .map(|(name, text)| (name, text.into_bytes()))
    .collect();
    cases.push(("bytes beyond ASCII in the target", b"GET /v2/\xff\xfe/manifests/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_vec()));
    cases.push(("bytes beyond ASCII in Host", b"GET /v2/ HTTP/1.1\r\nHost: \xff\r\nConnection: close\r\n\r\n".to_vec()));
    cases
}

/// How many status lines there are in what came.
fn answers_in(bytes: &[u8]) -> usize {
    let status = |window: &[u8]| window.starts_with(b"HTTP/1.1 ") && window[9..].iter().all(u8::is_ascii_digit);
    bytes.windows(12).filter(|window| status(window)).count()
}

/// Status and body of a raw answer; `None` when the server closed without one.
fn read_answer(bytes: &[u8]) -> Option<(u16, String, String)> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ").or_else(|| head.strip_prefix("HTTP/1.0 "))?.get(..3)?.parse().ok()?;
    Some((status, head.to_ascii_lowercase(), body.to_owned()))
}

#[track_caller]
fn check_error_body(what: &str, head: &str, body: &str, codes: &str) {
    assert!(head.contains("content-type: application/json"), "{what}: {head}");
    let parsed: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{what}: {error} in {body:?}"));
    let error = &parsed["errors"][0];
    let code = error["code"].as_str().unwrap_or_default();
    assert!(!code.is_empty() && (codes.is_empty() || codes.split('|').any(|allowed| allowed == code)), "{what}: {body}");
    assert!(error["message"].as_str().is_some_and(|message| message.len() > 5), "{what}: {body}");
    assert!(error["detail"]["request_id"].as_str().is_some_and(|id| !id.is_empty()), "{what}: {body}");
}

async fn lives(lab: &Lab) {
    assert_eq!(lab.get("/healthz").await.status, 200);
    let log = lab.transship.log_text();
    assert!(!log.contains("panicked"), "{log}");
    let server_errors = lab.request_lines().into_iter().find(|line| line["status"].as_u64() >= Some(500));
    assert_eq!(server_errors, None);
    assert_eq!(lab.upstream.requests().len(), 0, "nothing of this is worth asking the upstream");
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_paths_are_refused_with_reasons() {
    let lab = Lab::start();
    let cases = targets();
    assert!(cases.len() > 60);
    for (target, codes) in cases {
        let request = get(&target);
        let bytes = http::raw(&lab.transship.host(), request.as_bytes(), |_| false).await;
        let Some((status, head, body)) = read_answer(&bytes) else { panic!("{target}: no answer") };
        assert!((400..500).contains(&status), "{target}: {status} {body}");
        // A target that is not even a URI is refused by the HTTP layer, without a body.
        if target.is_ascii() && !target.contains([' ', '\\']) {
            check_error_body(&target, &head, &body, codes);
        }
    }
    lives(&lab).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_http_is_refused_and_never_smuggled() {
    let lab = Lab::start();
    for (name, request) in requests() {
        let bytes = http::raw(&lab.transship.host(), &request, |_| false).await;
        let answers = answers_in(&bytes);
        assert!(answers <= 1, "{name}: one request, {answers} answers");
        let Some((status, head, body)) = read_answer(&bytes) else { continue };
        assert!((400..500).contains(&status), "{name}: {status} {body}");
        if !body.is_empty() {
            check_error_body(name, &head, &body, "");
        }
        assert_eq!(lab.get("/healthz").await.status, 200, "after {name}");
    }
    lives(&lab).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bare_line_feeds_split_nothing() {
    // RFC 9112 section 2.2 lets a server take a bare LF for a line's end; what it may not do is see two requests.
    let lab = Lab::start();
    for request in [
        "GET /v2/ HTTP/1.1\nHost: localhost\nConnection: close\n\n",
        "GET /v2/ HTTP/1.1\r\nHost: localhost\r\nX: a\nGET /metrics HTTP/1.1\r\nConnection: close\r\n\r\n",
    ] {
        let bytes = http::raw(&lab.transship.host(), request.as_bytes(), |_| false).await;
        let text = String::from_utf8_lossy(&bytes);
        assert!(answers_in(&bytes) <= 1, "{request:?}: {text}");
        assert!(!text.contains("transship_pulls"), "{request:?}");
    }
    lives(&lab).await;
}

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
    let lab = Lab::with(LabSetup::default());
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
        ("application/x-www-form-urlencoded", "", b"key=a", &[415]),
        ("", "", b"{}", &[415]),
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
