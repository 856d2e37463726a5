//! Upstreams that lie: no complete body of wrong bytes, nothing published, the next pull asks again.

use oci::ByteRange;
use testkit::image::{Image, blob};
use testkit::upstream::{Cut, Fault, Target};
use transship_registry::{PullError, PullOutcome};

use crate::harness::{Lab, collect_until_cut, eventually};

const MIB: usize = 1 << 20;

/// Pulls a blob whose first answer has `fault`; no client may get all of it; the next pull must be right.
async fn is_never_complete(fault: Fault) {
    let lab = Lab::new().await;
    let bytes = blob(11, 3 * MIB);
    let digest = lab.upstream.add_blob("team/app", bytes.clone());
    lab.upstream.fault(Target::blob(&digest).get().first(1), fault);
    let open = lab.registry.open_blob(&lab.route(), &digest, None).await.unwrap();
    let streams: Vec<_> = (0..4).map(|_| open.read(ByteRange { start: 0, end: open.size() })).collect();
    for stream in streams {
        let got = collect_until_cut(stream).await;
        assert!(got < bytes.len() as u64, "a client got {got} bytes of a corrupt blob");
    }
    drop(open);
    eventually("staging is empty", || lab.staged().is_empty()).await;
    assert!(!lab.stored_path(&digest).exists(), "nothing is published");
    assert_eq!(lab.blob(&digest).await.unwrap(), (bytes, PullOutcome::Miss));
    assert_eq!(lab.upstream.gets_for(&digest), 2, "the next pull asks again");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_wrong_byte_in_front() {
    is_never_complete(Fault::FlipByte(0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_wrong_byte_in_the_middle() {
    is_never_complete(Fault::FlipByte(MIB as u64)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_wrong_byte_at_the_end() {
    is_never_complete(Fault::FlipByte(3 * MIB as u64 - 1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_corrupt_blob_is_an_answer_not_a_cut() {
    let lab = Lab::new().await;
    let digest = lab.upstream.add_blob("team/app", blob(12, 1000));
    lab.upstream.fault(Target::blob(&digest).get().first(1), Fault::FlipByte(5));
    assert!(matches!(lab.blob(&digest).await, Err(PullError::Corrupt { .. })));
    assert_eq!(lab.blob(&digest).await.unwrap().0, blob(12, 1000));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_html_page_is_not_a_blob() {
    let lab = Lab::new().await;
    let digest = lab.upstream.add_blob("team/app", blob(13, MIB));
    lab.upstream.fault(Target::blob(&digest), Fault::html_page());
    assert!(matches!(lab.blob(&digest).await, Err(PullError::UpstreamFailed { .. })));
    assert!(!lab.stored_path(&digest).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn breaks_at_many_places_still_give_the_right_bytes() {
    let lab = Lab::new().await;
    let bytes = blob(14, 6 * MIB);
    let digest = lab.upstream.add_blob("team/app", bytes.clone());
    lab.upstream.fault(Target::blob(&digest).get().first(20), Fault::CutAfter(200_000, Cut::Finish));
    assert!(lab.blob(&digest).await.unwrap().0 == bytes);
    lab.wait_stored(&digest).await;
    assert_eq!(lab.upstream.bytes_sent_for(&digest), bytes.len() as u64, "what arrived is not asked for again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resumption_answered_with_everything_gives_the_right_bytes() {
    let lab = Lab::new().await;
    let bytes = blob(15, 4 * MIB);
    let digest = lab.upstream.add_blob("team/app", bytes.clone());
    lab.upstream.fault(Target::blob(&digest).get().first(1), Fault::CutAtFraction(0.5, Cut::Finish));
    lab.upstream.fault(Target::blob(&digest).get().from_nth(2), Fault::IgnoreRange);
    assert!(lab.blob(&digest).await.unwrap().0 == bytes);
    lab.wait_stored(&digest).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resumption_from_the_wrong_place_fails_and_publishes_nothing() {
    let lab = Lab::new().await;
    let digest = lab.upstream.add_blob("team/app", blob(16, 4 * MIB));
    lab.upstream.fault(Target::blob(&digest).get().first(1), Fault::CutAtFraction(0.5, Cut::Finish));
    lab.upstream.fault(Target::blob(&digest).get().from_nth(2), Fault::LieAboutRangeStart(7));
    assert!(lab.blob(&digest).await.is_err());
    assert!(!lab.stored_path(&digest).exists());
    lab.upstream.clear_faults();
    assert!(lab.blob(&digest).await.unwrap().0 == blob(16, 4 * MIB));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_upstream_is_left_and_resumed() {
    let lab = Lab::new().await;
    let bytes = blob(17, 4 * MIB);
    let digest = lab.upstream.add_blob("team/app", bytes.clone());
    let never = testkit::upstream::Gate::new();
    lab.upstream.fault(Target::blob(&digest).get().first(1), Fault::StallAfter(MIB as u64, never));
    assert!(lab.blob(&digest).await.unwrap().0 == bytes, "the idle limit ends the stall and Range goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_blob_that_was_damaged_is_dropped_and_fetched_again() {
    let lab = Lab::new().await;
    let bytes = blob(18, MIB);
    let digest = lab.upstream.add_blob("team/app", bytes.clone());
    lab.blob(&digest).await.unwrap();
    lab.wait_stored(&digest).await;
    std::fs::remove_file(lab.stored_path(&digest)).unwrap();
    let lab = lab.restart().await;
    assert_eq!(lab.blob(&digest).await.unwrap(), (bytes, PullOutcome::Miss));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resumption_with_another_total_is_given_up_and_the_next_pull_is_right() {
    let lab = Lab::new().await;
    let bytes = blob(21, 4 * MIB);
    let digest = lab.upstream.add_blob("team/app", bytes.clone());
    lab.upstream.fault(Target::blob(&digest).get().first(1), Fault::CutAtFraction(0.5, Cut::Finish));
    lab.upstream.fault(Target::blob(&digest).get().from_nth(2), Fault::LieAboutRangeTotal(5 * MIB as u64));
    assert!(lab.blob(&digest).await.is_err());
    assert!(!lab.stored_path(&digest).exists());
    lab.upstream.clear_faults();
    assert!(lab.blob(&digest).await.unwrap().0 == bytes);
}

/// Pulls a blob of 3 MiB whose answers all have these faults. Nobody may get all of it, and nothing may be kept.
async fn reaches_nobody(faults: &[Fault]) {
    let lab = Lab::new().await;
    let digest = lab.upstream.add_blob("team/app", blob(22, 3 * MIB));
    for fault in faults {
        lab.upstream.fault(Target::blob(&digest).get(), fault.clone());
    }
    let outcome = tokio::time::timeout(std::time::Duration::from_mins(2), lab.blob(&digest)).await;
    assert!(outcome.expect("it ends").is_err(), "{faults:?}");
    eventually("staging is empty", || lab.staged().is_empty()).await;
    assert!(!lab.stored_path(&digest).exists(), "{faults:?}");
    lab.upstream.clear_faults();
    assert!(lab.blob(&digest).await.unwrap().0 == blob(22, 3 * MIB), "{faults:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_without_a_length_that_ends_early_reaches_nobody() {
    reaches_nobody(&[Fault::CloseDelimited, Fault::CutAtFraction(0.5, Cut::Finish)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_longer_than_the_blob_reaches_nobody() {
    reaches_nobody(&[Fault::Surplus(1000)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunked_body_without_its_last_chunk_is_resumed() {
    let lab = Lab::new().await;
    let bytes = blob(23, 3 * MIB);
    let digest = lab.upstream.add_blob("team/app", bytes.clone());
    lab.upstream.fault(Target::blob(&digest).get().first(1), Fault::NoFinalChunk);
    lab.upstream.fault(Target::blob(&digest).get().first(1), Fault::CutAtFraction(0.5, Cut::Finish));
    assert!(lab.blob(&digest).await.unwrap().0 == bytes);
    lab.wait_stored(&digest).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_body_is_read_as_far_as_the_manifest_says() {
    let lab = Lab::new().await;
    let image = Image::small(24, 600_000);
    lab.upstream.add_image("team/app", "v1", &image);
    let layer = &image.blobs[1];
    lab.manifest("v1").await.unwrap();
    lab.upstream.fault(Target::blob(&layer.digest).get(), Fault::Surplus(u64::MAX));
    lab.upstream.fault(Target::blob(&layer.digest).get(), Fault::NoLength);
    // All that belongs to the blob comes first, so it is right; what would come after it is not waited for.
    let (bytes, _) =
        tokio::time::timeout(std::time::Duration::from_mins(1), lab.blob(&layer.digest)).await.unwrap().unwrap();
    assert!(bytes == layer.bytes);
    lab.wait_stored(&layer.digest).await;
}
