//! Ranges over HTTP, on cold, growing and warm blobs: RFC 9110 section 14 and the cases of the OCI conformance suite.
//!
//! Must not know: the range parser. Invariant: expected bytes are cut from what the upstream holds, by hand.

use bytes::Bytes;
use oci::Digest;
use testkit::image;
use testkit::upstream::{Fault, Gate, Target};

use crate::http::{self, Answer};
use crate::lab::{Lab, NAME};

/// What a range is answered with.
enum Expected {
    /// 206 with the bytes from the first to before the second.
    Part(usize, usize),
    /// 206 multipart/byteranges with these parts.
    Parts(&'static [(usize, usize)]),
    /// 200 with everything.
    All,
    /// 416.
    Nothing,
}
use Expected::{All, Nothing, Part, Parts};

/// What is fetched for a range: whole blocks.
const BLOCK: u64 = 256 << 10;
/// The size the cases are written for: that of the conformance suite.
const SIZE: usize = 2048;

const CASES: &[(&str, Expected)] = &[
    ("bytes=500-1499", Part(500, 1500)),
    ("bytes=500-", Part(500, 2048)),
    ("bytes=-500", Part(1548, 2048)),
    ("bytes=2000-5000", Part(2000, 2048)),
    ("bytes=500-0", Nothing),
    ("bytes=5000-10000", Nothing),
    ("bytes=0-0", Part(0, 1)),
    ("bytes=2047-2047", Part(2047, 2048)),
    ("bytes=0-2047", Part(0, 2048)),
    ("bytes=0-", Part(0, 2048)),
    ("bytes=-5000", Part(0, 2048)),
    ("bytes=2048-", Nothing),
    ("bytes=-0", Nothing),
    ("bytes=0-99,200-299", Parts(&[(0, 100), (200, 300)])),
    ("bytes=0-0, -1", Parts(&[(0, 1), (2047, 2048)])),
    ("bytes=200-299,0-99", Parts(&[(200, 300), (0, 100)])),
    ("bytes=5000-6000,0-9", Part(0, 10)),
    ("bytes=5000-6000,7000-", Nothing),
    ("items=0-99", All),
    ("bytes=abc", All),
    ("bytes=", All),
    ("bytes 0-99", All),
    ("0-99", All),
];

#[track_caller]
fn check(header: &str, expected: &Expected, answer: &Answer, digest: &Digest, bytes: &Bytes) {
    assert!(answer.is_whole(), "{header}: {:?}", answer.cut);
    let head = (answer.status, answer.header("content-range"));
    match expected {
        Part(start, end) => {
            assert_eq!(head, (206, format!("bytes {start}-{}/{}", end - 1, bytes.len()).as_str()), "{header}");
            assert_eq!(answer.body, bytes[*start..*end], "{header}");
            assert_eq!(answer.header("content-length"), (end - start).to_string(), "{header}");
        }
        Parts(parts) => {
            assert_eq!(head, (206, ""), "{header}");
            let wanted: Vec<_> = parts.iter().map(|(start, end)| (*start, bytes.slice(*start..*end))).collect();
            assert_eq!(read_parts(answer, bytes.len()), wanted, "{header}");
            assert_eq!(answer.header("content-length"), answer.body.len().to_string(), "{header}");
        }
        All => {
            assert_eq!(head, (200, ""), "{header}");
            assert!(answer.body == *bytes, "{header}: {} bytes", answer.body.len());
        }
        Nothing => {
            assert_eq!(head, (416, format!("bytes */{}", bytes.len()).as_str()), "{header}");
            assert_eq!(answer.json()["errors"][0]["code"], "RANGE_INVALID", "{header}");
            return;
        }
    }
    assert_eq!(answer.header("etag"), format!("\"{digest}\""), "{header}");
    assert_eq!(answer.header("docker-content-digest"), digest.to_string(), "{header}");
    assert_eq!(answer.header("accept-ranges"), "bytes", "{header}");
}

/// The parts of a `multipart/byteranges` body (RFC 9110 section 14.6): first position and bytes of each.
fn read_parts(answer: &Answer, total: usize) -> Vec<(usize, Bytes)> {
    let content_type = answer.header("content-type");
    let boundary = content_type.strip_prefix("multipart/byteranges; boundary=").expect(content_type);
    let body = Bytes::from(answer.body.clone());
    let delimiter = format!("\r\n--{boundary}");
    let find = |from: usize, what: &[u8]| body[from..].windows(what.len()).position(|w| w == what).map(|at| from + at);
    let mut parts = Vec::new();
    let mut at = find(0, delimiter.as_bytes()[2..].as_ref()).unwrap() + delimiter.len() - 2;
    while !body[at..].starts_with(b"--") {
        let head_end = find(at, b"\r\n\r\n").unwrap();
        let head = String::from_utf8(body[at..head_end].to_vec()).unwrap().to_ascii_lowercase();
        let range = head.lines().find_map(|line| line.strip_prefix("content-range: bytes ")).expect(&head);
        let (first, rest) = range.split_once('-').unwrap();
        let (last, size) = rest.split_once('/').unwrap();
        assert_eq!(size, total.to_string());
        assert!(head.contains("content-type: application/octet-stream"), "{head}");
        let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
        let start = head_end + 4;
        let end = start + last + 1 - first;
        parts.push((first, body.slice(start..end)));
        assert!(body[end..].starts_with(delimiter.as_bytes()), "a part ends where its length says");
        at = end + delimiter.len();
    }
    assert_eq!(&body[at..], b"--\r\n", "nothing follows the last part");
    parts
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_cold_blob_comes_alone() {
    let lab = Lab::start();
    let bytes = image::blob(1, 100_000_000);
    let digest = lab.upstream.add_blob(NAME, bytes.clone());
    let answer = lab.get_with(&Lab::blob_path(&digest), &[("Range", "bytes=-51")]).await;
    check("bytes=-51", &Part(bytes.len() - 51, bytes.len()), &answer, &digest, &bytes);
    let sent = lab.upstream.bytes_sent_for(&digest);
    assert!(sent < 1_000_000, "upstream sent {sent} bytes for 51");
    assert!(!lab.stored_file(&digest).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_range_is_answered_cold_and_warm() {
    let lab = Lab::start();
    for (seed, (header, expected)) in CASES.iter().enumerate() {
        let bytes = image::blob(seed as u64, SIZE);
        let digest = lab.upstream.add_blob(NAME, bytes.clone());
        let path = Lab::blob_path(&digest);
        let cold = lab.get_with(&path, &[("Range", header)]).await;
        check(&format!("cold {header}"), expected, &cold, &digest, &bytes);
        assert_eq!(lab.get(&path).await.body, bytes, "after {header}");
        lab.wait_stored(&digest).await;
        lab.upstream.clear_log();
        let warm = lab.get_with(&path, &[("Range", header)]).await;
        check(&format!("warm {header}"), expected, &warm, &digest, &bytes);
        assert_eq!(lab.upstream.requests().len(), 0, "warm {header} asks nobody");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_of_large_blobs_cross_blocks_and_cost_little() {
    let lab = Lab::with_repository(serde_json::json!({ "fill_on_range": "none" }));
    let cases: &[(&str, Expected, u64)] = &[
        ("bytes=262143-262144", Part(262_143, 262_145), 2 * BLOCK),
        ("bytes=1000000-2999999", Part(1_000_000, 3_000_000), 9 * BLOCK),
        ("bytes=0-9,8388598-8388607", Parts(&[(0, 10), (8_388_598, 8_388_608)]), 2 * BLOCK),
    ];
    for (seed, (header, expected, cost)) in cases.iter().enumerate() {
        let bytes = image::blob(100 + seed as u64, 8 << 20);
        let digest = lab.upstream.add_blob(NAME, bytes.clone());
        let path = Lab::blob_path(&digest);
        for pass in ["cold", "from what is there"] {
            let answer = lab.get_with(&path, &[("Range", header)]).await;
            check(&format!("{pass} {header}"), expected, &answer, &digest, &bytes);
            let sent = lab.upstream.bytes_sent_for(&digest);
            assert_eq!(sent, *cost, "{pass} {header}: upstream sent {sent} bytes");
        }
        assert_eq!(lab.get(&path).await.body, bytes);
        lab.wait_stored(&digest).await;
        assert_eq!(lab.upstream.bytes_sent_for(&digest), bytes.len() as u64, "{header}: the rest, and nothing twice");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_of_a_growing_blob_do_not_wait_for_its_front() {
    let lab = Lab::start();
    let bytes = image::blob(7, 20 << 20);
    let digest = lab.upstream.add_blob(NAME, bytes.clone());
    let path = Lab::blob_path(&digest);
    let gate = Gate::new();
    lab.upstream.fault(Target::blob(&digest).get().nth(1), Fault::StallAfter(2 << 20, gate.clone()));
    let whole = lab.open(&path).await;
    gate.wait_arrivals(1).await;
    let answer = lab.get_with(&path, &[("Range", "bytes=-1000")]).await;
    check("bytes=-1000", &Part(bytes.len() - 1000, bytes.len()), &answer, &digest, &bytes);
    let answer = lab.get_with(&path, &[("Range", "bytes=100-199")]).await;
    check("bytes=100-199", &Part(100, 200), &answer, &digest, &bytes);
    gate.release();
    assert_eq!(http::compare(whole, &bytes).await, (bytes.len(), true));
    lab.wait_stored(&digest).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_hold_cold_and_warm() {
    let lab = Lab::start();
    for warm in [false, true] {
        for case in 0..7 {
            let bytes = image::blob(1000 + 10 * u64::from(warm) + case, SIZE);
            let digest = lab.upstream.add_blob(NAME, bytes.clone());
            let path = Lab::blob_path(&digest);
            if warm {
                assert_eq!(lab.get(&path).await.body, bytes);
                lab.wait_stored(&digest).await;
            }
            let (etag, range) = (format!("\"{digest}\""), ("Range", "bytes=0-99"));
            let weak = format!("W/{etag}");
            let (headers, expected): (Vec<(&str, &str)>, Expected) = match case {
                0 => (vec![range, ("If-Range", &etag)], Part(0, 100)),
                1 => (vec![range, ("If-Range", "\"other\"")], All),
                2 => (vec![range, ("If-Range", &weak)], All),
                3 => (vec![range, ("If-Range", "Wed, 21 Oct 2015 07:28:00 GMT")], All),
                4 => (vec![range, ("If-None-Match", "\"other\"")], Part(0, 100)),
                5 => (vec![range, ("Range", "bytes=5-6")], All),
                _ => (vec![("Accept-Encoding", "gzip, br, zstd")], All),
            };
            let answer = lab.get_with(&path, &headers).await;
            check(&format!("{headers:?}, warm: {warm}"), &expected, &answer, &digest, &bytes);
            assert_eq!(answer.header("content-encoding"), "");

            for condition in [etag.as_str(), weak.as_str(), "*", &format!("\"other\", {etag}")] {
                let unchanged = lab.get_with(&path, &[("If-None-Match", condition), range]).await;
                assert_eq!((unchanged.status, unchanged.body.len()), (304, 0), "{condition}, warm: {warm}");
                assert_eq!(unchanged.header("etag"), etag);
                assert_eq!(unchanged.header("cache-control"), "public, max-age=31536000, immutable");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn head_tells_the_size_and_fetches_nothing() {
    let lab = Lab::start();
    let bytes = image::blob(1, 5_000_000);
    let digest = lab.upstream.add_blob(NAME, bytes.clone());
    let url = lab.url(&Lab::blob_path(&digest));
    for warm in [false, true] {
        for range in [None, Some(("Range", "bytes=0-99")), Some(("Range", "bytes=9000000-"))] {
            let headers: Vec<_> = range.into_iter().collect();
            let answer = http::send(&lab.client, "HEAD", &url, &headers, Vec::new()).await;
            // RFC 9110 section 14.2: a range means something on GET only.
            assert_eq!((answer.status, answer.body.len()), (200, 0), "{range:?}, warm: {warm}");
            assert_eq!(answer.header("content-length"), bytes.len().to_string());
            assert_eq!(answer.header("accept-ranges"), "bytes");
            assert_eq!(answer.header("docker-content-digest"), digest.to_string());
        }
        if !warm {
            assert_eq!(lab.upstream.bytes_sent_for(&digest), 0);
            assert_eq!(lab.get(&Lab::blob_path(&digest)).await.body, bytes);
            lab.wait_stored(&digest).await;
        }
    }
}
