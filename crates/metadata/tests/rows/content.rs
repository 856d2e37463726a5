//! Manifests, links, descriptors and blobs.

use std::time::{Duration, SystemTime};

use metadata::{BlobRow, DescriptorRow, ManifestRow, Metadata};
use oci::{Descriptor, Digest, ManifestFacts, MediaType};

use crate::fixture::{Fixture, at, digest, parse};

/// An image manifest with a configuration and layers, as bytes and facts.
fn manifest(layers: &[(&str, u64)]) -> (ManifestRow, ManifestFacts) {
    let layers: Vec<String> = layers.iter().map(|(of, size)| descriptor("layer.v1.tar", of, *size)).collect();
    let text = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{},"layers":[{}],"subject":{}}}"#,
        MediaType::OCI_IMAGE_MANIFEST.as_str(),
        descriptor("config.v1+json", "config", 7),
        layers.join(","),
        descriptor("manifest.v1+json", "subject", 9),
    );
    parsed(&text)
}

fn descriptor(kind: &str, of: &str, size: u64) -> String {
    format!(r#"{{"mediaType":"application/vnd.oci.image.{kind}","digest":"{}","size":{size}}}"#, digest(of))
}

fn parsed(text: &str) -> (ManifestRow, ManifestFacts) {
    let facts = ManifestFacts::parse(text.as_bytes(), None).unwrap();
    let row = ManifestRow {
        digest: Digest::sha256_of(text.as_bytes()),
        media_type: facts.media_type.clone(),
        size: text.len() as u64,
    };
    (row, facts)
}

async fn put(metadata: &Metadata, repo: &str, (row, facts): &(ManifestRow, ManifestFacts)) {
    metadata.put_manifest(&parse(repo), &parse("app"), row, facts).await.unwrap();
}

async fn listed(metadata: &Metadata, repo: &str, name: &str, of: &str) -> Option<DescriptorRow> {
    metadata.find_listed(&parse(repo), &parse(name), &digest(of)).await.unwrap()
}

async fn linked(metadata: &Metadata, repo: &str, name: &str, digest: &Digest) -> bool {
    metadata.is_linked(&parse(repo), &parse(name), digest).await.unwrap()
}

#[tokio::test]
async fn a_manifest_brings_its_facts_and_a_link_to_itself_only() {
    let fixture = Fixture::new();
    let metadata = fixture.open().await;
    let image = manifest(&[("one", 1), ("two", 2), ("one", 1)]);
    put(&metadata, "hub", &image).await;
    put(&metadata, "hub", &image).await;

    assert_eq!(metadata.find_manifest(&image.0.digest).await.unwrap().as_ref(), Some(&image.0));
    for of in ["config", "one", "two"] {
        assert!(!linked(&metadata, "hub", "app", &digest(of)).await, "{of}: a claim is no link");
        assert!(listed(&metadata, "hub", "app", of).await.is_some(), "{of}");
        assert!(listed(&metadata, "hub", "other", of).await.is_none(), "{of}");
        assert!(listed(&metadata, "ghcr", "app", of).await.is_none(), "{of}");
    }
    assert!(linked(&metadata, "hub", "app", &image.0.digest).await);
    let two = listed(&metadata, "hub", "app", "two").await.unwrap();
    assert_eq!(two, DescriptorRow { media_type: parse("application/vnd.oci.image.layer.v1.tar"), size: 2 });
    assert_eq!(listed(&metadata, "hub", "app", "subject").await, None);
    assert_eq!(metadata.find_manifest(&digest("two")).await.unwrap(), None);
}

#[tokio::test]
async fn an_index_lists_its_children() {
    let fixture = Fixture::new();
    let metadata = fixture.open().await;
    let children: Vec<String> = (0..1000).map(|n| descriptor("manifest.v1+json", &format!("child {n}"), n)).collect();
    let text = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, children.join(","));
    let index = parsed(&text);
    put(&metadata, "hub", &index).await;
    assert!(!linked(&metadata, "hub", "app", &digest("child 0")).await);
    assert_eq!(listed(&metadata, "hub", "app", "child 0").await.unwrap().size, 0);
    assert_eq!(listed(&metadata, "hub", "app", "child 999").await.unwrap().size, 999);
}

#[tokio::test]
async fn a_manifest_that_cannot_be_stored_whole_leaves_nothing() {
    let fixture = Fixture::new();
    let metadata = fixture.open().await;
    let (row, mut facts) = manifest(&[("one", 1), ("two", 2)]);
    let template = facts.layers[1].clone();
    facts.layers[1] = Descriptor { size: u64::MAX, ..template };
    metadata.put_manifest(&parse("hub"), &parse("app"), &row, &facts).await.unwrap_err();
    assert_eq!(metadata.find_manifest(&row.digest).await.unwrap(), None);
    assert!(!linked(&metadata, "hub", "app", &digest("one")).await);
    assert_eq!(listed(&metadata, "hub", "app", "one").await, None);
}

