//! Parts of one blob: the redirect is followed once, and again only when where it led refuses.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use client::BlobParts;
use oci::ByteRange;

use crate::support::*;

fn range(start: u64) -> ByteRange {
    ByteRange::new(start, start + 2).unwrap()
}

/// Answers ranges of two bytes of "0123456789".
fn part(seen: &Seen) -> Reply {
    let range = seen.header("range").and_then(|range| range.strip_prefix("bytes=")).unwrap();
    let start: usize = range.split_once('-').unwrap().0.parse().unwrap();
    let said = format!("bytes {start}-{}/10", start + 1);
    Reply::new(206, &[("content-range", &said)], &"0123456789"[start..start + 2])
}

async fn text(parts: &BlobParts, start: u64) -> String {
    let blob = parts.get(range(start)).await.unwrap();
    assert_eq!(blob.offset, start);
    String::from_utf8(read(blob.body).await.unwrap()).unwrap()
}

#[tokio::test]
async fn the_second_part_goes_straight_to_where_the_first_one_was() {
    let cdn = Server::start(part).await;
    let location = cdn.at("/blob?X-Amz-Signature=abc");
    let server = Server::start(move |seen| match seen.authorization() {
        Some(CANARY_BASIC) => Reply::redirect(&location),
        _ => Reply::challenge("Basic realm=\"registry\""),
    })
    .await;
    let parts = BlobParts::new(with_credential(&server), name(), digest());
    for start in [0, 4, 8] {
        assert_eq!(text(&parts, start).await, format!("{start}{}", start + 1));
    }
    assert_eq!(server.seen().len(), 2, "a challenge and a redirect");
    assert_eq!(cdn.seen().len(), 3);
    cdn.assert_no_credential();
}

#[tokio::test]
async fn an_address_that_ended_is_asked_for_again_once() {
    let asked = Arc::new(AtomicUsize::new(0));
    let cdn = Server::start(move |seen| {
        // Each address is good for two parts.
        if asked.fetch_add(1, Ordering::Relaxed) % 3 == 2 { Reply::new(403, &[], "") } else { part(seen) }
    })
    .await;
    let location = cdn.at("/blob?signature=abc");
    let server = Server::start(move |_| Reply::redirect(&location)).await;
    let parts = BlobParts::new(anonymous(&server), name(), digest());
    for start in [0, 2, 4, 6] {
        text(&parts, start).await;
    }
    assert_eq!((server.seen().len(), cdn.seen().len()), (2, 5));
}

#[tokio::test]
async fn an_address_for_one_request_is_not_remembered_twice() {
    let asked = Arc::new(AtomicUsize::new(0));
    let cdn =
        Server::start(
            move |seen| {
                if asked.fetch_add(1, Ordering::Relaxed) == 1 { Reply::new(403, &[], "") } else { part(seen) }
            },
        )
        .await;
    let location = cdn.at("/blob");
    let server = Server::start(move |_| Reply::redirect(&location)).await;
    let parts = BlobParts::new(anonymous(&server), name(), digest());
    for start in [0, 2, 4, 6] {
        text(&parts, start).await;
    }
    assert_eq!((server.seen().len(), cdn.seen().len()), (4, 5), "every part but the first attempt at the second");
}

#[tokio::test]
async fn without_a_redirect_the_registry_is_asked() {
    let server = Server::start(part).await;
    let parts = BlobParts::new(anonymous(&server), name(), digest());
    text(&parts, 0).await;
    text(&parts, 2).await;
    assert_eq!(server.seen().len(), 2);
}
