//! A named upstream and its mirrors: who is asked for what, who may stand in, and who is never believed.

use std::time::Duration;

use oci::{ByteRange, Digest};
use serde_json::json;
use testkit::image::{Image, blob};
use testkit::upstream::{Cut, FakeUpstream, Fault, Gate, Kind, Request, Target};
use transship_registry::{PullError, PullOutcome, RouteQuery, TagsQuery};

use crate::harness::{Lab, collect_until_cut, eventually};

const MIB: usize = 1 << 20;

/// What was asked of an upstream for content: without the health checks.
fn asked(upstream: &FakeUpstream) -> Vec<Request> {
    upstream.requests().into_iter().filter(|request| request.kind() != Kind::Ping).collect()
}

/// A blob that the named upstream and every mirror have.
fn everywhere(lab: &Lab, mirrors: &[FakeUpstream], seed: u64, size: usize) -> (Digest, bytes::Bytes) {
    let bytes = blob(seed, size);
    let digest = lab.upstream.add_blob("team/app", bytes.clone());
    for mirror in mirrors {
        assert_eq!(mirror.add_blob("team/app", bytes.clone()), digest);
    }
    (digest, bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_named_upstream_answers_nobody_else_is_asked() {
    let (lab, mirrors) = Lab::mirrored(json!({ "tag_ttl": "0s" }), 2).await;
    let ours = lab.upstream.add_image("team/app", "v1", &Image::small(1, 3000));
    for mirror in &mirrors {
        mirror.add_image("team/app", "v1", &Image::small(2, 3000));
    }
    for _ in 0..2 {
        assert_eq!(Digest::sha256_of(&lab.manifest("v1").await.unwrap().0), ours);
    }
    let (digest, bytes) = everywhere(&lab, &mirrors, 3, MIB);
    assert!(lab.blob(&digest).await.unwrap().0 == bytes);
    lab.registry.list_tags(&lab.route(), &TagsQuery::default()).await.unwrap();
    assert!(mirrors.iter().all(|mirror| asked(mirror).is_empty()), "a mirror was asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_of_the_named_upstream_is_final() {
    for status in [401, 403, 404] {
        let (lab, mirrors) = Lab::mirrored(json!({}), 1).await;
        let manifest = mirrors[0].add_image("team/app", "v1", &Image::small(1, 3000));
        let digest = mirrors[0].add_blob("team/app", blob(2, 5000));
        lab.upstream.fault(Target::any(), Fault::status(status));
        for reference in ["v1".to_owned(), manifest.to_string()] {
            let error = lab.manifest(&reference).await.unwrap_err();
            let fits = match status {
                404 => matches!(error, PullError::ManifestUnknown { .. }),
                _ => matches!(error, PullError::Denied { .. }),
            };
            assert!(fits, "{status} {reference}: {error}");
        }
        let error = lab.blob(&digest).await.unwrap_err();
        assert!(matches!(error, PullError::BlobUnknown { .. } | PullError::Denied { .. }), "{status}: {error}");
        assert!(lab.registry.list_tags(&lab.route(), &TagsQuery::default()).await.is_err());
        assert!(asked(&mirrors[0]).is_empty(), "{status}: a mirror was asked for what the named upstream refused");
        assert!(!lab.stored_path(&digest).exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_named_upstream_is_stood_in_for_in_the_order_of_the_list() {
    for fault in [Fault::status(503), Fault::too_many_requests(None), Fault::HangUp(Cut::Reset)] {
        let (lab, mirrors) = Lab::mirrored(json!({}), 2).await;
        lab.upstream.fault(Target::any(), fault.clone());
        mirrors[0].fault(Target::kind(Kind::Tags), Fault::status(500));
        let first = mirrors[0].add_image("team/app", "v1", &Image::small(1, 3000));
        mirrors[1].add_image("team/app", "v1", &Image::small(2, 3000));
        let (bytes, outcome) = lab.manifest("v1").await.unwrap();
        assert_eq!(
            (Digest::sha256_of(&bytes), outcome),
            (first, PullOutcome::Miss),
            "{fault:?}: the first mirror counts"
        );
        let digest = mirrors[1].add_blob("team/app", blob(7, 300_000));
        assert!(lab.blob(&digest).await.unwrap().0 == blob(7, 300_000), "{fault:?}: a mirror vouches and delivers");
        let tags = lab.registry.list_tags(&lab.route(), &TagsQuery::default()).await.unwrap();
        assert_eq!(tags.tags.len(), 1, "{fault:?}: the second mirror lists them");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_lags_behind_does_not_take_a_tag_back() {
    let (lab, mirrors) = Lab::mirrored(json!({ "tag_ttl": "0s" }), 1).await;
    let new = lab.upstream.add_image("team/app", "v1", &Image::small(1, 3000));
    let old = mirrors[0].add_image("team/app", "v1", &Image::small(2, 3000));
    lab.manifest("v1").await.unwrap();
    lab.upstream.fault(Target::any(), Fault::status(500));
    let (bytes, outcome) = lab.manifest("v1").await.unwrap();
    assert_eq!((Digest::sha256_of(&bytes), outcome), (new, PullOutcome::Stale));
    assert_eq!(lab.registry.metrics().tag_disagreements.get(), 1, "and it is counted");
    assert!(asked(&mirrors[0]).iter().all(|request| request.method == "HEAD"), "its manifest is not fetched");
    assert!(!lab.stored_path(&old).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_agrees_confirms_a_tag() {
    let (lab, mirrors) = Lab::mirrored(json!({ "tag_ttl": "0s" }), 1).await;
    for upstream in [&lab.upstream, &mirrors[0]] {
        upstream.add_image("team/app", "v1", &Image::small(1, 3000));
    }
    lab.manifest("v1").await.unwrap();
    lab.upstream.fault(Target::any(), Fault::status(500));
    assert_eq!(lab.manifest("v1").await.unwrap().1, PullOutcome::Revalidated);
    assert!(asked(&mirrors[0]).iter().all(|request| request.method == "HEAD"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_mirror_said_is_replaced_by_the_named_upstream_s_word() {
    let (lab, mirrors) = Lab::mirrored(json!({ "tag_ttl": "0s" }), 1).await;
    let ours = lab.upstream.add_image("team/app", "v1", &Image::small(1, 3000));
    let theirs = mirrors[0].add_image("team/app", "v1", &Image::small(2, 3000));
    lab.upstream.fault(Target::any(), Fault::status(502));
    assert_eq!(Digest::sha256_of(&lab.manifest("v1").await.unwrap().0), theirs, "better than nothing");
    lab.upstream.clear_faults();
    assert_eq!(Digest::sha256_of(&lab.manifest("v1").await.unwrap().0), ours);
    assert_eq!(lab.registry.metrics().tag_disagreements.get(), 1);
    assert_eq!(lab.manifest(&theirs.to_string()).await.unwrap().1, PullOutcome::Hit, "digests stay");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fill_that_breaks_goes_on_at_the_same_byte_elsewhere() {
    let never = Gate::new();
    for (what, first, later) in [
        ("reset", Fault::CutAfter(2 * MIB as u64, Cut::Reset), None),
        ("stall", Fault::StallAfter(2 * MIB as u64, never), None),
        ("5xx", Fault::CutAfter(2 * MIB as u64, Cut::Finish), Some(Fault::status(500))),
        ("expired", Fault::CutAfter(2 * MIB as u64, Cut::Finish), Some(Fault::status(403))),
        ("offset", Fault::CutAfter(2 * MIB as u64, Cut::Finish), Some(Fault::LieAboutRangeStart(5))),
        ("total", Fault::CutAfter(2 * MIB as u64, Cut::Finish), Some(Fault::LieAboutRangeTotal(77))),
        ("gone", Fault::CutAfter(2 * MIB as u64, Cut::Finish), Some(Fault::HangUp(Cut::Reset))),
    ] {
        let (lab, mirrors) = Lab::mirrored(json!({}), 1).await;
        let (digest, bytes) = everywhere(&lab, &mirrors, 4, 6 * MIB);
        lab.upstream.fault(Target::blob(&digest).get().first(1), first);
        if let Some(later) = later {
            lab.upstream.fault(Target::blob(&digest).get().from_nth(2), later);
        }
        assert!(lab.blob(&digest).await.unwrap().0 == bytes, "{what}");
        lab.wait_stored(&digest).await;
        let fresh = mirrors[0].bytes_sent_for(&digest);
        assert!(fresh < 5 * MIB as u64, "{what}: what was here came again: {fresh} bytes from the mirror");
        let ranges: Vec<_> = asked(&mirrors[0]).iter().map(|r| r.header("range").is_some()).collect();
        assert!(ranges.iter().all(|ranged| *ranged), "{what}: the mirror is asked for the rest only");
        assert_eq!(lab.registry.metrics().fills_switched.get(), 1, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_lies_about_a_small_blob_goes_unnoticed_by_clients() {
    let (lab, mirrors) = Lab::mirrored(json!({}), 1).await;
    let (digest, bytes) = everywhere(&lab, &mirrors, 5, 200_000);
    lab.upstream.fault(Target::blob(&digest), Fault::FlipByte(1234));
    assert!(lab.blob(&digest).await.unwrap().0 == bytes, "nobody had read the wrong bytes");
    lab.wait_stored(&digest).await;
    assert_eq!(lab.registry.metrics().integrity_failures.get(), 1, "but it is counted");
    assert_eq!((lab.upstream.gets_for(&digest), mirrors[0].gets_for(&digest)), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_lied_about_a_large_blob_is_avoided_by_the_next_pull() {
    let (lab, mirrors) = Lab::mirrored(json!({}), 1).await;
    let (digest, bytes) = everywhere(&lab, &mirrors, 6, 3 * MIB);
    lab.upstream.fault(Target::blob(&digest).get(), Fault::FlipByte(100));
    let open = lab.registry.open_blob(&lab.route(), &digest, None).await.unwrap();
    let got = collect_until_cut(open.read(ByteRange { start: 0, end: open.size() })).await;
    assert!(got < bytes.len() as u64, "a client got all {got} wrong bytes");
    drop(open);
    eventually("staging is empty", || lab.staged().is_empty()).await;
    assert!(!lab.stored_path(&digest).exists());
    assert!(lab.blob(&digest).await.unwrap().0 == bytes);
    assert_eq!(lab.upstream.gets_for(&digest), 1, "the liar is not asked again for this digest");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_bytes_of_a_manifest_are_asked_for_elsewhere() {
    let (lab, mirrors) = Lab::mirrored(json!({}), 1).await;
    let image = Image::small(1, 3000);
    let digest = lab.upstream.add_image("team/app", "v1", &image);
    mirrors[0].add_image("team/app", "v1", &image);
    lab.upstream.fault(Target::manifest(&digest.to_string()), Fault::FlipByte(3));
    assert_eq!(Digest::sha256_of(&lab.manifest(&digest.to_string()).await.unwrap().0), digest);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fastest_delivers_what_the_named_upstream_confirmed() {
    let (lab, mirrors) = Lab::mirrored(json!({ "strategy": "fastest", "health_check": "off" }), 1).await;
    lab.upstream.fault(Target::any(), Fault::DelayFirstByte(Duration::from_millis(300)));
    // The first questions show who is slow; then the quick one is asked.
    for seed in 10..14 {
        let (digest, bytes) = everywhere(&lab, &mirrors, seed, 50_000);
        assert!(lab.blob(&digest).await.unwrap().0 == bytes);
    }
    let (digest, _) = everywhere(&lab, &mirrors, 20, 50_000);
    lab.blob(&digest).await.unwrap();
    assert_eq!((lab.upstream.gets_for(&digest), lab.upstream.heads_for(&digest)), (0, 1), "confirmed, not delivered");
    assert_eq!(mirrors[0].gets_for(&digest), 1);
    let secret = mirrors[0].add_blob("team/app", blob(21, 5000));
    let error = lab.blob(&secret).await.unwrap_err();
    assert!(matches!(error, PullError::BlobUnknown { .. }), "a mirror alone gives nobody a right: {error}");
    assert_eq!(mirrors[0].gets_for(&secret), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_fail_all_are_named_and_what_is_cached_is_served() {
    let (mut lab, mut mirrors) = Lab::mirrored(json!({ "tag_ttl": "0s" }), 1).await;
    lab.upstream.add_image("team/app", "v1", &Image::small(1, 3000));
    lab.manifest("v1").await.unwrap();
    lab.upstream.stop();
    mirrors[0].stop();
    assert_eq!(lab.manifest("v1").await.unwrap().1, PullOutcome::Stale);
    let unknown = lab.manifest("v2").await.unwrap_err().to_string();
    for upstream in [lab.upstream.host(), mirrors[0].host()] {
        assert!(unknown.contains(&upstream), "{unknown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_move_the_dead_to_the_end_and_say_so() {
    let (mut lab, mirrors) = Lab::mirrored(json!({ "health_check": "1s" }), 1).await;
    let (digest, bytes) = everywhere(&lab, &mirrors, 8, 50_000);
    let image = Image::small(1, 3000);
    lab.upstream.add_image("team/app", "v1", &image);
    lab.manifest("v1").await.unwrap();
    let up = |lab: &Lab| {
        let shown = lab.registry.repositories().get(&"lab".parse().unwrap()).unwrap();
        let states = shown.document["upstream_state"].as_array().unwrap().clone();
        states.iter().map(|state| state["up"].as_bool()).collect::<Vec<_>>()
    };
    eventually("both answer", || up(&lab) == [Some(true), Some(true)]).await;
    lab.upstream.stop();
    eventually("one is down", || up(&lab) == [Some(false), Some(true)]).await;
    assert_eq!(lab.manifest("v1").await.unwrap().1, PullOutcome::Hit, "a dead upstream hides nothing");
    assert!(lab.blob(&digest).await.unwrap().0 == bytes);
    lab.upstream.restart();
    eventually("it is back", || up(&lab) == [Some(true), Some(true)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_named_upstream_s_host_addresses_the_repository() {
    let (lab, mirrors) = Lab::mirrored(json!({}), 1).await;
    let route = |host: String| {
        let path = format!("{host}/team/app");
        lab.registry.route(&RouteQuery { path: &path, ns: None, host: None, local_port: None }).is_ok()
    };
    assert!(route(lab.upstream.host()));
    assert!(!route(mirrors[0].host()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fastest_spares_an_upstream_whose_rate_limit_runs_out() {
    let (lab, mirrors) = Lab::mirrored(json!({ "strategy": "fastest" }), 1).await;
    for upstream in [&lab.upstream, &mirrors[0]] {
        upstream.add_image("team/app", "v1", &Image::small(1, 3000));
    }
    for (name, value) in [("ratelimit-limit", "100;w=21600"), ("ratelimit-remaining", "8;w=21600")] {
        lab.upstream.fault(Target::kind(Kind::Manifest), Fault::AddHeader(name.into(), value.into()));
    }
    lab.manifest("v1").await.unwrap();
    // Slower, and asked all the same.
    mirrors[0].fault(Target::kind(Kind::Blob), Fault::DelayFirstByte(Duration::from_millis(30)));
    lab.upstream.clear_log();
    for seed in 0..8 {
        let (digest, bytes) = everywhere(&lab, &mirrors, 100 + seed, 5000);
        assert!(lab.blob(&digest).await.unwrap().0 == bytes);
    }
    let bodies = |upstream: &FakeUpstream| asked(upstream).iter().filter(|request| request.method == "GET").count();
    assert_eq!(bodies(&lab.upstream), 0, "its last pulls are kept");
    assert_eq!(bodies(&mirrors[0]), 8);
}
