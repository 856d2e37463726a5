//! How a staged blob becomes visible.

use std::io;

use oci::{ByteRange, Digest};

use super::{Fixture, fill, sample};
use crate::error::StoreError;

/// A published blob is there with its bytes, and its staged files are gone.
pub async fn a_published_blob_is_visible_and_leaves_no_staged_file(fixture: &Fixture) {
    let bytes = sample(11, 1_300_000);
    let staged = fixture.stage(&bytes);
    assert_eq!(fixture.store.stat(staged.digest()).await.expect("stat works"), None, "not before it is published");
    assert_eq!(fixture.staging.list().expect("list works").len(), 1);
    fixture.store.publish(&staged).await.expect("publish works");
    assert_eq!(fixture.staging.list().expect("list works"), vec![]);
    fixture.assert_holds_only(&[&bytes]).await;
}

/// A handle that was kept cannot reach the published bytes, nor bring a staged file back.
pub async fn nobody_changes_a_published_blob(fixture: &Fixture) {
    let bytes = sample(12, 10_000);
    let staged = fixture.stage(&bytes);
    fixture.store.publish(&staged).await.expect("publish works");

    let late = staged.write_at(0, b"late").expect_err("a late write is refused");
    assert_eq!(late.kind(), io::ErrorKind::StaleNetworkFileHandle);
    staged.checkpoint().expect("a late checkpoint does nothing");
    fixture.assert_holds_only(&[&bytes]).await;
    staged.discard().expect("a late discard does nothing");
    fixture.staging.remove(staged.digest()).expect("a late removal does nothing");
    fixture.assert_holds_only(&[&bytes]).await;

    let again = fixture.staging.open_blob(staged.digest()).expect("a new staged blob opens");
    assert!(again.present().is_empty(), "it shares nothing with the published one");
    again.write_at(0, b"other").expect("it takes writes");
    staged.discard().expect("the old handle does not reach the new files");
    again.write_at(5, b"bytes").expect("it still takes writes");
    assert!(again.allocated_bytes().expect("its file is there") > 0);
    assert_eq!(fixture.staged_files().len(), 1);
    again.discard().expect("discard works");
    fixture.assert_holds_only(&[&bytes]).await;
}

/// A blob with a gap, without a size, or with a file of another length is refused, and goes on growing.
pub async fn incomplete_blobs_are_refused_and_can_be_completed(fixture: &Fixture) {
    let bytes = sample(13, 9_000);
    let staged = fixture.staging.open_blob(&Digest::sha256_of(&bytes)).expect("a staged blob opens");
    fill(&staged, 0, &bytes[..4_000]);
    fill(&staged, 5_000, &bytes[5_000..]);
    assert_refused(fixture, &staged, 8_000).await;
    staged.set_size(9_000).expect("the size is new");
    assert_refused(fixture, &staged, 8_000).await;
    staged.set_size(8_999).expect_err("a second size is refused");
    staged.write_at(8_999, b"??").expect_err("bytes past the size are refused");

    fill(&staged, 4_000, &bytes[4_000..5_000]);
    fixture.store.publish(&staged).await.expect("now it is complete");
    fixture.assert_holds_only(&[&bytes]).await;

    let never_written = fixture.staging.open_blob(&Digest::sha256_of(b"claimed")).expect("a staged blob opens");
    never_written.record(ByteRange { start: 0, end: 7 });
    never_written.set_size(7).expect("the size is new");
    assert_refused(fixture, &never_written, 0).await;
    never_written.discard().expect("discard works");
    fixture.assert_holds_only(&[&bytes]).await;
}

async fn assert_refused(fixture: &Fixture, staged: &crate::StagedBlob, expected: u64) {
    let refused = fixture.store.publish(staged).await;
    let Err(StoreError::Incomplete { digest, present, size }) = refused else {
        panic!("expected a refusal, got {refused:?}");
    };
    assert_eq!((digest, present, size), (*staged.digest(), expected, staged.size()));
    assert_eq!(fixture.store.stat(staged.digest()).await.expect("stat works"), None);
}

/// Publishing what the store holds already keeps the stored blob and drops the staged one.
pub async fn a_blob_already_there_is_kept(fixture: &Fixture) {
    let bytes = sample(14, 20_000);
    fixture.store.put(&Digest::sha256_of(&bytes), bytes.clone()).await.expect("put works");
    let before = fixture.store.list().await.expect("list works");
    fixture.store.publish(&fixture.stage(&bytes)).await.expect("publish works");
    assert_eq!(fixture.store.list().await.expect("list works"), before);
    fixture.assert_holds_only(&[&bytes]).await;
}

/// Publishing twice is fine while the blob is there; afterwards it would be a lie.
pub async fn publishing_again_is_ok_until_the_blob_is_deleted(fixture: &Fixture) {
    let bytes = sample(15, 20_000);
    let staged = fixture.stage(&bytes);
    fixture.store.publish(&staged).await.expect("publish works");
    fixture.store.publish(&staged.clone()).await.expect("publish works again");
    fixture.assert_holds_only(&[&bytes]).await;

    fixture.store.delete(staged.digest()).await.expect("delete works");
    let gone = fixture.store.publish(&staged).await;
    assert!(matches!(gone, Err(StoreError::Gone { digest }) if digest == *staged.digest()), "{gone:?}");
    fixture.assert_holds_only(&[]).await;
}

/// Discarding is final, whoever asked for it.
pub async fn a_discarded_blob_is_never_published(fixture: &Fixture) {
    for discard_through_staging in [false, true] {
        let staged = fixture.stage(&sample(16, 20_000));
        if discard_through_staging {
            fixture.staging.remove(staged.digest()).expect("remove works");
        } else {
            staged.discard().expect("discard works");
        }
        staged.write_at(0, b"late").expect_err("a late write is refused");
        let gone = fixture.store.publish(&staged).await;
        assert!(matches!(gone, Err(StoreError::Gone { .. })), "{gone:?}");
        fixture.assert_holds_only(&[]).await;
    }
}

/// Whoever follows a growing blob reads on through its publishing and deletion.
pub async fn staged_readers_go_on_after_publishing(fixture: &Fixture) {
    let bytes = sample(17, 400_000);
    let staged = fixture.stage(&bytes);
    let reader = staged.reader();
    let early = reader.read_at(0, 1_000, &fixture.pool).await.expect("readable");
    fixture.store.publish(&staged).await.expect("publish works");
    assert_eq!(fixture.read_all(reader.as_ref()).await, bytes);
    fixture.store.delete(staged.digest()).await.expect("delete works");
    assert_eq!(fixture.read_all(reader.as_ref()).await, bytes);
    assert_eq!(early, bytes[..1_000]);
    drop(early);
    fixture.assert_holds_only(&[]).await;
}
