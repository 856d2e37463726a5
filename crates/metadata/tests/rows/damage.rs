//! Damage: found when opening where it can be, and a typed error where it cannot.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;

use metadata::{Metadata, MetadataError};
use oci::{Descriptor, ManifestFacts, MediaType};

use crate::fixture::{Fixture, at, digest, keys, parse};
use crate::tags::observation;

#[tokio::test]
async fn a_damaged_page_is_found_when_opening() {
    let fixture = Fixture::new();
    let metadata = fixture.open().await;
    for n in 0..500 {
        metadata.put_blob(&digest(&format!("blob {n}")), 1, at(n)).await.unwrap();
    }
    metadata.close().await;
    let file = OpenOptions::new().write(true).open(fixture.path()).unwrap();
    let length = file.metadata().unwrap().len();
    file.write_all_at(&[0xa5; 4096], length / 8192 * 4096).unwrap();
    let error = Metadata::open(&fixture.path(), keys()).await.expect_err("it must not open");
    assert!(matches!(error, MetadataError::Damaged { .. }), "{error:?}");
}

#[tokio::test]
async fn a_file_cut_short_is_found_when_opening() {
    let fixture = Fixture::new();
    fixture.open().await.close().await;
    let file = OpenOptions::new().write(true).open(fixture.path()).unwrap();
    file.set_len(file.metadata().unwrap().len() / 8192 * 4096).unwrap();
    let error = Metadata::open(&fixture.path(), keys()).await.expect_err("it must not open");
    assert!(matches!(error, MetadataError::Damaged { .. }), "{error:?}");
}

fn place(error: &MetadataError) -> (&'static str, &'static str) {
    let MetadataError::CorruptRow { table, column, .. } = error else { panic!("{error:?}") };
    (table, column)
}

#[tokio::test]
async fn values_that_do_not_parse_are_errors_that_name_their_place() {
    let fixture = Fixture::new();
    let metadata = fixture.open().await;
    metadata.observe_tag(observation("one", 1, 1).into()).await.unwrap();
    metadata.insert_repository(&parse("lab"), "{}").await.unwrap();
    metadata.put_blob(&digest("one"), 1, at(1)).await.unwrap();
    fixture
        .tamper(
            "UPDATE tags SET digest = 'sha256:short'; UPDATE tag_events SET upstream = x'ff'; \
             UPDATE repositories SET key = 'Not A Key'; UPDATE blobs SET size_bytes = -1;",
        )
        .await;

    let (repo, name, tag) = (parse("hub"), parse("library/debian"), parse("latest"));
    let find = metadata.find_tag(&repo, &name, &tag).await.unwrap_err();
    assert_eq!(place(&find), ("tags", "digest"));
    let history = metadata.tag_history(&repo, &name, &tag, 1).await.unwrap_err();
    assert_eq!(place(&history), ("tag_events", "upstream"));
    let list = metadata.list_repositories().await.err().unwrap();
    assert_eq!(place(&list), ("repositories", "key"));
    let blobs = metadata.list_blobs().await.unwrap_err();
    assert_eq!(place(&blobs), ("blobs", "size_bytes"));

    fixture.tamper("UPDATE tags SET tag = 'no tag!'; UPDATE blobs SET size_bytes = 1, last_used = 'noon'").await;
    assert_eq!(place(&metadata.list_tags(&repo, &name).await.unwrap_err()), ("tags", "tag"));
    assert_eq!(place(&metadata.find_blob(&digest("one")).await.unwrap_err()), ("blobs", "last_used"));
}

#[tokio::test]
async fn times_at_the_ends_of_the_column_do_not_panic() {
    let fixture = Fixture::new();
    let metadata = fixture.open().await;
    metadata.put_blob(&digest("one"), 1, at(1)).await.unwrap();
    fixture.tamper("UPDATE blobs SET last_used = 9223372036854775807").await;
    let last = metadata.find_blob(&digest("one")).await.unwrap().unwrap().last_used;
    assert!(last > at(1));
    fixture.tamper("UPDATE blobs SET last_used = -9223372036854775808").await;
    let first = metadata.find_blob(&digest("one")).await.unwrap().unwrap().last_used;
    assert!(first < at(1));
}

#[tokio::test]
async fn a_missing_table_is_an_error_and_not_an_empty_answer() {
    let fixture = Fixture::new();
    let metadata = fixture.open().await;
    fixture.tamper("DROP TABLE descriptors; DROP TABLE links").await;
    assert!(matches!(
        metadata.find_listed(&parse("hub"), &parse("app"), &digest("one")).await,
        Err(MetadataError::Database { .. })
    ));
    let facts = ManifestFacts {
        media_type: MediaType::OCI_IMAGE_INDEX,
        config: None,
        layers: Vec::<Descriptor>::new(),
        manifests: Vec::new(),
        subject: None,
        artifact_type: None,
    };
    let row = metadata::ManifestRow { digest: digest("m"), media_type: MediaType::OCI_IMAGE_INDEX, size: 1 };
    metadata.put_manifest(&parse("hub"), &parse("app"), &row, &facts).await.unwrap_err();
    assert_eq!(metadata.find_manifest(&digest("m")).await.unwrap(), None, "half a manifest is none");
}
