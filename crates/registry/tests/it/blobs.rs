//! Whole blobs: one fill for all, client loss, restarts, hits.

use oci::ByteRange;
use testkit::image::blob;
use testkit::upstream::{Cut, Fault, Gate, Target};
use transship_registry::{PullError, PullOutcome};

use crate::harness::{Lab, collect, eventually};

const MIB: usize = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_second_pull_is_a_hit_and_asks_upstream_nothing() {
    let lab = Lab::new().await;
    let bytes = blob(1, 3 * MIB + 17);
    let digest = lab.upstream.add_blob("team/app", bytes.clone());
    assert_eq!(lab.blob(&digest).await.unwrap(), (bytes.clone(), PullOutcome::Miss));
    lab.wait_stored(&digest).await;
    let before = lab.upstream.requests().len();
    assert_eq!(lab.blob(&digest).await.unwrap(), (bytes, PullOutcome::Hit));
    assert_eq!(lab.upstream.requests().len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_cold_pulls_cost_upstream_one() {
    let lab = Lab::new().await;
    let bytes = blob(2, 8 * MIB);
    let digest = lab.upstream.add_blob("team/app", bytes.clone());
    let mut pulls = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let (registry, route) = (lab.registry.clone(), lab.route());
        pulls.spawn(async move {
            let open = registry.open_blob(&route, &digest, None).await.unwrap();
            collect(open.read(ByteRange { start: 0, end: open.size() })).await.unwrap()
        });
    }
    while let Some(got) = pulls.join_next().await {
        assert!(got.unwrap() == bytes, "every client gets the right bytes");
    }
    assert_eq!(lab.upstream.gets_for(&digest), 1);
    assert_eq!(lab.upstream.bytes_sent_for(&digest), bytes.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fill_completes_although_every_client_leaves() {
    let lab = Lab::new().await;
    let bytes = blob(3, 4 * MIB);
    let digest = lab.upstream.add_blob("team/app", bytes.clone());
    let gate = Gate::new();
    lab.upstream.fault(Target::blob(&digest).get(), Fault::StallAfter(MIB as u64, gate.clone()));
    for _ in 0..20 {
        let open = lab.registry.open_blob(&lab.route(), &digest, None).await.unwrap();
        drop(open.read(ByteRange { start: 0, end: open.size() }));
    }
    gate.release();
    lab.wait_stored(&digest).await;
    assert_eq!(lab.blob(&digest).await.unwrap(), (bytes, PullOutcome::Hit));
    assert_eq!(lab.upstream.gets_for(&digest), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_flow_before_upstream_is_done() {
    let lab = Lab::new().await;
    let bytes = blob(4, 4 * MIB);
    let digest = lab.upstream.add_blob("team/app", bytes.clone());
    let gate = Gate::new();
    lab.upstream.fault(Target::blob(&digest).get(), Fault::StallAfter(2 * MIB as u64, gate.clone()));
    let open = lab.registry.open_blob(&lab.route(), &digest, None).await.unwrap();
    let early = collect(open.read(ByteRange { start: 0, end: MIB as u64 })).await.unwrap();
    assert!(early == bytes.slice(..MIB), "the first bytes arrive while upstream stalls");
    gate.release();
    lab.wait_stored(&digest).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_resumes_where_the_fill_was() {
    let lab = Lab::new().await;
    let bytes = blob(5, 8 * MIB);
    let digest = lab.upstream.add_blob("team/app", bytes.clone());
    let gate = Gate::new();
    lab.upstream.fault(Target::blob(&digest).get().first(1), Fault::StallAfter(4 * MIB as u64, gate.clone()));
    let open = lab.registry.open_blob(&lab.route(), &digest, None).await.unwrap();
    collect(open.read(ByteRange { start: 0, end: 3 * MIB as u64 })).await.unwrap();
    drop(open);
    let lab = lab.restart().await;
    gate.release();
    lab.wait_stored(&digest).await;
    assert_eq!(lab.blob(&digest).await.unwrap(), (bytes.clone(), PullOutcome::Hit));
    let resumed = lab.upstream.requests().into_iter().rfind(|r| r.header("range").is_some()).expect("a ranged request");
    assert!(resumed.bytes_sent < 6 * MIB as u64, "the second request brings only the rest: {}", resumed.bytes_sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_blob_is_an_answer_and_is_not_asked_for_again_at_once() {
    let lab = Lab::new().await;
    lab.upstream.add_blob("team/app", blob(1, 10));
    let digest = oci::Digest::sha256_of(b"nowhere");
    assert!(matches!(lab.blob(&digest).await, Err(PullError::BlobUnknown { .. })));
    let before = lab.upstream.requests().len();
    assert!(matches!(lab.blob(&digest).await, Err(PullError::BlobUnknown { .. })));
    assert_eq!(lab.upstream.requests().len(), before, "the absence is remembered for a moment");
    eventually("nothing is left in staging", || lab.staged().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_blob_is_served_and_stored() {
    let lab = Lab::new().await;
    let digest = lab.upstream.add_blob("team/app", "");
    assert_eq!(lab.blob(&digest).await.unwrap().0.len(), 0);
    lab.wait_stored(&digest).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_without_a_stated_length_is_served_whole() {
    for fault in [Fault::NoLength, Fault::CloseDelimited] {
        let lab = Lab::new().await;
        let bytes = blob(7, 2 * MIB);
        let digest = lab.upstream.add_blob("team/app", bytes.clone());
        lab.upstream.fault(Target::blob(&digest), fault);
        assert!(lab.blob(&digest).await.unwrap().0 == bytes);
        lab.wait_stored(&digest).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_held_for_another_repository_is_confirmed_upstream_and_not_fetched_again() {
    let lab = Lab::new().await;
    let bytes = blob(8, MIB);
    let digest = lab.upstream.add_blob("team/app", bytes.clone());
    lab.upstream.add_blob("team/other", bytes.clone());
    lab.blob(&digest).await.unwrap();
    lab.wait_stored(&digest).await;
    let other = lab.route_to("lab/team/other");
    let open = lab.registry.open_blob(&other, &digest, None).await.unwrap();
    assert_eq!(open.outcome(), PullOutcome::Revalidated);
    assert_eq!(lab.upstream.gets_for(&digest), 1);
    let stranger = lab.route_to("lab/team/stranger");
    let refused = lab.registry.open_blob(&stranger, &digest, None).await.err();
    assert!(matches!(refused, Some(PullError::BlobUnknown { .. })), "having the bytes gives nobody a right to them");
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_connections_are_resumed_without_the_client_noticing() {
    let lab = Lab::new().await;
    let bytes = blob(9, 10 * MIB);
    let digest = lab.upstream.add_blob("team/app", bytes.clone());
    lab.upstream.fault(Target::blob(&digest).get().first(1), Fault::CutAtFraction(0.6, Cut::Reset));
    assert!(lab.blob(&digest).await.unwrap().0 == bytes);
    let sent = lab.upstream.bytes_sent_for(&digest);
    assert!(sent as f64 <= bytes.len() as f64 * 1.05, "{sent} bytes for a blob of {}", bytes.len());
    lab.wait_stored(&digest).await;
}
