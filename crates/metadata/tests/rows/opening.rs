//! Opening: what is there is kept, what cannot be used is refused with a reason, and nothing is left behind.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use metadata::{Metadata, MetadataError};

use crate::fixture::{Fixture, at, digest, keys, parse};

async fn refused(fixture: &Fixture) -> MetadataError {
    Metadata::open(&fixture.path(), keys()).await.expect_err("it must not open")
}

#[tokio::test]
async fn closing_leaves_one_file_and_the_lock_file() {
    let fixture = Fixture::new();
    let metadata = fixture.open().await;
    metadata.put_blob(&digest("one"), 1, at(1)).await.unwrap();
    metadata.close().await;
    assert_eq!(fixture.files(), ["transship.db", "transship.db.lock"]);
    assert!(metadata.list_blobs().await.is_err(), "closed is closed");
}

#[tokio::test]
async fn only_the_owner_can_read_it() {
    let fixture = Fixture::new();
    let metadata = fixture.open().await;
    metadata.put_blob(&digest("one"), 1, at(1)).await.unwrap();
    for name in ["transship.db", "transship.db-wal"] {
        let mode = fs::metadata(fixture.path().with_file_name(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn what_was_acknowledged_is_there_without_a_clean_end() {
    let fixture = Fixture::new();
    let metadata = fixture.open().await;
    metadata.put_blob(&digest("one"), 1, at(1)).await.unwrap();
    // What a killed process leaves: the database and its log, nothing closed, nothing written back.
    let killed = Fixture::new();
    for name in ["transship.db", "transship.db-wal"] {
        fs::copy(fixture.path().with_file_name(name), killed.path().with_file_name(name)).unwrap();
    }
    let reopened = killed.open().await;
    assert_eq!(reopened.list_blobs().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_second_opening_is_refused_until_the_first_ends() {
    let fixture = Fixture::new();
    let first = fixture.open().await;
    let error = refused(&fixture).await;
    assert!(matches!(&error, MetadataError::InUse { path } if *path == fixture.path()), "{error:?}");
    first.put_blob(&digest("one"), 1, at(1)).await.unwrap();
    first.close().await;
    let second = fixture.open().await;
    assert_eq!(second.list_blobs().await.unwrap().len(), 1);
    let clone = second.clone();
    drop(second);
    assert!(matches!(refused(&fixture).await, MetadataError::InUse { .. }), "a clone still holds it");
    drop(clone);
    fixture.open().await;
}

#[tokio::test]
async fn a_failed_opening_gives_the_lock_back() {
    let fixture = Fixture::new();
    fs::write(fixture.path(), "not a database at all ".repeat(100)).unwrap();
    refused(&fixture).await;
    fs::remove_file(fixture.path()).unwrap();
    fixture.open().await;
}

#[tokio::test]
async fn a_file_of_something_else_is_refused_and_left_alone() {
    let fixture = Fixture::new();
    let text = "not a database at all ".repeat(100);
    fs::write(fixture.path(), &text).unwrap();
    let error = refused(&fixture).await;
    assert!(matches!(error, MetadataError::NotADatabase { .. }), "{error:?}");
    assert_eq!(fs::read_to_string(fixture.path()).unwrap(), text);
}

#[tokio::test]
async fn a_directory_is_refused() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.path()).unwrap();
    let error = refused(&fixture).await;
    assert!(matches!(error, MetadataError::NotADatabase { .. }), "{error:?}");
    assert!(fixture.path().is_dir());
}

#[tokio::test]
async fn a_missing_directory_is_named() {
    let fixture = Fixture::new();
    let path = fixture.path().join("missing").join("transship.db");
    let error = Metadata::open(&path, keys()).await.err().unwrap();
    assert!(matches!(error, MetadataError::Io { .. }), "{error:?}");
    assert!(error.to_string().contains("missing"), "{error}");
}

#[tokio::test]
async fn an_empty_file_becomes_a_database() {
    let fixture = Fixture::new();
    fs::write(fixture.path(), "").unwrap();
    fixture.open().await.insert_repository(&parse("lab"), "{}").await.unwrap();
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let fixture = Fixture::new();
    fixture.open().await.close().await;
    fixture
        .tamper(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             VALUES (4711, 'from the future', TRUE, x'00', 0)",
        )
        .await;
    let before = fs::read(fixture.path()).unwrap();
    let error = refused(&fixture).await;
    assert!(matches!(error, MetadataError::NewerSchema { found: 4711, .. }), "{error:?}");
    assert!(fs::read(fixture.path()).unwrap() == before, "the refused file was changed");
}

#[tokio::test]
async fn a_changed_migration_is_refused() {
    let fixture = Fixture::new();
    fixture.open().await.close().await;
    fixture.tamper("UPDATE _sqlx_migrations SET checksum = x'00'").await;
    let error = refused(&fixture).await;
    assert!(matches!(error, MetadataError::Migration { .. }), "{error:?}");
}
