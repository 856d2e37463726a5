//! Ranges on cold, warming and warm blobs.

use bytes::Bytes;
use oci::ByteRange;
use serde_json::json;
use testkit::image::blob;
use testkit::upstream::{Fault, Gate, Target};
use transship_registry::PullOutcome;

use crate::harness::{Lab, collect};

const MIB: usize = 1 << 20;
const SIZE: usize = 40 * MIB;

const CASES: &[(&str, &[(usize, usize)])] = &[
    ("bytes=500-1499", &[(500, 1500)]),
    ("bytes=-51", &[(SIZE - 51, SIZE)]),
    ("bytes=41942000-", &[(41_942_000, SIZE)]),
    ("bytes=41942000-99999999", &[(41_942_000, SIZE)]),
    ("bytes=0-0", &[(0, 1)]),
    ("bytes=0-9,100000-100009,-5", &[(0, 10), (100_000, 100_010), (SIZE - 5, SIZE)]),
];

fn expected(bytes: &Bytes, ranges: &[(usize, usize)]) -> Vec<Bytes> {
    ranges.iter().map(|(start, end)| bytes.slice(start..end)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_on_a_cold_blob_fetches_only_its_blocks() {
    for (header, ranges) in CASES {
        let lab = Lab::new().await;
        let bytes = blob(21, SIZE);
        let digest = lab.upstream.add_blob("team/app", bytes.clone());
        let (parts, outcome) = lab.ranges(&digest, header).await.unwrap();
        assert!(parts == expected(&bytes, ranges), "{header}");
        assert_eq!(outcome, PullOutcome::Miss, "{header}");
        let sent = lab.upstream.bytes_sent_for(&digest);
        assert!(sent < MIB as u64, "{header}: upstream sent {sent}");
        assert!(
            lab.upstream.requests().iter().all(|r| !r.header("range").is_some_and(|v| v.contains(','))),
            "only single ranges go upstream"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_ranges_are_right_on_a_warm_blob() {
    let lab = Lab::new().await;
    let bytes = blob(22, SIZE);
    let digest = lab.upstream.add_blob("team/app", bytes.clone());
    lab.blob(&digest).await.unwrap();
    lab.wait_stored(&digest).await;
    for (header, ranges) in CASES {
        let (parts, outcome) = lab.ranges(&digest, header).await.unwrap();
        assert!(parts == expected(&bytes, ranges), "{header}");
        assert_eq!(outcome, PullOutcome::Hit);
    }
    assert_eq!(lab.upstream.gets_for(&digest), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_far_ahead_jumps_the_queue_of_a_stalled_fill() {
    let lab = Lab::new().await;
    let bytes = blob(23, SIZE);
    let digest = lab.upstream.add_blob("team/app", bytes.clone());
    let gate = Gate::new();
    lab.upstream.fault(Target::blob(&digest).get().first(1), Fault::StallAfter(MIB as u64, gate.clone()));
    let open = lab.registry.open_blob(&lab.route(), &digest, None).await.unwrap();
    let (parts, _) = lab.ranges(&digest, "bytes=-1000").await.unwrap();
    assert!(parts == expected(&bytes, &[(SIZE - 1000, SIZE)]));
    gate.release();
    assert!(collect(open.read(ByteRange { start: 0, end: SIZE as u64 })).await.unwrap() == bytes);
    let sent = lab.upstream.bytes_sent_for(&digest);
    assert!(sent as f64 <= SIZE as f64 * 1.05, "upstream sent {sent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_that_is_here_already_is_a_hit() {
    let lab = Lab::new().await;
    let bytes = blob(24, SIZE);
    let digest = lab.upstream.add_blob("team/app", bytes.clone());
    lab.ranges(&digest, "bytes=-51").await.unwrap();
    let sent = lab.upstream.bytes_sent_for(&digest);
    let (parts, outcome) = lab.ranges(&digest, "bytes=-51").await.unwrap();
    assert_eq!((parts, outcome), (expected(&bytes, &[(SIZE - 51, SIZE)]), PullOutcome::Hit));
    assert_eq!(lab.upstream.bytes_sent_for(&digest), sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_pull_after_ranges_fetches_only_the_gaps() {
    let lab = Lab::new().await;
    let bytes = blob(25, SIZE);
    let digest = lab.upstream.add_blob("team/app", bytes.clone());
    lab.ranges(&digest, "bytes=-1000000").await.unwrap();
    lab.ranges(&digest, "bytes=20000000-21000000").await.unwrap();
    assert!(lab.blob(&digest).await.unwrap().0 == bytes);
    lab.wait_stored(&digest).await;
    let sent = lab.upstream.bytes_sent_for(&digest);
    let asked: Vec<_> =
        lab.upstream.requests().iter().map(|r| (r.header("range").map(str::to_owned), r.bytes_sent)).collect();
    assert_eq!(sent, SIZE as u64, "every byte once: {asked:?}");
}

/// Fetches a blob in `parts` side by side, asked for in the order that `order` gives them; bytes it cost, and the ranges that
/// were asked for.
async fn in_parts(parts: usize, order: impl Fn(usize) -> usize) -> (u64, Vec<Option<String>>) {
    let lab = Lab::new().await;
    let bytes = blob(26, SIZE);
    let digest = lab.upstream.add_blob("team/app", bytes.clone());
    // Who fetches in parts knows the size beforehand, as containerd does; the parts then come all at once.
    assert_eq!(lab.registry.stat_blob(&lab.route(), &digest).await.unwrap().size, SIZE as u64);
    let mut pulls = tokio::task::JoinSet::new();
    for place in 0..parts {
        let (registry, route, index) = (lab.registry.clone(), lab.route(), order(place));
        let (start, end) = (index * SIZE / parts, (index + 1) * SIZE / parts);
        pulls.spawn(async move {
            let range = ByteRange { start: start as u64, end: end as u64 };
            let header = oci::RangeHeader::parse(&format!("bytes={}-{}", start, end - 1)).unwrap().unwrap();
            let open = registry.open_blob(&route, &digest, Some(&header)).await.unwrap();
            (start, end, collect(open.read(range)).await.unwrap())
        });
    }
    while let Some(done) = pulls.join_next().await {
        let (start, end, got) = done.unwrap();
        assert!(got == bytes.slice(start..end), "bytes {start} to {end}");
    }
    lab.wait_stored(&digest).await;
    let heads = lab.upstream.heads_for(&digest);
    assert!(heads <= 2, "the size is asked for once, not by each part, but {heads} times");
    let asked = lab.upstream.requests().into_iter().filter(|r| r.method == "GET" && r.path.contains("/blobs/"));
    (lab.upstream.bytes_sent_for(&digest), asked.map(|r| r.header("range").map(str::to_owned)).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_parallel_parts_of_a_cold_blob_cost_upstream_two_requests() {
    let (sent, gets) = in_parts(1000, |place| place).await;
    assert!(gets.len() <= 2, "more than two requests: {gets:?}");
    assert!(sent as f64 <= SIZE as f64 * 1.05, "upstream sent {sent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_in_any_order_cost_upstream_hardly_more() {
    // Every part once: 37 and 100 have no common divisor.
    let (sent, gets) = in_parts(100, |place| (place + 1) * 37 % 100).await;
    assert!(gets.len() <= 4, "more than four requests: {gets:?}");
    assert!(sent as f64 <= SIZE as f64 * 1.1, "upstream sent {sent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fill_on_range_none_never_fills_and_background_does() {
    let lab = Lab::with(json!({ "fill_on_range": "none" }), 1 << 30).await;
    let digest = lab.upstream.add_blob("team/app", blob(27, SIZE));
    lab.ranges(&digest, "bytes=1000000-").await.unwrap();
    assert!(!lab.stored_path(&digest).exists());

    let lab = Lab::with(json!({ "fill_on_range": "background" }), 1 << 30).await;
    let digest = lab.upstream.add_blob("team/app", blob(27, SIZE));
    lab.ranges(&digest, "bytes=-51").await.unwrap();
    lab.wait_stored(&digest).await;
    assert!(lab.upstream.bytes_sent_for(&digest) as f64 <= SIZE as f64 * 1.05);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_ignores_ranges_is_read_once_and_kept() {
    let lab = Lab::new().await;
    let bytes = blob(28, 4 * MIB);
    let digest = lab.upstream.add_blob("team/app", bytes.clone());
    lab.upstream.fault(Target::blob(&digest).get(), Fault::IgnoreRange);
    let (parts, _) = lab.ranges(&digest, "bytes=-51").await.unwrap();
    assert!(parts == expected(&bytes, &[(4 * MIB - 51, 4 * MIB)]));
    lab.wait_stored(&digest).await;
    assert_eq!(lab.upstream.gets_for(&digest), 1);
}
