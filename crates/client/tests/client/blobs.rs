//! Blobs: offsets that are right, bodies that are whole.

use std::time::Duration;

use client::{BlobHead, ClientError, TimeoutPhase, Timeouts, UpstreamConfig};
use oci::ByteRange;

use crate::support::*;

async fn get(reply: Reply, range: Option<ByteRange>) -> Result<client::BlobResponse, ClientError> {
    let server = Server::start(move |_| reply.clone()).await;
    anonymous(&server).get_blob(&name(), &digest(), range).await
}

/// What is wrong with `reply` to a request for `range`.
async fn protocol_error(reply: Reply, range: Option<ByteRange>) -> String {
    match get(reply, range).await {
        Err(ClientError::Protocol { what, .. }) => what,
        other => panic!("expected a protocol error, got {other:?}"),
    }
}

#[tokio::test]
async fn whole_and_ranged_and_range_ignored() {
    let blob = get(Reply::ok("0123456789"), None).await.unwrap();
    assert_eq!((blob.offset, blob.end, blob.total), (0, Some(10), Some(10)));
    assert_eq!(read(blob.body).await.unwrap(), b"0123456789");

    let range = ByteRange::new(4, 7);
    let blob = get(Reply::new(206, &[("content-range", "bytes 4-6/10")], "456"), range).await.unwrap();
    assert_eq!((blob.offset, blob.end, blob.total), (4, Some(7), Some(10)));
    assert_eq!(read(blob.body).await.unwrap(), b"456");

    let blob = get(Reply::new(206, &[("content-range", "bytes 4-5/*")], "45"), range).await.unwrap();
    assert_eq!((blob.offset, blob.end, blob.total), (4, Some(6), None), "shorter than asked is allowed");

    let blob = get(Reply::ok("0123456789"), range).await.unwrap();
    assert_eq!((blob.offset, blob.end, blob.total), (0, Some(10), Some(10)));

    let blob = get(Reply::chunked(200, &[], b"0123"), None).await.unwrap();
    assert_eq!((blob.end, blob.total), (None, None));
    assert_eq!(read(blob.body).await.unwrap(), b"0123");
}

#[tokio::test]
async fn the_request_says_exactly_the_range_and_identity() {
    let server = Server::start(|_| Reply::ok("x")).await;
    anonymous(&server).get_blob(&name(), &digest(), ByteRange::new(100, 612)).await.unwrap();
    let seen = &server.seen_at(&blob_path())[0];
    assert_eq!(seen.header("range"), Some("bytes=100-611"));
    assert_eq!(seen.header("accept-encoding"), Some("identity"));
    assert!(seen.header("user-agent").unwrap().starts_with("transship/"));
}

#[tokio::test]
async fn answers_that_contradict_the_range_are_refused() {
    let range = ByteRange::new(4, 7);
    let partial = |content_range| Reply::new(206, &[("content-range", content_range)], "456");
    for (reply, part) in [
        (partial("bytes 3-5/10"), "when [4, 7) was asked for"),
        (partial("bytes 5-7/10"), "when [4, 7) was asked for"),
        (partial("bytes 4-9/10"), "when [4, 7) was asked for"),
        (partial("bytes 4-5/10"), "Content-Length"),
        (partial("bytes 6-4/10"), "content-range"),
        (partial("bytes 4-6/5"), "content-range"),
        (partial("chunks 4-6/10"), "content-range"),
        (Reply::new(206, &[], "456"), "without a Content-Range"),
        (Reply::new(206, &[("content-type", "multipart/byteranges; boundary=x")], "456"), "multipart"),
        (
            Reply::new(206, &[("content-range", "bytes 4-6/10"), ("content-range", "bytes 0-2/10")], "456"),
            "two different",
        ),
        (Reply::new(200, &[("content-range", "bytes 4-6/10")], "456"), "status 200"),
        (Reply::new(204, &[], ""), "status 204"),
    ] {
        let what = protocol_error(reply.clone(), range).await;
        assert!(what.contains(part), "{reply:?}: {what}");
    }
    let what = protocol_error(partial("bytes 0-2/3"), None).await;
    assert!(what.contains("no range was asked for"), "{what}");
}

#[tokio::test]
async fn pages_and_encoded_bodies_are_no_blobs() {
    let page = Reply::new(200, &[("content-type", "Text/HTML; charset=utf-8")], "<html>please log in</html>");
    assert!(protocol_error(page, None).await.contains("HTML"));
    let encoded = Reply::new(200, &[("content-encoding", "gzip")], "xx");
    assert!(protocol_error(encoded, None).await.contains("Content-Encoding"));
    // Nothing is ever decoded, so nothing grows on the way: not even the first byte of the body is read.
    for coding in ["gzip, gzip", "zstd", "br", "deflate", "aws-chunked"] {
        let bomb = Reply::new(200, &[("content-encoding", coding), ("content-length", "9")], "x").then(Then::Stall);
        assert!(protocol_error(bomb, None).await.contains("Content-Encoding"), "{coding}");
    }
    let plain = Reply::new(200, &[("content-encoding", "identity")], "xx");
    assert_eq!(read(get(plain, None).await.unwrap().body).await.unwrap(), b"xx");
}

