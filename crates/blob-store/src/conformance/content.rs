//! What is stored, read, listed and deleted.

use std::io;
use std::os::unix::fs::FileExt;

use bytes::Bytes;
use oci::{Digest, DigestAlgorithm};

use super::{Fixture, sample};
use crate::error::StoreError;
use crate::file_piece::FilePiece;

/// Every piece of a blob, asked for at odd places, has the right bytes, whether or not it waits.
pub async fn put_blobs_are_read_back_whole_and_in_pieces(fixture: &Fixture) {
    let bytes = sample(1, 2_500_000);
    let digest = Digest::sha256_of(&bytes);
    fixture.store.put(&digest, bytes.clone()).await.expect("put works");
    assert_eq!(fixture.store.stat(&digest).await.expect("stat works"), Some(2_500_000));

    let blob = fixture.store.open(&digest).await.expect("open works").expect("it is there");
    assert_eq!(blob.size(), 2_500_000);
    for (offset, len) in [(0, 1), (0, 2_500_000), (1, 65_536), (999_999, 300_000), (2_499_999, 1), (2_400_000, 1 << 20)]
    {
        let expected = &bytes[offset..bytes.len().min(offset + len)];
        let waited = blob.read_at(offset as u64, len, &fixture.pool).await.expect("readable");
        assert_eq!(waited, expected, "{len} at {offset}");
        if let Some(cached) = blob.try_read_at(offset as u64, len, &fixture.pool).expect("readable") {
            assert!(!cached.is_empty() && cached.len() <= expected.len());
            assert_eq!(cached, expected[..cached.len()], "{len} at {offset} from memory");
        }
        if let Some(piece) = blob.try_piece_at(offset as u64, len).expect("readable") {
            assert!(!piece.is_empty() && piece.len() <= expected.len() && piece.len() <= FilePiece::MAX_BYTES);
            let mut read = vec![0; piece.len()];
            piece.file().read_exact_at(&mut read, piece.offset()).expect("readable");
            assert_eq!(read, expected[..piece.len()], "{len} at {offset} as a piece of a file");
        }
    }
    fixture.assert_holds_only(&[&bytes]).await;
}

/// Reading where there is nothing is an error, never an empty answer that a caller could take for progress.
pub async fn reads_past_the_end_are_refused(fixture: &Fixture) {
    let bytes = sample(2, 1_000);
    let digest = Digest::sha256_of(&bytes);
    fixture.store.put(&digest, bytes.clone()).await.expect("put works");
    let blob = fixture.store.open(&digest).await.expect("open works").expect("it is there");
    for (offset, len) in [(1_000, 1), (1_001, 10), (u64::MAX, 1), (0, 0)] {
        let waited = blob.read_at(offset, len, &fixture.pool).await.expect_err("nothing is there");
        assert_eq!(waited.kind(), io::ErrorKind::InvalidInput);
        let cached = blob.try_read_at(offset, len, &fixture.pool).expect_err("nothing is there");
        assert_eq!(cached.kind(), io::ErrorKind::InvalidInput);
    }
    fixture.assert_holds_only(&[&bytes]).await;
}

/// A blob without bytes is stored, opened and deleted like any other.
pub async fn an_empty_blob_is_a_blob(fixture: &Fixture) {
    let digest = Digest::sha256_of(b"");
    fixture.store.put(&digest, Bytes::new()).await.expect("put works");
    assert_eq!(fixture.store.stat(&digest).await.expect("stat works"), Some(0));
    fixture.assert_holds_only(&[b""]).await;
    assert_eq!(fixture.store.delete(&digest).await.expect("delete works"), Some(0));

    fixture.store.publish(&fixture.stage(b"")).await.expect("publish works");
    fixture.assert_holds_only(&[b""]).await;
}

/// What is not here is `None`, not an error.
pub async fn absent_blobs_are_none(fixture: &Fixture) {
    for algorithm in [DigestAlgorithm::Sha256, DigestAlgorithm::Sha512] {
        let digest = Digest::of(algorithm, b"absent");
        assert_eq!(fixture.store.stat(&digest).await.expect("stat works"), None);
        assert!(fixture.store.open(&digest).await.expect("open works").is_none());
        assert_eq!(fixture.store.delete(&digest).await.expect("delete works"), None);
    }
    fixture.assert_holds_only(&[]).await;
}

