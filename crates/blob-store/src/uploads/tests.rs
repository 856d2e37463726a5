//! Uploads from their first byte to a blob, and what stands in between.

use bytes::Bytes;
use oci::{Digest, DigestAlgorithm, UploadId};
use tempfile::TempDir;

use super::{Unpublished, Uploads};
use crate::blob_store::BlobStore;
use crate::error::StoreError;
use crate::local::LocalStore;

const SHA256: DigestAlgorithm = DigestAlgorithm::Sha256;
const SHA512: DigestAlgorithm = DigestAlgorithm::Sha512;

fn opened(folder: &TempDir) -> Uploads {
    Uploads::open(folder.path(), LocalStore::open(folder.path()).unwrap()).unwrap()
}

fn id() -> UploadId {
    uuid::Uuid::new_v4().to_string().parse().unwrap()
}

fn pieces(text: &'static str) -> Vec<Bytes> {
    text.as_bytes().chunks(3).map(Bytes::from_static).collect()
}

#[tokio::test]
async fn pieces_become_a_blob_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let (uploads, id) = (opened(&folder), id());
    let mut upload = uploads.create(&id, SHA256).await.unwrap();
    upload.append(pieces("hello, ")).await.unwrap();
    upload.append(Vec::new()).await.unwrap();
    upload.append(pieces("world")).await.unwrap();
    upload.sync().await.unwrap();
    assert_eq!(uploads.list().unwrap(), [id]);
    let digest = Digest::sha256_of(b"hello, world");
    assert!(upload.is_hashed(SHA256));
    assert_eq!(upload.digest(SHA256).await.unwrap(), digest);
    uploads.publish(&digest, &upload).await.unwrap();
    assert_eq!(uploads.store().stat(&digest).await.unwrap(), Some(12));
    assert_eq!(uploads.list().unwrap(), []);
}

#[tokio::test]
async fn a_damaged_blob_is_healed_by_whoever_brings_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let uploads = opened(&folder);
    let digest = Digest::sha256_of(b"healed");
    let path = folder.path().join("blobs/sha256").join(&digest.hex()[..2]).join(digest.hex());
    let push = async || {
        let mut upload = uploads.create(&id(), SHA256).await.unwrap();
        upload.append(pieces("healed")).await.unwrap();
        uploads.publish(&digest, &upload).await.unwrap();
    };
    let put = async || uploads.store().put(&digest, Bytes::from_static(b"healed")).await.unwrap();
    push().await;
    for by_put in [false, true] {
        let reader = uploads.store().open(&digest).await.unwrap().unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, b"hea1ed").unwrap();
        if by_put {
            put().await;
        } else {
            push().await;
        }
        assert_eq!(std::fs::read(&path).unwrap(), b"healed", "by put: {by_put}");
        assert_eq!(uploads.list().unwrap(), []);
        let read = reader.read_at(0, 6, &crate::BufferPool::default()).await.unwrap();
        assert_eq!(read, &b"healed"[..], "whoever reads goes on with what was opened");
    }
}

#[tokio::test]
async fn an_upload_that_was_about_to_be_published_can_be_gone_on_with() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let id = id();
    let mut upload = opened(&folder).create(&id, SHA256).await.unwrap();
    upload.append(pieces("bytes")).await.unwrap();
    drop(upload);
    let path = folder.path().join("uploads").join(id.as_str());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o444)).unwrap();
    let mut upload = opened(&folder).reopen(&id, 5).await.unwrap().unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    upload.append(pieces(" more")).await.unwrap();
    assert_eq!(upload.digest(SHA256).await.unwrap(), Digest::sha256_of(b"bytes more"));
}

#[tokio::test]
async fn a_store_keeps_its_word() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(opened(&folder).store_id().await.unwrap(), None);
    opened(&folder).set_store_id("17").await.unwrap();
    assert_eq!(opened(&folder).store_id().await.unwrap().as_deref(), Some("17"));
    opened(&folder).set_store_id("18").await.unwrap();
    assert_eq!(opened(&folder).store_id().await.unwrap().as_deref(), Some("18"));
    assert_eq!(opened(&folder).list().unwrap(), []);
}

