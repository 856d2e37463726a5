//! Faults of the body: cut, flipped, truncated, too long, without length.

use std::io::ErrorKind;

use bytes::Bytes;
use mock_upstream::image::blob;
use mock_upstream::upstream::{Cut, FakeUpstream, Fault, Target};
use oci::Digest;

use crate::raw_client::{Seen, get, get_range};

const SIZE: usize = 100_000;

fn faulty(fault: Fault) -> (FakeUpstream, Digest, Bytes) {
    let upstream = FakeUpstream::start();
    let bytes = blob(3, SIZE);
    let digest = upstream.add_blob("app", bytes.clone());
    upstream.fault(Target::blob(&digest).get(), fault);
    (upstream, digest, bytes)
}

fn fetch(fault: Fault) -> (Seen, Bytes) {
    let (upstream, digest, bytes) = faulty(fault);
    (get(&upstream, &format!("/v2/app/blobs/{digest}")), bytes)
}

#[test]
fn fin_in_the_middle_delivers_exactly_so_many_bytes() {
    let (upstream, digest, bytes) = faulty(Fault::CutAfter(60_000, Cut::Finish));
    let seen = get(&upstream, &format!("/v2/app/blobs/{digest}"));
    assert_eq!((seen.header("content-length"), seen.error), (Some("100000"), None));
    assert_eq!(seen.body, bytes[..60_000]);
    assert_eq!(upstream.bytes_sent_for(&digest), 60_000);
}

#[test]
fn rst_in_the_middle_breaks_the_read() {
    let (seen, bytes) = fetch(Fault::CutAtFraction(0.6, Cut::Reset));
    assert_eq!(seen.error, Some(ErrorKind::ConnectionReset));
    assert!(bytes[..60_000].starts_with(&seen.body));
}

#[test]
fn hang_up_answers_nothing() {
    let (seen, _) = fetch(Fault::HangUp(Cut::Finish));
    assert_eq!((seen.status, seen.head.as_str()), (0, ""));
}

#[test]
fn exactly_one_byte_is_flipped_whichever_range_is_asked() {
    let (upstream, digest, bytes) = faulty(Fault::FlipByte(50_000));
    let path = format!("/v2/app/blobs/{digest}");
    let mut wrong = bytes.to_vec();
    wrong[50_000] = !wrong[50_000];
    assert_eq!(get(&upstream, &path).body, wrong);
    assert_eq!(get_range(&upstream, &path, "bytes=49000-51000").body, wrong[49_000..=51_000]);
    assert_eq!(get_range(&upstream, &path, "bytes=50001-").body, bytes[50_001..]);
}

#[test]
fn overstated_and_understated_lengths() {
    let (over, bytes) = fetch(Fault::OverstateLength(5));
    assert_eq!((over.header("content-length"), over.body.len()), (Some("100005"), SIZE));
    let (under, _) = fetch(Fault::UnderstateLength(5));
    assert_eq!((under.header("content-length"), &under.body[..]), (Some("99995"), &bytes[..]));
}

#[test]
fn surplus_is_delivered_and_counted() {
    let (seen, bytes) = fetch(Fault::Surplus(70_000));
    assert_eq!((seen.header("content-length"), seen.body.len()), (Some("170000"), 170_000));
    assert_eq!(seen.body[..SIZE], bytes);
}

#[test]
fn an_endless_body_goes_on_until_it_is_cut() {
    let (upstream, digest, _) = faulty(Fault::Surplus(u64::MAX));
    upstream.fault(Target::any(), Fault::CutAfter(3_000_000, Cut::Finish));
    let seen = get(&upstream, &format!("/v2/app/blobs/{digest}"));
    assert_eq!((seen.header("content-length"), seen.header("transfer-encoding")), (None, Some("chunked")));
    assert_eq!(upstream.bytes_sent_for(&digest), 3_000_000);
}

#[test]
fn chunked_with_and_without_an_end() {
    let (ended, _) = fetch(Fault::NoLength);
    assert_eq!((ended.header("content-length"), ended.header("transfer-encoding")), (None, Some("chunked")));
    assert!(ended.body.starts_with(b"186a0\r\n") && ended.body.ends_with(b"\r\n0\r\n\r\n"));
    let (unended, _) = fetch(Fault::NoFinalChunk);
    assert!(unended.body.starts_with(b"186a0\r\n") && !unended.body.ends_with(b"0\r\n\r\n"));
}

#[test]
fn close_delimited_names_no_length() {
    let (seen, bytes) = fetch(Fault::CloseDelimited);
    assert_eq!((seen.header("content-length"), seen.header("transfer-encoding")), (None, None));
    assert_eq!(seen.body, bytes);
}

#[test]
fn gzip_coding_is_said_and_done() {
    let (seen, bytes) = fetch(Fault::ContentEncodingGzip);
    assert_eq!(seen.header("content-encoding"), Some("gzip"));
    let mut decoded = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&seen.body[..]), &mut decoded).expect("it is gzip");
    assert_eq!(decoded, bytes);
}
