//! `referrers`: where a repository looks for who refers to a manifest.

use oci::{Digest, MediaType, Referrer, referrers_index};
use serde_json::json;
use testkit::image::Image;
use testkit::upstream::{Fault, Kind, Target};

use crate::harness::Lab;

fn referrer(artifact_type: &str) -> Referrer {
    Referrer {
        media_type: MediaType::OCI_IMAGE_MANIFEST,
        digest: Digest::sha256_of(artifact_type.as_bytes()),
        size: 7,
        artifact_type: Some(artifact_type.to_owned()),
        annotations: None,
    }
}

/// What is told by a repository with this field, at an upstream whose API and whose tag each tell something else; and what
/// it asked.
async fn told(field: &str, profile: &str) -> (Vec<String>, Vec<String>) {
    let lab = Lab::with(json!({ "referrers": field, "profile": profile }), 1 << 30).await;
    let image = Image::small(1, 3000);
    let subject = lab.upstream.add_image("team/app", "v1", &image);
    let index = |artifact_type: &str| {
        let headers = vec![("Content-Type".to_owned(), "application/vnd.oci.image.index.v1+json".to_owned())];
        Fault::Reply(200, headers, referrers_index(&[referrer(artifact_type)]).into())
    };
    lab.upstream.fault(Target::any().path("/referrers/"), index("by/api"));
    lab.upstream.fault(Target::kind(Kind::Manifest).path(&format!("sha256-{}", subject.hex())), index("by/tag"));
    let answer = lab.registry.referrers(&lab.route(), &subject).await.unwrap();
    let listed = answer.listed.iter().filter_map(|one| one.artifact_type.clone()).collect();
    (listed, lab.upstream.requests().into_iter().map(|request| request.path).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_place_is_asked_alone_where_that_is_written() {
    let (listed, _) = told("auto", "distribution").await;
    assert_eq!(listed, ["by/tag"], "its profile knows that there is no API");
    let (listed, _) = told("auto", "harbor").await;
    assert_eq!(listed, ["by/api"]);
    let (listed, asked) = told("api", "distribution").await;
    assert_eq!(listed, ["by/api"], "the operator knows better");
    assert!(asked.iter().all(|path| path.contains("/referrers/")), "{asked:?}");
    let (listed, asked) = told("tag", "harbor").await;
    assert_eq!(listed, ["by/tag"]);
    assert!(!asked.iter().any(|path| path.contains("/referrers/")), "{asked:?}");
    let (listed, asked) = told("none", "harbor").await;
    assert!(listed.is_empty() && asked.is_empty(), "{listed:?} {asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_without_the_api_tells_of_none_when_only_that_is_asked() {
    let lab = Lab::with(json!({ "referrers": "api" }), 1 << 30).await;
    let subject = lab.upstream.add_image("team/app", "v1", &Image::small(1, 3000));
    let answer = lab.registry.referrers(&lab.route(), &subject).await.unwrap();
    assert!(answer.listed.is_empty());
    lab.upstream.fault(Target::any(), Fault::status(500));
    let other = Digest::sha256_of(b"another");
    lab.registry.referrers(&lab.route(), &other).await.unwrap_err();
}
