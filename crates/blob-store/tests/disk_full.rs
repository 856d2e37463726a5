//! A full disk, on a real small filesystem: what is refused leaves nothing behind, what is stored stays readable, and
//! writing works again without a restart once there is room.
//!
//! Needs the right to mount. Without it the tests are skipped with a message, but never in CI.

#![expect(clippy::unwrap_used, reason = "a test stops where something unexpected happens")]

use std::fs;
use std::path::{Path, PathBuf};

use blob_store::{BlobStore, BufferPool, LocalStore, StagedBlob, Staging, StoreError, is_no_space};
use bytes::Bytes;
use oci::{ByteRange, Digest};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tempfile::TempDir;

/// A tmpfs of one MiB with a store and a staging area on it.
struct SmallDisk {
    folder: TempDir,
    store: LocalStore,
    staging: Staging,
    pool: BufferPool,
}

impl SmallDisk {
    /// `None` where mounting is not allowed.
    fn mounted(options: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let options = std::ffi::CString::new(options).unwrap();
        if let Err(error) = mount("tmpfs", folder.path(), "tmpfs", MountFlags::NOSUID, Some(options.as_c_str())) {
            assert!(std::env::var_os("CI").is_none(), "CI must run as root and be allowed to mount: {error}");
            #[expect(clippy::print_stderr, reason = "a skipped test says so")]
            {
                eprintln!("skipped: a small filesystem cannot be mounted here ({error}); run as root");
            }
            return None;
        }
        let (store, staging) = open(folder.path());
        Some(Self { folder, store, staging, pool: BufferPool::default() })
    }

    /// Fills what is left, byte for byte, with a file of its own.
    fn fill_up(&self) -> PathBuf {
        let ballast = self.folder.path().join("ballast");
        let mut written = 0_u64;
        let file = fs::File::create(&ballast).unwrap();
        while std::os::unix::fs::FileExt::write_all_at(&file, &[0; 4096], written).is_ok() {
            written += 4096;
        }
        ballast
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files = files_under(self.folder.path());
        files.sort();
        files
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        unmount(self.folder.path(), UnmountFlags::DETACH).expect("what was mounted can be unmounted");
    }
}

fn open(folder: &Path) -> (LocalStore, Staging) {
    (LocalStore::open(folder).unwrap(), Staging::open(&folder.join("staging")).unwrap())
}

fn files_under(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files_under(&path) } else { vec![path] }).collect()
}

fn write(staged: &StagedBlob, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
    staged.write_at(offset, bytes)?;
    staged.record(ByteRange { start: offset, end: offset + bytes.len() as u64 });
    Ok(())
}

#[tokio::test]
async fn a_put_that_does_not_fit_leaves_nothing_and_hurts_nobody() {
    let Some(disk) = SmallDisk::mounted("size=1m") else { return };
    let small = Bytes::from_static(b"stored before the disk was full");
    let digest = Digest::sha256_of(&small);
    disk.store.put(&digest, small.clone()).await.unwrap();
    let before = disk.files();

    for len in [2 << 20, 1 << 20] {
        let large = Bytes::from(vec![1; len]);
        let refused = disk.store.put(&Digest::sha256_of(&large), large).await;
        assert!(matches!(refused, Err(StoreError::NoSpace { .. })), "{refused:?}");
        assert_eq!(disk.files(), before);
    }
    let ballast = disk.fill_up();
    let refused = disk.store.put(&Digest::sha256_of(b"one byte more"), Bytes::from_static(b"one byte more")).await;
    assert!(matches!(refused, Err(StoreError::NoSpace { .. })), "{refused:?}");
    let blob = disk.store.open(&digest).await.unwrap().unwrap();
    assert_eq!(blob.read_at(0, 100, &disk.pool).await.unwrap(), small);

    fs::remove_file(ballast).unwrap();
    disk.store.put(&Digest::sha256_of(b"room again"), Bytes::from_static(b"room again")).await.unwrap();
}

