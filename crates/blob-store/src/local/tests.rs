//! The contract, and what only a store of files can get wrong: foreign, damaged and missing files.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::conformance::Fixture;
use crate::staging::Staging;

mod contract {
    use super::*;

    /// Besides the contract: no file under `blobs` that is not a blob.
    struct NoTemporaryFiles(TempDir);

    impl Drop for NoTemporaryFiles {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                let files = files_under(&self.0.path().join("blobs"));
                let odd: Vec<_> = files.iter().filter(|path| is_temporary(path)).collect();
                assert!(odd.is_empty(), "{odd:?}");
            }
        }
    }

    fn fixture() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::open(folder.path()).unwrap();
        Fixture::new(Arc::new(store), &folder.path().join("staging"), NoTemporaryFiles(folder))
    }

    crate::conformance_tests!(fixture);
}

struct House {
    store: LocalStore,
    folder: TempDir,
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { store: LocalStore::open(folder.path()).unwrap(), folder }
    }

    fn path_of(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.folder.path().join("blobs").join(digest.algorithm().as_str()).join(&hex[..2]).join(hex)
    }

    fn place(&self, digest: &Digest, bytes: &[u8]) -> PathBuf {
        let path = self.path_of(digest);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }
}

fn files_under(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(files_under(&path));
        } else {
            found.push(path);
        }
    }
    found
}

fn is_temporary(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(TEMPORARY))
}

const TEMPORARY: &str = super::layout::TEMPORARY_PREFIX;

#[tokio::test]
async fn blobs_are_read_only_files_at_the_documented_place() {
    let house = House::new();
    let put = Digest::sha256_of(b"put");
    house.store.put(&put, Bytes::from_static(b"put")).await.unwrap();
    let staging = Staging::open(&house.folder.path().join("staging")).unwrap();
    let staged = staging.open_blob(&Digest::sha256_of(b"staged")).unwrap();
    staged.write_at(0, b"staged").unwrap();
    staged.record(oci::ByteRange { start: 0, end: 6 });
    staged.set_size(6).unwrap();
    house.store.publish(&staged).await.unwrap();
    for digest in [&put, staged.digest()] {
        let mode = fs::metadata(house.path_of(digest)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o444);
    }
    assert_eq!(files_under(&house.folder.path().join("blobs")).len(), 2);
}