#[tokio::test]
async fn a_body_that_ends_early_is_an_error_after_the_bytes_that_came() {
    let cut = Reply::new(200, &[("content-length", "10")], "0123").then(Then::Close);
    let server = Server::start(move |_| cut.clone()).await;
    let mut blob = anonymous(&server).get_blob(&name(), &digest(), None).await.unwrap();
    let mut bytes = Vec::new();
    let error = loop {
        match futures_util::StreamExt::next(&mut blob.body).await.expect("an error before the end") {
            Ok(piece) => bytes.extend_from_slice(&piece),
            Err(error) => break error,
        }
    };
    assert_eq!(bytes, b"0123");
    assert!(matches!(error, ClientError::Interrupted { received: 4, .. }), "{error:?}");
    assert!(futures_util::StreamExt::next(&mut blob.body).await.is_none(), "over after the error");
    assert_eq!(server.seen().len(), 1, "resuming is the caller's business");

    let short = Reply::chunked(206, &[("content-range", "bytes 0-9/10")], b"0123");
    let blob = get(short, ByteRange::new(0, 10)).await.unwrap();
    let error = read(blob.body).await.unwrap_err();
    assert!(matches!(error, ClientError::Interrupted { received: 4, .. }), "{error:?}");
    let unfinished = Reply::new(200, &[("transfer-encoding", "chunked")], "4\r\n0123\r\n").then(Then::Close);
    let error = read(get(unfinished, None).await.unwrap().body).await.unwrap_err();
    assert!(matches!(error, ClientError::Interrupted { received: 4, .. }), "{error:?}");
}

#[tokio::test]
async fn a_body_that_goes_on_too_long_is_an_error() {
    let long = Reply::chunked(206, &[("content-range", "bytes 0-3/10")], b"0123456789");
    let blob = get(long, ByteRange::new(0, 4)).await.unwrap();
    let error = read(blob.body).await.unwrap_err();
    assert!(matches!(error, ClientError::Protocol { .. }), "{error:?}");
}

#[tokio::test]
async fn a_body_that_stalls_times_out() {
    let stalled = Reply::new(200, &[("content-length", "10")], "0123").then(Then::Stall);
    let server = Server::start(move |_| stalled.clone()).await;
    let timeouts = Timeouts { idle: Duration::from_millis(50), ..Timeouts::default() };
    let client = client(UpstreamConfig { timeouts, ..config(&server) });
    let error = read(client.get_blob(&name(), &digest(), None).await.unwrap().body).await.unwrap_err();
    assert!(matches!(error, ClientError::Timeout { phase: TimeoutPhase::Idle, .. }), "{error:?}");
}

#[tokio::test]
async fn sizes_come_from_head_or_else_from_one_byte() {
    let server = Server::start(|_| Reply::ok("0123456789")).await;
    assert_eq!(anonymous(&server).head_blob(&name(), &digest()).await.unwrap(), BlobHead { size: Some(10) });
    assert_eq!(server.seen().len(), 1);
    let empty = Server::start(|_| Reply::ok("")).await;
    assert_eq!(anonymous(&empty).head_blob(&name(), &digest()).await.unwrap(), BlobHead { size: Some(0) });

    for refusal in [Reply::new(403, &[], ""), Reply::new(405, &[], ""), Reply::chunked(200, &[], b"")] {
        let server = Server::start(move |seen| match seen.method.as_str() {
            "HEAD" => refusal.clone(),
            _ => Reply::new(206, &[("content-range", "bytes 0-0/10")], "0"),
        })
        .await;
        assert_eq!(anonymous(&server).head_blob(&name(), &digest()).await.unwrap(), BlobHead { size: Some(10) });
        assert_eq!(server.seen()[1].header("range"), Some("bytes=0-0"));
    }
    let denied = Server::start(|_| Reply::new(403, &[], "")).await;
    let error = anonymous(&denied).head_blob(&name(), &digest()).await.unwrap_err();
    assert!(matches!(error, ClientError::Denied { .. }), "{error:?}");
    let absent = Server::start(|_| Reply::new(404, &[], "")).await;
    let error = anonymous(&absent).head_blob(&name(), &digest()).await.unwrap_err();
    assert!(matches!(error, ClientError::NotFound { .. }), "{error:?}");
    assert_eq!(absent.seen().len(), 1, "no second question after an authoritative no");
}

#[tokio::test]
async fn the_body_of_a_416_is_not_waited_for() {
    let reply =
        Reply::new(416, &[("content-type", "text/plain"), ("content-length", "1000000")], "x").then(Then::Stall);
    let error = get(reply, ByteRange::new(10, 20)).await.unwrap_err();
    assert!(matches!(error, ClientError::UpstreamStatus { .. }), "{error:?}");
    assert_eq!((error.upstream_status(), error.upstream_message()), (Some(416), None));
}