/// Bytes under a wrong name are refused with both digests, and no trace of them is left.
pub async fn wrong_bytes_are_refused_and_leave_nothing(fixture: &Fixture) {
    for algorithm in [DigestAlgorithm::Sha256, DigestAlgorithm::Sha512] {
        let claimed = Digest::of(algorithm, b"what was asked for");
        let refused = fixture.store.put(&claimed, Bytes::from_static(b"something else")).await;
        let Err(StoreError::DigestMismatch { expected, actual }) = refused else {
            panic!("expected a refusal, got {refused:?}");
        };
        assert_eq!((*expected, *actual), (claimed, Digest::of(algorithm, b"something else")));
        assert_eq!(fixture.store.stat(&claimed).await.expect("stat works"), None);
        assert_eq!(fixture.store.stat(&actual).await.expect("stat works"), None);
    }
    fixture.assert_holds_only(&[]).await;
}

/// A second put changes nothing; a wrong one neither.
pub async fn putting_again_keeps_the_first_blob(fixture: &Fixture) {
    let bytes = sample(3, 5_000);
    let digest = Digest::sha256_of(&bytes);
    fixture.store.put(&digest, bytes.clone()).await.expect("put works");
    let first = fixture.store.list().await.expect("list works");
    fixture.store.put(&digest, bytes.clone()).await.expect("put works again");
    fixture.store.put(&digest, sample(4, 5_000)).await.expect_err("other bytes are refused");
    assert_eq!(fixture.store.list().await.expect("list works"), first, "not even written again");
    fixture.assert_holds_only(&[&bytes]).await;
}

/// Deleting frees the name at once and the bytes when the last reader is gone.
pub async fn an_open_blob_outlives_its_deletion(fixture: &Fixture) {
    let bytes = sample(5, 700_000);
    let digest = Digest::sha256_of(&bytes);
    fixture.store.put(&digest, bytes.clone()).await.expect("put works");
    let blob = fixture.store.open(&digest).await.expect("open works").expect("it is there");
    let beginning = blob.read_at(0, 1_000, &fixture.pool).await.expect("readable");

    assert_eq!(fixture.store.delete(&digest).await.expect("delete works"), Some(700_000));
    assert!(fixture.store.open(&digest).await.expect("open works").is_none());
    assert_eq!(fixture.read_all(blob.as_ref()).await, bytes);
    assert_eq!(beginning, bytes[..1_000]);
    drop(beginning);
    fixture.assert_holds_only(&[]).await;
    assert_eq!(fixture.read_all(blob.as_ref()).await, bytes);
}

/// A listing is complete, also across algorithms, and follows deletions.
pub async fn a_listing_names_every_blob_once(fixture: &Fixture) {
    let blobs: Vec<Bytes> = (0..300).map(|seed| sample(100 + seed, 10 + seed as usize)).collect();
    for bytes in &blobs {
        fixture.store.put(&Digest::sha256_of(bytes), bytes.clone()).await.expect("put works");
    }
    let long = Digest::of(DigestAlgorithm::Sha512, &blobs[0]);
    fixture.store.put(&long, blobs[0].clone()).await.expect("put works");
    let listed = fixture.store.list().await.expect("list works");
    assert_eq!(listed.len(), 301);
    assert_eq!(listed.iter().filter(|blob| blob.digest == long).count(), 1);
    assert_eq!(fixture.bytes_of(&long).await.as_deref(), Some(&blobs[0][..]), "one algorithm does not hide another");
    fixture.store.delete(&long).await.expect("delete works");

    let (deleted, kept) = blobs.split_at(150);
    for bytes in deleted {
        fixture.store.delete(&Digest::sha256_of(bytes)).await.expect("delete works");
    }
    let kept: Vec<&[u8]> = kept.iter().map(Bytes::as_ref).collect();
    fixture.assert_holds_only(&kept).await;
}