#[tokio::test]
async fn opening_sweeps_interrupted_puts_and_nothing_else() {
    let house = House::new();
    let digest = Digest::sha256_of(b"kept");
    house.store.put(&digest, Bytes::from_static(b"kept")).await.unwrap();
    let blobs = house.folder.path().join("blobs");
    for (name, bytes) in [("", &b""[..]), ("0", b"ke"), ("9b1deb4d", b"kept")] {
        fs::write(blobs.join(format!("{TEMPORARY}{name}")), bytes).unwrap();
    }
    fs::write(blobs.join("README"), b"foreign").unwrap();

    let reopened = LocalStore::open(house.folder.path()).unwrap();
    let mut left = files_under(&blobs);
    left.sort();
    let mut expected = vec![blobs.join("README"), house.path_of(&digest)];
    expected.sort();
    assert_eq!(left, expected);
    assert_eq!(reopened.list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn foreign_files_are_not_blobs_and_are_left_alone() {
    let house = House::new();
    let digest = Digest::sha256_of(b"real");
    house.store.put(&digest, Bytes::from_static(b"real")).await.unwrap();
    let sha256 = house.folder.path().join("blobs/sha256");
    let hex = digest.hex();
    fs::create_dir_all(sha256.join("zz")).unwrap();
    fs::create_dir_all(sha256.join("00").join(format!("00{}", &hex[2..]))).unwrap();
    fs::write(sha256.join("loose"), b"").unwrap();
    fs::write(sha256.join("zz").join(&hex), b"real").unwrap();
    fs::write(sha256.join(&hex[..2]).join(hex.to_uppercase()), b"real").unwrap();
    fs::write(sha256.join(&hex[..2]).join(format!("{hex}.bak")), b"real").unwrap();
    fs::write(sha256.join("00").join(&hex[..10]), b"").unwrap();
    std::os::unix::fs::symlink(house.path_of(&digest), sha256.join("00").join(format!("00{}", "1".repeat(62))))
        .unwrap();
    let before = files_under(&sha256);

    let listed = LocalStore::open(house.folder.path()).unwrap().list().await.unwrap();
    assert_eq!(listed.iter().map(|blob| blob.digest).collect::<Vec<_>>(), vec![digest]);
    assert_eq!(files_under(&sha256), before);
}

#[tokio::test]
async fn links_and_folders_in_a_blobs_place_are_refused() {
    let house = House::new();
    let secret = house.folder.path().join("secret");
    fs::write(&secret, b"not a blob").unwrap();
    let (linked, folder) = (Digest::sha256_of(b"linked"), Digest::sha256_of(b"folder"));
    fs::create_dir_all(house.path_of(&linked).parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(&secret, house.path_of(&linked)).unwrap();
    fs::create_dir_all(house.path_of(&folder)).unwrap();

    assert!(house.store.open(&linked).await.is_err());
    for digest in [&linked, &folder] {
        assert!(matches!(house.store.stat(digest).await, Err(StoreError::NotAFile { .. })));
        assert!(matches!(house.store.delete(digest).await, Err(StoreError::NotAFile { .. })));
    }
    assert!(matches!(house.store.open(&folder).await, Err(StoreError::NotAFile { .. })));
    assert_eq!(fs::read(&secret).unwrap(), b"not a blob");
}

#[tokio::test]
async fn a_blob_of_the_wrong_length_is_replaced_under_its_readers() {
    let house = House::new();
    let digest = Digest::sha256_of(b"the right bytes");
    house.place(&digest, b"the ri");
    let reader = house.store.open(&digest).await.unwrap().unwrap();
    house.store.put(&digest, Bytes::from_static(b"the right bytes")).await.unwrap();
    assert_eq!(fs::read(house.path_of(&digest)).unwrap(), b"the right bytes");
    let pool = BufferPool::default();
    assert_eq!(reader.read_at(0, 100, &pool).await.unwrap(), &b"the ri"[..], "an open handle keeps what it opened");
    assert_eq!(house.store.list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_file_cut_after_opening_is_an_error_and_not_short_bytes() {
    let house = House::new();
    let digest = Digest::sha256_of(b"soon to be cut");
    let path = house.place(&digest, b"soon to be cut");
    let reader = house.store.open(&digest).await.unwrap().unwrap();
    OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
    let pool = BufferPool::default();
    let waited = reader.read_at(0, 14, &pool).await.unwrap_err();
    assert_eq!(waited.kind(), io::ErrorKind::UnexpectedEof);
    match reader.try_read_at(0, 14, &pool) {
        Ok(None) => {}
        Ok(Some(bytes)) => panic!("{bytes:?}"),
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof),
    }
    match reader.try_piece_at(0, 14) {
        Ok(None) => {}
        Ok(Some(piece)) => panic!("{piece:?}"),
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof),
    }
    assert_eq!(pool.lent_bytes(), 0);
}

#[tokio::test]
async fn a_store_that_vanished_is_an_error_and_not_empty() {
    let house = House::new();
    let digest = Digest::sha256_of(b"blob");
    house.store.put(&digest, Bytes::from_static(b"blob")).await.unwrap();
    fs::rename(house.folder.path().join("blobs"), house.folder.path().join("unmounted")).unwrap();
    assert!(matches!(house.store.list().await, Err(StoreError::Io { .. })));
    assert!(matches!(house.store.stat(&digest).await, Err(StoreError::Io { .. })));
    assert!(matches!(house.store.open(&digest).await, Err(StoreError::Io { .. })));
    assert!(matches!(house.store.delete(&digest).await, Err(StoreError::Io { .. })));
    let written = house.store.put(&digest, Bytes::from_static(b"blob")).await;
    assert!(matches!(written, Err(StoreError::Io { .. })));
    assert!(!house.folder.path().join("blobs").exists(), "nothing is written beside the mount");
    fs::rename(house.folder.path().join("unmounted"), house.folder.path().join("blobs")).unwrap();
    assert_eq!(house.store.stat(&digest).await.unwrap(), Some(4));
}

#[tokio::test]
async fn what_the_page_cache_holds_is_read_without_waiting() {
    let house = House::new();
    let bytes = Bytes::from(vec![7; 300_000]);
    let digest = Digest::sha256_of(&bytes);
    house.store.put(&digest, bytes.clone()).await.unwrap();
    let (blob, pool) = (house.store.open(&digest).await.unwrap().unwrap(), BufferPool::default());
    // Reading puts the bytes into the page cache; under memory pressure the kernel may drop them at once again.
    for _ in 0..100 {
        blob.read_at(0, 300_000, &pool).await.unwrap();
        if let Some(cached) = blob.try_read_at(0, 300_000, &pool).unwrap() {
            assert_eq!(cached, bytes[..cached.len()]);
            return;
        }
    }
    assert!(house.store.inner.page_cache.is_unsupported(), "the filesystem answers, and never without waiting");
}

#[tokio::test]
async fn what_the_page_cache_holds_is_named_as_a_piece_of_the_file() {
    let house = House::new();
    let bytes = Bytes::from(vec![7; 3_000_000]);
    let digest = Digest::sha256_of(&bytes);
    house.store.put(&digest, bytes.clone()).await.unwrap();
    let (blob, pool) = (house.store.open(&digest).await.unwrap().unwrap(), BufferPool::default());
    assert_eq!(blob.try_piece_at(3_000_000, 1).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    // As above: the kernel may drop what was just read.
    for _ in 0..100 {
        blob.read_at(0, 3_000_000, &pool).await.unwrap();
        let (Some(most), Some(last)) =
            (blob.try_piece_at(5, 3_000_000).unwrap(), blob.try_piece_at(2_999_999, 10).unwrap())
        else {
            continue;
        };
        if most.len() == FilePiece::MAX_BYTES {
            assert_eq!((most.offset(), last.offset(), last.len()), (5, 2_999_999, 1));
            return;
        }
    }
    assert!(house.store.inner.page_cache.is_unsupported(), "the filesystem answers, and never without waiting");
}
