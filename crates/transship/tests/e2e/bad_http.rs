//! Malformed HTTP, byte for byte: framing, headers, methods.
//!
//! Must not know: the HTTP library. Invariants: one request gets at most one answer, whatever it smuggles; where it was
//! HTTP at all, a clear 4xx.

use crate::http;
use crate::lab::Lab;
use crate::refusals::{answers_in, check_error_body, get, lives, read_answer};

/// A GET of a good path with these header lines.
fn with_headers(lines: &str) -> String {
    format!("GET /v2/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n\r\n")
}

/// Requests whose framing is wrong, as they go over the wire.
const FRAMING: &[(&str, &str)] = &[
    ("no HTTP at all", "hello\r\n\r\n"),
    ("binary", "\u{16}\u{3}\u{1}\u{2}\r\n\r\n"),
    ("an unknown version", "GET /v2/ HTTP/9.9\r\nHost: localhost\r\n\r\n"),
    ("no version", "GET /v2/\r\n\r\n"),
    ("no target", "GET HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ("a space in the target", "GET /v2/ x HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ("no Host", "GET /v2/ HTTP/1.1\r\nConnection: close\r\n\r\n"),
    ("a Host that is no host", "GET /v2/ HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n"),
    ("a Host with a path", "GET /v2/ HTTP/1.1\r\nHost: a/b\r\nConnection: close\r\n\r\n"),
    ("a Host with a user", "GET /v2/ HTTP/1.1\r\nHost: me@a\r\nConnection: close\r\n\r\n"),
    ("two Content-Lengths", "POST /api/repos HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}x"),
    (
        "Content-Length and Transfer-Encoding",
        "POST /api/repos HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    ),
    ("a Content-Length that is no number", "POST /api/repos HTTP/1.1\r\nHost: a\r\nContent-Length: two\r\n\r\n{}"),
    ("a negative Content-Length", "POST /api/repos HTTP/1.1\r\nHost: a\r\nContent-Length: -2\r\n\r\n{}"),
    ("an unknown Transfer-Encoding", "POST /api/repos HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: rot13\r\n\r\n{}"),
    (
        "Transfer-Encoding in HTTP/1.0",
        "POST /api/repos HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    ("CONNECT", "CONNECT registry.example:443 HTTP/1.1\r\nHost: registry.example:443\r\nConnection: close\r\n\r\n"),
    ("OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    ("TRACE", "TRACE /v2/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    ("a made-up method", "BREW /v2/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    (
        "PUT of a manifest",
        "PUT /v2/lab/app/manifests/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
    ),
    (
        "POST of an upload",
        "POST /v2/lab/app/blobs/uploads/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    ),
    ("DELETE of a manifest", "DELETE /v2/lab/app/manifests/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    ("POST to /metrics", "POST /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
];

/// Header lines that a good request does not have.
const HEADERS: &[(&str, &str)] = &[
    ("two Hosts", "Host: other"),
    ("a header without a colon", "Nonsense"),
    ("a space before the colon", "Name : value"),
    ("a folded header", "Name: a\r\n b"),
    ("NUL in a header", "Name: a\0b"),
    ("a bare CR in a header", "Name: a\rb"),
    ("a header name of odd letters", "N(ame): x"),
    ("an empty header name", ": x"),
];

/// Requests below the level of paths: framing, headers, methods.
fn requests() -> Vec<(&'static str, Vec<u8>)> {
    let many = (0..1000).map(|n| format!("H{n}: x")).collect::<Vec<_>>().join("\r\n");
    let large = [
        ("100 KiB in one header", with_headers(&format!("Name: {}", "x".repeat(100 << 10)))),
        ("1000 headers", with_headers(&many)),
        ("100 KiB of target", get(&format!("/v2/{}", "a".repeat(100 << 10)))),
        ("an absolute target of another scheme", get("ftp://localhost/v2/nothing/app/manifests/1")),
    ];
    let binary: [(&str, &[u8]); 2] = [
        (
            "bytes beyond ASCII in the target",
            b"GET /v2/\xff\xfe/manifests/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        ),
        ("bytes beyond ASCII in Host", b"GET /v2/ HTTP/1.1\r\nHost: \xff\r\nConnection: close\r\n\r\n"),
    ];
    let framing = FRAMING.iter().map(|(name, text)| (*name, text.as_bytes().to_vec()));
    let headers = HEADERS.iter().map(|(name, line)| (*name, with_headers(line).into_bytes()));
    let large = large.into_iter().map(|(name, text)| (name, text.into_bytes()));
    let binary = binary.into_iter().map(|(name, bytes)| (name, bytes.to_vec()));
    framing.chain(headers).chain(large).chain(binary).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_http_is_refused_and_never_smuggled() {
    let lab = Lab::start();
    for (name, request) in requests() {
        let bytes = http::raw(&lab.transship.host(), &request, |_| false).await;
        let answers = answers_in(&bytes);
        assert!(answers <= 1, "{name}: one request, {answers} answers");
        let Some((status, head, body)) = read_answer(&bytes) else { panic!("{name}: no answer") };
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
async fn a_body_that_is_not_read_ends_the_connection_and_the_client_is_told() {
    let lab = Lab::start();
    for (what, head) in [
        ("a pull with a body", "GET /v2/ HTTP/1.1\r\nHost: a"),
        ("a push", "PUT /v2/lab/app/manifests/1 HTTP/1.1\r\nHost: a"),
        ("management without the token", "POST /api/repos HTTP/1.1\r\nHost: a"),
    ] {
        let body = "x".repeat(1 << 20);
        let request = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let bytes = http::raw(&lab.transship.host(), request.as_bytes(), |_| false).await;
        let Some((_, head, _)) = read_answer(&bytes) else { panic!("{what}: no answer") };
        assert!(head.contains("connection: close"), "{what}: {head}");
        assert_eq!(answers_in(&bytes), 1, "{what}: the body is not taken for a request");
    }
    lives(&lab).await;
}
