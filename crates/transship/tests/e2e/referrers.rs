//! Referrers through the proxy: from upstream's API or tags, kept, filtered, and never a 404.
//!
//! Must not know: how upstreams are asked. Invariant: what a client is told is what upstream told last.

use oci::{Digest, MediaType, Referrer, referrers_index};
use serde_json::{Value, json};
use testkit::image::Image;
use testkit::upstream::{Fault, Target};

use crate::http::Answer;
use crate::lab::{Lab, NAME};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn referrer(artifact_type: &str) -> Referrer {
    Referrer {
        media_type: MediaType::OCI_IMAGE_MANIFEST,
        digest: Digest::sha256_of(artifact_type.as_bytes()),
        size: 7,
        artifact_type: Some(artifact_type.to_owned()),
        annotations: Some([("org.example".to_owned(), "kept".to_owned())].into()),
    }
}

fn path(subject: &Digest) -> String {
    format!("/v2/lab/{NAME}/referrers/{subject}")
}

fn listed(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), INDEX);
    let index: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((&index["schemaVersion"], &index["mediaType"]), (&json!(2), &json!(INDEX)));
    let one = |one: &Value| one["artifactType"].as_str().unwrap().to_owned();
    index["manifests"].as_array().unwrap().iter().map(one).collect()
}

fn told_by_api(lab: &Lab, referrers: &[Referrer]) {
    let headers = vec![("Content-Type".to_owned(), INDEX.to_owned())];
    lab.upstream
        .fault(Target::any().path("/referrers/"), Fault::Reply(200, headers, referrers_index(referrers).into()));
}

fn questions(lab: &Lab) -> usize {
    lab.upstream.requests().iter().filter(|request| request.path.contains("/referrers/")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_api_tells_is_kept_filtered_and_paged() {
    let lab = Lab::start();
    let image = Image::small(1, 1_000);
    lab.upstream.add_image(NAME, "1", &image);
    let subject = image.manifest.digest;
    told_by_api(&lab, &[referrer("application/sbom"), referrer("application/sig"), referrer("application/sbom2")]);

    let all = lab.get(&path(&subject)).await;
    assert_eq!(listed(&all), ["application/sbom", "application/sig", "application/sbom2"]);
    assert_eq!(all.header("oci-filters-applied"), "");
    let etag = all.header("etag").to_owned();
    let signed = lab.get(&format!("{}?artifactType=application%2Fsig", path(&subject))).await;
    assert_eq!(listed(&signed), ["application/sig"]);
    assert_eq!(signed.header("oci-filters-applied"), "artifactType");
    assert!(signed.text().contains("org.example"), "annotations are kept");
    let first = lab.get(&format!("{}?n=2", path(&subject))).await;
    assert_eq!(listed(&first).len(), 2);
    let link = first.header("link").to_owned();
    let next = link.trim_start_matches('<').split('>').next().unwrap();
    assert_eq!(listed(&lab.get(next).await), ["application/sbom2"]);
    let unchanged = lab.get_with(&path(&subject), &[("If-None-Match", &etag)]).await;
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    assert_eq!(questions(&lab), 1, "all of that took one question");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_told_is_still_told_when_upstream_is_gone_and_after_a_restart() {
    let mut lab = Lab::with_repository(json!({ "tag_ttl": "0s" }));
    let subject = Digest::sha256_of(b"signed");
    told_by_api(&lab, &[referrer("application/sig")]);
    assert_eq!(listed(&lab.get(&path(&subject)).await), ["application/sig"]);
    lab.upstream.stop();
    lab.transship.terminate();
    lab.transship.start_again();
    let stale = lab.get(&path(&subject)).await;
    assert_eq!(listed(&stale), ["application/sig"]);
    assert!(stale.header("warning").contains("stale"), "it says so");
    let unknown = lab.get(&path(&Digest::sha256_of(b"never asked for"))).await;
    assert!(unknown.status >= 500, "an outage is not an empty list: {}", unknown.status);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_api_the_tag_counts_and_without_either_the_list_is_empty() {
    let lab = Lab::start();
    let subject = Digest::sha256_of(b"subject");
    assert_eq!(listed(&lab.get(&path(&subject)).await), Vec::<String>::new());
    let odd = lab.get(&format!("/v2/lab/{NAME}/referrers/sha256:short")).await;
    assert_eq!(odd.status, 400);
    let head = crate::http::send(&lab.client, "HEAD", &lab.url(&path(&subject)), &[], Vec::new()).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}
