//! Credentials at rest: nothing of a document can be read in any file, keys can change, a missing key loses nothing.

use metadata::{Metadata, MetadataError, SealingKey, SealingKeys};
use oci::RepoKey;
use sqlx::AssertSqlSafe;

use crate::fixture::{Fixture, keys, parse};

const CANARY: &str = "canary-4f1c9a";

fn document() -> String {
    format!(r#"{{"upstream":"https://registry.example","auth":{{"username":"ci","password":"{CANARY}"}}}}"#)
}

fn ring(current: u8, former: &[u8]) -> SealingKeys {
    let key = |byte: u8| SealingKey::from_bytes(&[byte; 32]);
    SealingKeys::new(key(current), former.iter().copied().map(key).collect())
}

/// Whether any file of the database holds the canary.
fn readable(fixture: &Fixture) -> bool {
    let folder = fixture.path().parent().unwrap().to_owned();
    fixture.files().iter().any(|name| {
        let bytes = std::fs::read(folder.join(name)).unwrap();
        bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes())
    })
}

async fn stored(metadata: &Metadata, key: &RepoKey) -> String {
    metadata.find_repository(key).await.unwrap().unwrap().document
}

#[tokio::test]
async fn no_file_of_the_database_holds_a_credential() {
    let fixture = Fixture::new();
    let metadata = fixture.open().await;
    let key: RepoKey = parse("corp");
    metadata.insert_repository(&key, &document()).await.unwrap();
    assert!(metadata.update_repository(&key, &document()).await.unwrap());
    assert!(!readable(&fixture), "in the log");
    metadata.close().await;
    assert!(!readable(&fixture), "in the database");
    assert_eq!(stored(&fixture.open().await, &key).await, document());
}

#[tokio::test]
async fn what_an_older_version_kept_in_the_clear_is_sealed_at_opening() {
    let fixture = Fixture::new();
    fixture.open().await.close().await;
    let row = format!(
        "INSERT INTO repositories (key, document, created_at, updated_at) VALUES ('corp', '{}', 1, 1)",
        document()
    );
    fixture.tamper(AssertSqlSafe(row)).await;
    assert!(readable(&fixture));
    let metadata = fixture.open().await;
    assert!(!readable(&fixture), "after opening");
    assert_eq!(stored(&metadata, &parse("corp")).await, document());
}

#[tokio::test]
async fn keys_change_while_running_and_the_former_is_then_not_needed() {
    let fixture = Fixture::new();
    let key: RepoKey = parse("corp");
    let metadata = Metadata::open(&fixture.path(), ring(1, &[])).await.unwrap();
    metadata.insert_repository(&key, &document()).await.unwrap();
    assert_eq!(metadata.change_keys(ring(2, &[1])).await.unwrap(), 1);
    assert_eq!(metadata.change_keys(ring(2, &[])).await.unwrap(), 0);
    assert_eq!(stored(&metadata, &key).await, document());
    metadata.close().await;
    let metadata = Metadata::open(&fixture.path(), ring(2, &[])).await.unwrap();
    assert_eq!(stored(&metadata, &key).await, document());
}

#[tokio::test]
async fn a_missing_key_is_named_and_loses_nothing() {
    let fixture = Fixture::new();
    let key: RepoKey = parse("corp");
    let metadata = Metadata::open(&fixture.path(), ring(1, &[])).await.unwrap();
    metadata.insert_repository(&key, &document()).await.unwrap();
    let refused = metadata.change_keys(ring(2, &[])).await.unwrap_err();
    assert!(matches!(refused, MetadataError::UnknownSealingKey { .. }));
    assert_eq!(stored(&metadata, &key).await, document(), "the keys before stay in use");
    metadata.close().await;

    let refused = Metadata::open(&fixture.path(), ring(3, &[2])).await.expect_err("no key fits");
    let named = ring(1, &[]).current().id().to_owned();
    assert!(matches!(&refused, MetadataError::UnknownSealingKey { key_id, .. } if *key_id == named), "{refused}");
    let metadata = Metadata::open(&fixture.path(), ring(1, &[])).await.unwrap();
    assert_eq!(stored(&metadata, &key).await, document());
}

#[tokio::test]
async fn a_document_moved_to_another_row_does_not_open() {
    let fixture = Fixture::new();
    let metadata = fixture.open().await;
    metadata.insert_repository(&parse("corp"), &document()).await.unwrap();
    metadata.insert_repository(&parse("lab"), "{}").await.unwrap();
    metadata.close().await;
    let moved =
        "UPDATE repositories SET document = (SELECT document FROM repositories WHERE key = 'corp') WHERE key = 'lab'";
    fixture.tamper(moved).await;
    let refused = Metadata::open(&fixture.path(), keys()).await.expect_err("it was moved");
    assert!(matches!(refused, MetadataError::CorruptRow { .. }), "{refused}");
}
