//! Repositories: stored as given, forgotten with their content and nothing else.

use metadata::{Metadata, MetadataError};
use oci::RepoKey;

use crate::fixture::{Fixture, digest, parse};
use crate::tags::observation;

const DOCUMENT: &str = r#"{"kind":"proxy","upstream":"https://registry.example","auth":{"password":"s3cr\u0065t"}}"#;

#[tokio::test]
async fn a_document_comes_back_as_stored_also_after_reopening() {
    let fixture = Fixture::new();
    let metadata = fixture.open().await;
    let (zeta, alpha): (RepoKey, RepoKey) = (parse("zeta"), parse("alpha"));
    metadata.insert_repository(&zeta, DOCUMENT).await.unwrap();
    metadata.insert_repository(&alpha, "{}").await.unwrap();
    metadata.close().await;

    let metadata = fixture.open().await;
    let keys: Vec<RepoKey> = metadata.list_repositories().await.unwrap().into_iter().map(|row| row.key).collect();
    assert_eq!(keys, [alpha, zeta.clone()]);
    let row = metadata.find_repository(&zeta).await.unwrap().unwrap();
    assert_eq!(row.document, DOCUMENT);
    assert_eq!(row.created_at, row.updated_at);
}

#[tokio::test]
async fn a_taken_key_is_refused_and_keeps_its_document() {
    let fixture = Fixture::new();
    let metadata = fixture.open().await;
    let key: RepoKey = parse("lab");
    metadata.insert_repository(&key, DOCUMENT).await.unwrap();
    let refused = metadata.insert_repository(&key, "{}").await.unwrap_err();
    assert!(matches!(refused, MetadataError::AlreadyExists { key: taken } if taken == key));
    assert_eq!(metadata.find_repository(&key).await.unwrap().unwrap().document, DOCUMENT);
}

#[tokio::test]
async fn updating_and_deleting_say_whether_there_was_one() {
    let fixture = Fixture::new();
    let metadata = fixture.open().await;
    let key: RepoKey = parse("lab");
    assert!(!metadata.update_repository(&key, "{}").await.unwrap());
    assert!(!metadata.delete_repository(&key).await.unwrap());
    metadata.insert_repository(&key, "{}").await.unwrap();
    assert!(metadata.update_repository(&key, DOCUMENT).await.unwrap());
    let row = metadata.find_repository(&key).await.unwrap().unwrap();
    assert_eq!(row.document, DOCUMENT);
    assert!(row.updated_at >= row.created_at);
    assert!(metadata.delete_repository(&key).await.unwrap());
    assert!(metadata.find_repository(&key).await.unwrap().is_none());
}

/// Gives the repository a tag with history and a link.
async fn fill(metadata: &Metadata, key: &RepoKey) {
    metadata.observe_tag(observation("one", 1, 1).of(key)).await.unwrap();
    metadata.link(key, &parse("library/debian"), &digest("layer")).await.unwrap();
}

/// Whether the repository has its tag, its history, its link.
async fn content(metadata: &Metadata, key: &RepoKey) -> (bool, bool, bool) {
    let (name, tag) = (parse("library/debian"), parse("latest"));
    let tags = metadata.find_tag(key, &name, &tag).await.unwrap().is_some();
    let history = !metadata.tag_history(key, &name, &tag, 10).await.unwrap().is_empty();
    let link = metadata.is_linked(key, &name, &digest("layer")).await.unwrap();
    (tags, history, link)
}

#[tokio::test]
async fn content_goes_with_its_repository_and_only_that() {
    let fixture = Fixture::new();
    let metadata = fixture.open().await;
    let (deleted, repointed, kept): (RepoKey, RepoKey, RepoKey) = (parse("one"), parse("two"), parse("three"));
    for key in [&deleted, &repointed, &kept] {
        metadata.insert_repository(key, DOCUMENT).await.unwrap();
        fill(&metadata, key).await;
    }
    metadata.delete_repository(&deleted).await.unwrap();
    metadata.forget_repository_content(&repointed).await.unwrap();
    assert_eq!(content(&metadata, &deleted).await, (false, false, false));
    assert_eq!(content(&metadata, &repointed).await, (false, false, false));
    assert_eq!(content(&metadata, &kept).await, (true, true, true));
    assert!(metadata.find_repository(&repointed).await.unwrap().is_some());
}