#[tokio::test]
async fn a_blob_that_is_brought_again_is_there_once_and_the_upload_goes() {
    let folder = tempfile::tempdir().unwrap();
    let uploads = opened(&folder);
    let digest = Digest::sha256_of(b"same");
    for _ in 0..2 {
        let mut upload = uploads.create(&id(), SHA256).await.unwrap();
        upload.append(pieces("same")).await.unwrap();
        uploads.publish(&digest, &upload).await.unwrap();
        assert_eq!(uploads.list().unwrap(), []);
    }
    assert_eq!(uploads.store().list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_later_process_goes_on_where_it_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let id = id();
    let mut upload = opened(&folder).create(&id, SHA256).await.unwrap();
    upload.append(pieces("acknowledged and more")).await.unwrap();
    drop(upload);

    let uploads = opened(&folder);
    assert!(uploads.reopen(&id, 1000).await.unwrap().is_none(), "bytes that are not there");
    let mut upload = uploads.reopen(&id, 12).await.unwrap().unwrap();
    assert!(!upload.is_hashed(SHA256));
    upload.append(pieces(" once")).await.unwrap();
    assert_eq!(upload.len(), 17);
    assert_eq!(upload.digest(SHA512).await.unwrap(), Digest::of(SHA512, b"acknowledged once"));
    assert_eq!(upload.digest(SHA256).await.unwrap(), Digest::sha256_of(b"acknowledged once"));
    uploads.remove(&id).await.unwrap();
    uploads.remove(&id).await.unwrap();
    assert!(uploads.reopen(&id, 0).await.unwrap().is_none());
}

#[tokio::test]
async fn a_chunk_can_be_taken_back_whole() {
    let folder = tempfile::tempdir().unwrap();
    let uploads = opened(&folder);
    let mut upload = uploads.create(&id(), SHA256).await.unwrap();
    upload.append(pieces("good")).await.unwrap();
    let mark = upload.mark();
    upload.append(pieces(" and bad")).await.unwrap();
    upload.rewind(mark).await.unwrap();
    upload.append(pieces(" again")).await.unwrap();
    let digest = Digest::sha256_of(b"good again");
    assert_eq!(upload.digest(SHA256).await.unwrap(), digest);
    uploads.publish(&digest, &upload).await.unwrap();
    assert_eq!(uploads.store().stat(&digest).await.unwrap(), Some(10));
}

#[tokio::test]
async fn a_store_that_takes_no_blob_leaves_the_upload() {
    let folder = tempfile::tempdir().unwrap();
    let (uploads, id) = (opened(&folder), id());
    let mut upload = uploads.create(&id, SHA256).await.unwrap();
    upload.append(pieces("bytes")).await.unwrap();
    let digest = Digest::sha256_of(b"bytes");
    let shard = folder.path().join("blobs/sha256").join(&digest.hex()[..2]);
    std::fs::write(&shard, "in the way").unwrap();
    let refused = uploads.publish(&digest, &upload).await;
    assert!(matches!(refused, Err(Unpublished::Kept(StoreError::Io { .. }))), "{refused:?}");
    assert_eq!(uploads.list().unwrap(), [id]);
    std::fs::remove_file(&shard).unwrap();
    uploads.publish(&digest, &upload).await.unwrap();
    assert_eq!(uploads.store().stat(&digest).await.unwrap(), Some(5));
}

#[tokio::test]
async fn foreign_files_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let uploads = opened(&folder);
    let foreign = folder.path().join("uploads/notes.txt");
    std::fs::write(&foreign, "mine").unwrap();
    assert_eq!(uploads.list().unwrap(), []);
    assert!(foreign.exists());
}

#[tokio::test]
async fn a_reserve_is_taken_once_and_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let uploads = Uploads::open(folder.path(), LocalStore::open(folder.path()).unwrap()).unwrap();
    assert!(!uploads.release_reserve().await.unwrap());
    assert!(uploads.keep_reserve().await.unwrap() && uploads.keep_reserve().await.unwrap());
    assert_eq!(std::fs::metadata(folder.path().join("reserve")).unwrap().len(), 4 << 20);
    assert_eq!(uploads.list().unwrap(), []);
    assert!(uploads.release_reserve().await.unwrap());
    assert!(!folder.path().join("reserve").exists());
}
