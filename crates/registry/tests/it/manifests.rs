//! Manifests by tag and digest: exact bytes, single flight, what is refused.

use oci::Digest;
use testkit::image::{Image, Manifest};
use testkit::upstream::{Fault, Target};
use transship_registry::{PullError, PullOutcome};

use crate::harness::Lab;

fn image() -> Image {
    Image::small(1, 3000)
}

#[tokio::test(flavor = "multi_thread")]
async fn by_tag_then_by_digest_asks_upstream_once() {
    let lab = Lab::new().await;
    let digest = lab.upstream.add_image("team/app", "v1", &image());
    let (bytes, outcome) = lab.manifest("v1").await.unwrap();
    assert_eq!(outcome, PullOutcome::Miss);
    assert_eq!(Digest::sha256_of(&bytes), digest);
    let before = lab.upstream.requests().len();
    assert_eq!(lab.manifest("v1").await.unwrap(), (bytes.clone(), PullOutcome::Hit));
    assert_eq!(lab.manifest(&digest.to_string()).await.unwrap(), (bytes, PullOutcome::Hit));
    assert_eq!(lab.upstream.requests().len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_pull_by_digest_works() {
    let lab = Lab::new().await;
    let digest = lab.upstream.add_untagged("team/app", &image());
    assert_eq!(lab.manifest(&digest.to_string()).await.unwrap().1, PullOutcome::Miss);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_cold_pulls_of_a_tag_cost_upstream_one_request() {
    let lab = Lab::new().await;
    lab.upstream.add_image("team/app", "v1", &image());
    let mut pulls = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (registry, route) = (lab.registry.clone(), lab.route());
        pulls.spawn(async move { registry.pull_manifest(&route, &"v1".parse().unwrap()).await.unwrap().digest });
    }
    while let Some(done) = pulls.join_next().await {
        done.unwrap();
    }
    let asked = lab.upstream.requests().iter().filter(|r| r.path.contains("/manifests/")).count();
    assert_eq!(asked, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_served_with_upstream_down_and_after_a_restart() {
    let mut lab = Lab::new().await;
    let image = image();
    let digest = lab.upstream.add_image("team/app", "v1", &image);
    lab.manifest("v1").await.unwrap();
    for layer in image.layers() {
        lab.blob(&layer.digest).await.unwrap();
        lab.wait_stored(&layer.digest).await;
    }
    lab.upstream.stop();
    let lab = lab.restart().await;
    assert!(lab.manifest("v1").await.is_ok());
    assert_eq!(lab.manifest(&digest.to_string()).await.unwrap().1, PullOutcome::Hit);
    for layer in image.layers() {
        assert_eq!(lab.blob(&layer.digest).await.unwrap().1, PullOutcome::Hit);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_by_digest_that_hashes_to_another_is_never_served() {
    let lab = Lab::new().await;
    let digest = lab.upstream.add_image("team/app", "v1", &image());
    let other = Manifest::from_bytes("application/vnd.oci.image.manifest.v1+json", br#"{"schemaVersion":2}"#.to_vec());
    lab.upstream
        .fault(Target::manifest(&digest.to_string()).get().first(1), Fault::ReplaceBody(other.bytes.clone(), None));
    assert!(matches!(lab.manifest(&digest.to_string()).await, Err(PullError::Corrupt { .. })));
    assert!(lab.manifest(&digest.to_string()).await.is_ok(), "nothing wrong was kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_nonsense_are_not_manifests() {
    for fault in [Fault::html_page(), Fault::ReplaceBody("[1,2".into(), None)] {
        let lab = Lab::new().await;
        lab.upstream.add_image("team/app", "v1", &image());
        lab.upstream.fault(Target::manifest("v1").get(), fault);
        let error = lab.manifest("v1").await.unwrap_err();
        assert!(
            matches!(
                error,
                PullError::UpstreamFailed { .. } | PullError::ManifestInvalid { .. } | PullError::Corrupt { .. }
            ),
            "{error:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_become_the_right_errors() {
    for (status, check) in [
        (404, (|e| matches!(e, PullError::ManifestUnknown { .. })) as fn(&PullError) -> bool),
        (403, |e| matches!(e, PullError::Denied { .. })),
        (401, |e| matches!(e, PullError::Denied { .. })),
        (429, |e| matches!(e, PullError::RateLimited { .. })),
        (500, |e| matches!(e, PullError::UpstreamFailed { .. })),
        (503, |e| matches!(e, PullError::UpstreamFailed { .. })),
    ] {
        let lab = Lab::new().await;
        lab.upstream.add_image("team/app", "v1", &image());
        lab.upstream.fault(Target::any(), Fault::status(status));
        let error = lab.manifest("v1").await.unwrap_err();
        assert!(check(&error), "{status}: {error:?}");
        assert_eq!(error.said().and_then(|said| said.status), Some(status));
    }
}