#[tokio::test]
async fn manifests_that_disagree_about_a_size_answer_nothing() {
    let fixture = Fixture::new();
    let metadata = fixture.open().await;
    let liar = manifest(&[("shared", 5)]);
    put(&metadata, "hub", &manifest(&[("shared", 100)])).await;
    put(&metadata, "hub", &liar).await;
    assert_eq!(listed(&metadata, "hub", "app", "shared").await, None);
    assert_eq!(listed(&metadata, "hub", "app", "config").await.unwrap().size, 7, "they agree on this one");
    metadata.delete_blob(&liar.0.digest).await.unwrap();
    assert_eq!(listed(&metadata, "hub", "app", "shared").await.unwrap().size, 100);
}

#[tokio::test]
async fn links_are_made_and_taken_back_one_by_one() {
    let fixture = Fixture::new();
    let metadata = fixture.open().await;
    let (repo, name) = (parse("hub"), parse("app"));
    metadata.link(&repo, &name, &digest("one")).await.unwrap();
    metadata.link(&repo, &name, &digest("one")).await.unwrap();
    metadata.link(&repo, &name, &digest("two")).await.unwrap();
    assert!(metadata.unlink(&repo, &name, &digest("one")).await.unwrap());
    assert!(!metadata.unlink(&repo, &name, &digest("one")).await.unwrap());
    assert!(!linked(&metadata, "hub", "app", &digest("one")).await);
    assert!(linked(&metadata, "hub", "app", &digest("two")).await);
}

#[tokio::test]
async fn blobs_are_listed_by_last_use_also_after_reopening() {
    let fixture = Fixture::new();
    let metadata = fixture.open().await;
    for (of, seconds) in [("b", 2), ("a", 1), ("c", 3)] {
        metadata.put_blob(&digest(of), 1 << 40, at(seconds)).await.unwrap();
    }
    metadata.touch_blobs(&[(digest("a"), at(9)), (digest("not here"), at(9)), (digest("b"), at(1))]).await.unwrap();
    metadata.touch_blobs(&[]).await.unwrap();
    metadata.close().await;

    let metadata = fixture.open().await;
    let row = |of: &str, seconds| BlobRow { digest: digest(of), size_bytes: 1 << 40, last_used: at(seconds) };
    assert_eq!(metadata.list_blobs().await.unwrap(), [row("b", 1), row("c", 3), row("a", 9)]);
    assert_eq!(metadata.oldest_blobs(2).await.unwrap(), [row("b", 1), row("c", 3)]);
    assert_eq!(metadata.find_blob(&digest("c")).await.unwrap(), Some(row("c", 3)));
    assert_eq!(metadata.find_blob(&digest("not here")).await.unwrap(), None);
    metadata.put_blob(&digest("c"), 5, at(4)).await.unwrap();
    assert_eq!(metadata.find_blob(&digest("c")).await.unwrap().unwrap().size_bytes, 5);
}

#[tokio::test]
async fn times_before_1970_and_far_ahead_survive() {
    let fixture = Fixture::new();
    let metadata = fixture.open().await;
    for (of, time) in [
        ("before", SystemTime::UNIX_EPOCH - Duration::from_millis(1_500)),
        ("after 2038", SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 33)),
    ] {
        metadata.put_blob(&digest(of), 1, time).await.unwrap();
        assert_eq!(metadata.find_blob(&digest(of)).await.unwrap().unwrap().last_used, time, "{of}");
    }
}

#[tokio::test]
async fn a_deleted_blob_takes_its_facts_along_but_not_its_links() {
    let fixture = Fixture::new();
    let metadata = fixture.open().await;
    let (gone, kept) = (manifest(&[("one", 1)]), manifest(&[("two", 2)]));
    for image in [&gone, &kept] {
        put(&metadata, "hub", image).await;
        metadata.put_blob(&image.0.digest, image.0.size, at(1)).await.unwrap();
    }
    assert!(metadata.delete_blob(&gone.0.digest).await.unwrap());
    assert!(!metadata.delete_blob(&gone.0.digest).await.unwrap());
    assert_eq!(metadata.find_manifest(&gone.0.digest).await.unwrap(), None);
    assert_eq!(listed(&metadata, "hub", "app", "one").await, None);
    assert!(linked(&metadata, "hub", "app", &gone.0.digest).await);
    assert_eq!(metadata.find_manifest(&kept.0.digest).await.unwrap().as_ref(), Some(&kept.0));
    assert_eq!(listed(&metadata, "hub", "app", "two").await.unwrap().size, 2);
}
