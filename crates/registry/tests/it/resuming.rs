//! One upstream that breaks off: everything comes once, little comes twice, and logins are renewed on the way.

use std::time::Duration;

use oci::ByteRange;
use testkit::image::blob;
use testkit::upstream::{Access, BearerRules, Cut, Fault, Gate, Kind, Target};

use crate::harness::{Lab, collect};

const MIB: usize = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_dropped_every_10_mb_costs_at_most_5_percent() {
    let lab = Lab::new().await;
    let size = 200 * MIB;
    let bytes = blob(31, size);
    let digest = lab.upstream.add_blob("team/app", bytes.clone());
    lab.upstream.fault(Target::blob(&digest).get(), Fault::CutAfter(10 << 20, Cut::Reset));
    let open = lab.registry.open_blob(&lab.route(), &digest, None).await.unwrap();
    let got = collect(open.read(ByteRange { start: 0, end: open.size() })).await.unwrap();
    assert!(got == bytes, "the client gets all of it in one answer");
    lab.wait_stored(&digest).await;
    let sent = lab.upstream.bytes_sent_for(&digest);
    assert!(sent <= (size as u64) * 105 / 100, "{sent} bytes for a blob of {size}");
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_resets_at_random_places_repeat_at_most_a_chunk_each() {
    let lab = Lab::new().await;
    let bytes = blob(32, 12 * MIB);
    let digest = lab.upstream.add_blob("team/app", bytes.clone());
    let mut rng = fastrand::Rng::with_seed(32);
    for number in 1..=20 {
        let cut = Fault::CutAfter(rng.u64(1..900_000), Cut::Reset);
        lab.upstream.fault(Target::blob(&digest).get().nth(number), cut);
    }
    assert!(lab.blob(&digest).await.unwrap().0 == bytes);
    lab.wait_stored(&digest).await;
    // What a reset loses is what the kernel had taken and we had not read: the upstream's send buffer and ours.
    let sent = lab.upstream.bytes_sent_for(&digest);
    let most = bytes.len() as u64 + 20 * MIB as u64;
    assert!(sent <= most, "{sent} bytes for a blob of {}", bytes.len());
    assert!(lab.upstream.gets_for(&digest) <= 21, "one request for each break");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_expires_in_the_middle_is_renewed_once() {
    let lab = Lab::new().await;
    lab.upstream.set_access(Access::Bearer(BearerRules::default()));
    let bytes = blob(33, 6 * MIB);
    let digest = lab.upstream.add_blob("team/app", bytes.clone());
    let gate = Gate::new();
    lab.upstream.fault(Target::blob(&digest).get().first(1), Fault::StallAfter(2 << 20, gate.clone()));
    lab.upstream.fault(Target::blob(&digest).get().first(1), Fault::CutAfter(3 << 20, Cut::Finish));
    let open = lab.registry.open_blob(&lab.route(), &digest, None).await.unwrap();
    lab.upstream.expire_tokens();
    gate.release();
    let got = collect(open.read(ByteRange { start: 0, end: open.size() })).await.unwrap();
    assert!(got == bytes);
    let tokens = lab.upstream.requests().iter().filter(|request| request.kind() == Kind::Token).count();
    assert_eq!(tokens, 2, "one to begin with, one to go on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resumption_with_another_etag_still_has_to_be_the_digest() {
    let lab = Lab::new().await;
    let bytes = blob(34, 4 * MIB);
    let digest = lab.upstream.add_blob("team/app", bytes.clone());
    lab.upstream.fault(Target::blob(&digest).get().first(1), Fault::CutAtFraction(0.5, Cut::Finish));
    lab.upstream.fault(Target::blob(&digest).get().from_nth(2), Fault::RemoveHeader("Etag".into()));
    lab.upstream.fault(Target::blob(&digest).get().from_nth(2), Fault::AddHeader("ETag".into(), "\"other\"".into()));
    assert!(lab.blob(&digest).await.unwrap().0 == bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_size_does_not_stick() {
    let lab = Lab::new().await;
    let bytes = blob(35, 4 * MIB);
    let digest = lab.upstream.add_blob("team/app", bytes.clone());
    lab.upstream.fault(Target::blob(&digest).get().first(1), Fault::OverstateLength(1000));
    // A lie about the size is found out when the rest is asked for; the next pull must not believe it.
    assert!(lab.blob(&digest).await.is_err());
    let right = tokio::time::timeout(Duration::from_mins(1), lab.blob(&digest)).await.unwrap();
    assert!(right.unwrap().0 == bytes);
    lab.wait_stored(&digest).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_sends_nothing_but_breaks_is_given_up() {
    let lab = Lab::new().await;
    let digest = lab.upstream.add_blob("team/app", blob(36, 8 * MIB));
    lab.upstream.fault(Target::blob(&digest).get(), Fault::CutAfter(16, Cut::Finish));
    let outcome = tokio::time::timeout(Duration::from_mins(2), lab.blob(&digest)).await.unwrap();
    assert!(outcome.is_err(), "16 bytes a connection are no way to fetch 8 MiB");
    assert!(lab.upstream.gets_for(&digest) < 100, "and it is not hammered");
}
