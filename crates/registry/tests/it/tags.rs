//! Tags: trust, revalidation, stale service, movement, deletion, lists.

use oci::Digest;
use serde_json::json;
use testkit::image::Image;
use testkit::upstream::{Fault, Kind, Target};
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
