//! Faults of ranges: ignored, shifted, misreported, refused.

use mock_upstream::image::blob;
use mock_upstream::upstream::{FakeUpstream, Fault, Target};

use crate::raw_client::{Seen, get, get_range};

fn part(fault: Fault, range: &str) -> (Seen, Vec<u8>) {
    let upstream = FakeUpstream::start();
    let bytes = blob(4, 1000);
    let digest = upstream.add_blob("app", bytes.clone());
    upstream.fault(Target::blob(&digest), fault);
    (get_range(&upstream, &format!("/v2/app/blobs/{digest}"), range), bytes.to_vec())
}

#[test]
fn an_ignored_range_is_a_whole_200() {
    let (seen, bytes) = part(Fault::IgnoreRange, "bytes=100-199");
    assert_eq!((seen.status, seen.header("content-range"), &seen.body), (200, None, &bytes));
}

#[test]
fn honest_but_different_ranges() {
    let (wider, bytes) = part(Fault::ShiftRangeEnd(50), "bytes=100-199");
    assert_eq!((wider.status, wider.header("content-range")), (206, Some("bytes 100-249/1000")));
    assert_eq!(wider.body, bytes[100..250]);
    let (shorter, _) = part(Fault::ShiftRangeEnd(-50), "bytes=100-199");
    assert_eq!((shorter.header("content-range"), shorter.body.len()), (Some("bytes 100-149/1000"), 50));
    let (earlier, _) = part(Fault::ShiftRangeStart(-100), "bytes=100-199");
    assert_eq!((earlier.header("content-range"), &earlier.body[..]), (Some("bytes 0-199/1000"), &bytes[..200]));
}

#[test]
fn lies_change_the_header_only() {
    let (start, bytes) = part(Fault::LieAboutRangeStart(7), "bytes=100-199");
    assert_eq!((start.header("content-range"), &start.body[..]), (Some("bytes 107-206/1000"), &bytes[100..200]));
    let (total, _) = part(Fault::LieAboutRangeTotal(1001), "bytes=100-199");
    assert_eq!((total.header("content-range"), &total.body[..]), (Some("bytes 100-199/1001"), &bytes[100..200]));
}

#[test]
fn content_range_on_a_200() {
    let upstream = FakeUpstream::start();
    let digest = upstream.add_blob("app", blob(4, 1000));
    upstream.fault(Target::any(), Fault::ContentRangeOn200);
    let seen = get(&upstream, &format!("/v2/app/blobs/{digest}"));
    assert_eq!((seen.status, seen.header("content-range"), seen.body.len()), (200, Some("bytes 0-999/1000"), 1000));
}

#[test]
fn several_ranges_can_be_refused() {
    let (seen, _) = part(Fault::RefuseMultiRange, "bytes=0-1,5-6");
    assert_eq!(seen.status, 400);
}
