//! Tags: trust, revalidation, stale service, movement, deletion, lists.

use oci::Digest;
use serde_json::json;
use testkit::image::Image;
use testkit::upstream::{DigestHeader, Fault, Kind, Target};
use transship_registry::{PullError, PullOutcome, TagsQuery};

use crate::harness::Lab;

async fn lab_without_trust() -> (Lab, Digest, Digest) {
    let lab = Lab::with(json!({ "tag_ttl": "0s" }), 1 << 30).await;
    let first = lab.upstream.add_image("team/app", "v1", &Image::small(1, 3000));
    let second = lab.upstream.add_untagged("team/app", &Image::small(2, 3000));
    lab.manifest("v1").await.unwrap();
    (lab, first, second)
}

#[tokio::test(flavor = "multi_thread")]
async fn past_its_time_a_tag_is_confirmed_with_head() {
    let (lab, ..) = lab_without_trust().await;
    lab.upstream.clear_log();
    assert_eq!(lab.manifest("v1").await.unwrap().1, PullOutcome::Revalidated);
    let methods: Vec<_> = lab.upstream.requests().into_iter().map(|r| r.method).collect();
    assert_eq!(methods, ["HEAD"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moved_tag_is_followed_and_the_old_digest_stays() {
    let (lab, first, second) = lab_without_trust().await;
    lab.upstream.set_tag("team/app", "v1", &second);
    let (bytes, outcome) = lab.manifest("v1").await.unwrap();
    assert_eq!((Digest::sha256_of(&bytes), outcome), (second, PullOutcome::Miss));
    assert_eq!(lab.manifest(&first.to_string()).await.unwrap().1, PullOutcome::Hit);
}

#[tokio::test(flavor = "multi_thread")]
async fn weather_is_answered_with_the_stale_tag() {
    for fault in [
        Fault::status(500),
        Fault::status(503),
        Fault::too_many_requests(Some("60")),
        Fault::status(403),
        Fault::HangUp(testkit::upstream::Cut::Reset),
    ] {
        let (lab, first, _) = lab_without_trust().await;
        lab.upstream.fault(Target::kind(Kind::Manifest), fault.clone());
        let (bytes, outcome) = lab.manifest("v1").await.unwrap_or_else(|e| panic!("{fault:?}: {e}"));
        assert_eq!((Digest::sha256_of(&bytes), outcome), (first, PullOutcome::Stale), "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_rests_a_stale_tag_asks_upstream_nothing() {
    let (lab, ..) = lab_without_trust().await;
    lab.upstream.fault(Target::kind(Kind::Manifest), Fault::too_many_requests(Some("60")));
    lab.manifest("v1").await.unwrap();
    lab.upstream.clear_log();
    for _ in 0..20 {
        assert_eq!(lab.manifest("v1").await.unwrap().1, PullOutcome::Stale);
    }
    assert_eq!(lab.upstream.requests().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_stale_if_error_weather_is_an_error() {
    let lab = Lab::with(json!({ "tag_ttl": "0s", "stale_if_error": "0s" }), 1 << 30).await;
    lab.upstream.add_image("team/app", "v1", &Image::small(1, 3000));
    lab.manifest("v1").await.unwrap();
    lab.upstream.fault(Target::kind(Kind::Manifest), Fault::status(503));
    assert!(matches!(lab.manifest("v1").await, Err(PullError::UpstreamFailed { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_deleted_upstream_is_gone_here_and_its_digest_is_not() {
    let (lab, first, _) = lab_without_trust().await;
    lab.upstream.delete_tag("team/app", "v1");
    assert!(matches!(lab.manifest("v1").await, Err(PullError::ManifestUnknown { .. })));
    assert!(lab.manifest(&first.to_string()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_immutable_tag_is_asked_for_once() {
    let lab = Lab::with(json!({ "tag_ttl": "0s", "immutable_tags": ["v*"] }), 1 << 30).await;
    lab.upstream.add_image("team/app", "v1", &Image::small(1, 3000));
    lab.manifest("v1").await.unwrap();
    lab.upstream.clear_log();
    assert_eq!(lab.manifest("v1").await.unwrap().1, PullOutcome::Hit);
    assert!(lab.upstream.requests().is_empty());
    let lab = lab.restart().await;
    lab.upstream.clear_log();
    assert_eq!(lab.manifest("v1").await.unwrap().1, PullOutcome::Hit);
    assert!(lab.upstream.requests().is_empty(), "the database remembers");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_come_from_upstream_and_in_bad_weather_from_the_cache() {
    let (lab, _, second) = lab_without_trust().await;
    lab.upstream.set_tag("team/app", "v2", &second);
    let tags = |answer: transship_registry::TagsAnswer| answer.tags.iter().map(ToString::to_string).collect::<Vec<_>>();
    let all = lab.registry.list_tags(&lab.route(), &TagsQuery::default()).await.unwrap();
    assert_eq!(tags(all), ["v1", "v2"]);
    let page = lab.registry.list_tags(&lab.route(), &TagsQuery { n: Some(1), last: None }).await.unwrap();
    assert_eq!(page.next.as_deref(), Some("v1"));
    lab.upstream.fault(Target::kind(Kind::Tags), Fault::status(503));
    let stale = lab.registry.list_tags(&lab.route(), &TagsQuery::default()).await.unwrap();
    assert_eq!(stale.outcome, PullOutcome::Stale);
    assert_eq!(tags(stale), ["v1"], "only what was pulled is known");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_moves_under_a_hundred_clients_is_one_image_or_the_other() {
    let lab = Lab::with(json!({ "tag_ttl": "0s" }), 1 << 30).await;
    let digests = [1, 2].map(|seed| lab.upstream.add_untagged("team/app", &Image::small(seed, 3000)));
    lab.upstream.set_tag("team/app", "v1", &digests[0]);
    lab.manifest("v1").await.unwrap();
    for round in 1..=10 {
        let pulls = (0..100).map(|number| {
            let lab = &lab;
            async move {
                if number == 50 {
                    lab.upstream.set_tag("team/app", "v1", &digests[round % 2]);
                }
                // The harness compares bytes and digest.
                Digest::sha256_of(&lab.manifest("v1").await.unwrap().0)
            }
        });
        let seen = futures_util::future::join_all(pulls).await;
        assert!(seen.iter().all(|digest| digests.contains(digest)), "round {round}");
        let after = Digest::sha256_of(&lab.manifest("v1").await.unwrap().0);
        assert_eq!(after, digests[round % 2], "round {round}: past its time to live the new one is seen");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_tag_that_comes_back_is_the_new_image() {
    let lab = Lab::with(json!({ "tag_ttl": "0s" }), 1 << 30).await;
    let first = lab.upstream.add_image("team/app", "v1", &Image::small(1, 3000));
    let second = lab.upstream.add_untagged("team/app", &Image::small(2, 3000));
    lab.manifest("v1").await.unwrap();
    lab.upstream.delete_tag("team/app", "v1");
    assert!(matches!(lab.manifest("v1").await, Err(PullError::ManifestUnknown { .. })));
    lab.upstream.set_tag("team/app", "v1", &second);
    // A 404 is believed for some seconds; not over a restart.
    let lab = lab.restart().await;
    assert_eq!(Digest::sha256_of(&lab.manifest("v1").await.unwrap().0), second);
    assert_eq!(
        lab.manifest(&first.to_string()).await.unwrap().1,
        PullOutcome::Hit,
        "the old one is still pulled by digest"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_is_another_at_every_request_is_never_mixed() {
    let lab = Lab::with(json!({ "tag_ttl": "0s" }), 1 << 30).await;
    let images = [1, 2].map(|seed| Image::small(seed, 3000));
    lab.upstream.add_untagged("team/app", &images[1]);
    let digest = lab.upstream.add_image("team/app", "v1", &images[0]);
    let other = &images[1].manifest;
    let headers = [("Content-Type", other.media_type.clone()), ("Docker-Content-Digest", other.digest.to_string())];
    let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    lab.upstream.fault(Target::manifest("v1").every(2), Fault::Reply(200, headers, other.bytes.clone()));
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..5 {
        let pulls = (0..20).map(|_| lab.manifest("v1"));
        for pulled in futures_util::future::join_all(pulls).await {
            seen.insert(Digest::sha256_of(&pulled.unwrap().0));
        }
    }
    assert!(seen.iter().all(|one| *one == digest || *one == other.digest), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_names_another_digest_does_not_move_a_tag() {
    let (mirrored, _mirrors) = Lab::mirrored(json!({ "tag_ttl": "0s" }), 1).await;
    for lab in [Lab::with(json!({ "tag_ttl": "0s" }), 1 << 30).await, mirrored] {
        let digest = lab.upstream.add_image("team/app", "v1", &Image::small(1, 3000));
        lab.manifest("v1").await.unwrap();
        let lie = Digest::sha256_of(b"a lie").to_string();
        lab.upstream.fault(Target::manifest("v1").head(), Fault::ContentDigest(DigestHeader::Says(lie)));
        for _ in 0..3 {
            let (bytes, outcome) = lab.manifest("v1").await.unwrap();
            assert_eq!(Digest::sha256_of(&bytes), digest, "what a GET brings counts");
            assert_eq!(outcome, PullOutcome::Revalidated);
        }
    }
}