#[tokio::test]
async fn a_fill_that_does_not_fit_keeps_what_is_present_and_goes_on_when_there_is_room() {
    let Some(disk) = SmallDisk::mounted("size=1m") else { return };
    let bytes: Vec<u8> = (0..600_000_u32).map(|at| (at % 251) as u8).collect();
    let staged = disk.staging.open_blob(&Digest::sha256_of(&bytes)).unwrap();
    staged.set_size(600_000).unwrap();
    write(&staged, 0, &bytes[..300_000]).unwrap();
    staged.checkpoint().unwrap();
    let ballast = disk.fill_up();

    let refused = write(&staged, 300_000, &bytes[300_000..]).unwrap_err();
    assert!(is_no_space(&refused), "{refused:?}");
    let checkpoint = staged.checkpoint().unwrap_err();
    assert!(is_no_space(&checkpoint), "{checkpoint:?}");
    assert_eq!(staged.present().total(), 300_000);
    assert!(matches!(disk.store.publish(&staged).await, Err(StoreError::Incomplete { present: 300_000, .. })));
    assert_eq!(staged.reader().read_at(299_000, 5_000, &disk.pool).await.unwrap(), bytes[299_000..300_000]);

    let digest = *staged.digest();
    drop(staged);
    let (store, staging) = open(disk.folder.path());
    let staged = staging.open_blob(&digest).unwrap();
    assert_eq!(staged.present().total(), 300_000, "the checkpoint before the disk was full still counts");

    fs::remove_file(ballast).unwrap();
    write(&staged, 300_000, &bytes[300_000..]).unwrap();
    store.publish(&staged).await.unwrap();
    let blob = store.open(&digest).await.unwrap().unwrap();
    assert_eq!(blob.read_at(0, 1 << 20, &disk.pool).await.unwrap(), bytes);
    assert_eq!(disk.files().len(), 1);
}

#[tokio::test]
async fn a_discarded_fill_gives_its_room_back_at_once() {
    let Some(disk) = SmallDisk::mounted("size=1m") else { return };
    let staged = disk.staging.open_blob(&Digest::sha256_of(b"too large")).unwrap();
    let piece = vec![1; 65_536];
    let mut written = 0;
    let refused = loop {
        match write(&staged, written, &piece) {
            Ok(()) => written += 65_536,
            Err(error) => break error,
        }
    };
    assert!(is_no_space(&refused), "{refused:?}");
    assert!(disk.staging.total_bytes().unwrap() >= written);
    staged.discard().unwrap();
    assert_eq!(disk.staging.total_bytes().unwrap(), 0);
    assert_eq!(disk.files(), Vec::<PathBuf>::new());
    drop(staged);
    let large = Bytes::from(vec![2; 700_000]);
    disk.store.put(&Digest::sha256_of(&large), large).await.unwrap();
}

#[tokio::test]
async fn a_disk_without_inodes_refuses_and_recovers() {
    let Some(disk) = SmallDisk::mounted("size=1m,nr_inodes=24") else { return };
    let staged = disk.staging.open_blob(&Digest::sha256_of(b"complete")).unwrap();
    write(&staged, 0, b"complete").unwrap();
    staged.set_size(8).unwrap();
    staged.checkpoint().unwrap();
    let mut fillers = Vec::new();
    for number in 0.. {
        let path = disk.folder.path().join(format!("filler-{number}"));
        match fs::File::create(&path) {
            Ok(_) => fillers.push(path),
            Err(error) => {
                assert!(is_no_space(&error), "{error:?}");
                break;
            }
        }
    }
    let before = disk.files();
    let put = disk.store.put(&Digest::sha256_of(b"x"), Bytes::from_static(b"x")).await;
    assert!(matches!(put, Err(StoreError::NoSpace { .. })), "{put:?}");
    let opened = disk.staging.open_blob(&Digest::sha256_of(b"x"));
    assert!(matches!(opened, Err(StoreError::NoSpace { .. })), "{opened:?}");
    let published = disk.store.publish(&staged).await;
    assert!(matches!(published, Err(StoreError::NoSpace { .. })), "{published:?}");
    assert_eq!(disk.files(), before, "the complete staged blob is still there");

    for path in fillers {
        fs::remove_file(path).unwrap();
    }
    disk.store.publish(&staged).await.unwrap();
    assert_eq!(disk.store.stat(staged.digest()).await.unwrap(), Some(8));
    assert_eq!(disk.files().len(), 1);
}
