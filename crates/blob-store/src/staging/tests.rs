//! What each kind of leftover is worth at the next start, and how live staged blobs behave.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::PermissionsExt;

use oci::ByteRange;
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::blob_store::BlobStore;
use crate::buffer_pool::BufferPool;
use crate::local::LocalStore;
use crate::range_set::RangeSet;

const BYTES: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";
const PRESENT: [ByteRange; 2] = [ByteRange { start: 0, end: 10 }, ByteRange { start: 20, end: 30 }];

/// A folder as a killed process left it: one staged blob, 20 of 36 bytes present.
struct Leftovers {
    folder: TempDir,
    digest: Digest,
    paths: StagedPaths,
}

impl Leftovers {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let digest = Digest::sha256_of(BYTES);
        let staged = Staging::open(folder.path()).unwrap().open_blob(&digest).unwrap();
        staged.set_size(36).unwrap();
        staged.set_note(note());
        for range in PRESENT {
            write(&staged, range);
        }
        staged.checkpoint().unwrap();
        let paths = StagedPaths::new(folder.path(), &digest);
        Self { folder, digest, paths }
    }

    fn map(&self) -> Value {
        serde_json::from_slice(&fs::read(&self.paths.map).unwrap()).unwrap()
    }

    fn edit_map(&self, field: &str, value: Value) {
        let mut map = self.map();
        map[field] = value;
        fs::write(&self.paths.map, serde_json::to_vec(&map).unwrap()).unwrap();
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The next start finds nothing of use and keeps nothing.
    fn assert_swept(&self) {
        let staging = Staging::open(self.folder.path()).unwrap();
        assert_eq!(self.files(), Vec::<String>::new());
        assert_eq!(staging.list().unwrap(), vec![]);
        self.assert_empty(&staging, None, &StagedNote::default());
    }

    /// The next start keeps who asked, and no byte.
    fn assert_starts_over(&self) {
        let staging = Staging::open(self.folder.path()).unwrap();
        assert!(!self.paths.data.exists(), "the bytes take no disk any more");
        let listed = staging.list().unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!((listed[0].present_bytes, listed[0].size, &listed[0].note), (0, Some(36), &note()));
        self.assert_empty(&staging, Some(36), &note());
        drop(staging);
        let again = Staging::open(self.folder.path()).unwrap().list().unwrap();
        assert_eq!((again.len(), again[0].present_bytes), (1, 0), "and so does the start after that");
    }

    fn assert_empty(&self, staging: &Staging, size: Option<u64>, note: &StagedNote) {
        let staged = staging.open_blob(&self.digest).unwrap();
        assert_eq!((staged.size(), staged.present(), &staged.note()), (size, RangeSet::new(), note));
        assert_eq!(fs::metadata(&self.paths.data).unwrap().len(), 0);
        let reader = staged.reader();
        assert!(reader.try_read_at(0, 10, &BufferPool::default()).is_err(), "no old byte is readable");
    }

    fn assert_resumed(&self) {
        let staging = Staging::open(self.folder.path()).unwrap();
        assert_eq!(staging.list().unwrap()[0].present_bytes, 20);
        let staged = staging.open_blob(&self.digest).unwrap();
        assert_eq!(staged.present().iter().collect::<Vec<_>>(), PRESENT);
        assert_eq!((staged.size(), staged.note()), (Some(36), note()));
        assert_eq!(fs::read(&self.paths.data).unwrap()[20..30], BYTES[20..30]);
    }
}

fn note() -> StagedNote {
    StagedNote { repo_key: "dockerhub".to_owned(), name: "library/debian".to_owned(), whole: true }
}

fn write(staged: &StagedBlob, range: ByteRange) {
    staged.write_at(range.start, &BYTES[range.start as usize..range.end as usize]).unwrap();
    staged.record(range);
}

#[tokio::test]
async fn a_killed_process_is_resumed_where_it_was() {
    let left = Leftovers::new();
    left.assert_resumed();
    let staging = Staging::open(left.folder.path()).unwrap();
    let staged = staging.open_blob(&left.digest).unwrap();
    for gap in staged.present().gaps_within(ByteRange { start: 0, end: 36 }) {
        write(&staged, gap);
    }
    let home = tempfile::tempdir().unwrap();
    let store = LocalStore::open(home.path()).unwrap();
    store.publish(&staged).await.unwrap();
    let blob = store.open(&left.digest).await.unwrap().unwrap();
    assert_eq!(blob.read_at(0, 100, &BufferPool::default()).await.unwrap(), BYTES);
    assert_eq!(left.files(), Vec::<String>::new());
}

#[test]
fn bytes_of_another_boot_are_not_trusted() {
    let left = Leftovers::new();
    left.edit_map("boot_id", json!("11111111-2222-3333-4444-555555555555"));
    left.assert_starts_over();
}

#[test]
fn bytes_of_an_unknown_boot_are_not_trusted() {
    let left = Leftovers::new();
    left.edit_map("boot_id", Value::Null);
    left.assert_starts_over();
    // Neither when both do not know: that proves nothing.
    let left = Leftovers::new();
    left.edit_map("boot_id", Value::Null);
    let (file, map) = resume::open(&left.digest, &left.paths, None).unwrap();
    assert_eq!((file.metadata().unwrap().len(), map.present), (0, RangeSet::new()));
}

#[test]
fn data_shorter_than_its_map_starts_over() {
    for length in [0, 1, 10, 29] {
        let left = Leftovers::new();
        OpenOptions::new().write(true).open(&left.paths.data).unwrap().set_len(length).unwrap();
        left.assert_starts_over();
    }
}

#[test]
fn data_longer_than_the_blob_starts_over() {
    let left = Leftovers::new();
    OpenOptions::new().write(true).open(&left.paths.data).unwrap().set_len(37).unwrap();
    left.assert_starts_over();
}

#[test]
fn a_map_without_its_data_was_published_and_is_swept() {
    let left = Leftovers::new();
    fs::remove_file(&left.paths.data).unwrap();
    left.assert_swept();
}

#[test]
fn data_without_its_map_is_swept() {
    let left = Leftovers::new();
    fs::remove_file(&left.paths.map).unwrap();
    left.assert_swept();
}

#[test]
fn a_map_cut_anywhere_is_swept() {
    let whole = fs::read(Leftovers::new().paths.map).unwrap();
    for length in 0..whole.len() {
        let left = Leftovers::new();
        fs::write(&left.paths.map, &whole[..length]).unwrap();
        left.assert_swept();
    }
}

#[test]
fn a_map_that_claims_the_impossible_is_swept() {
    let wrong = [
        ("version", json!(2)),
        ("version", json!(-1)),
        ("digest", json!("sha256:00")),
        ("digest", json!(Digest::sha256_of(b"another blob"))),
        ("size", json!(29)),
        ("size", json!(-36)),
        ("size", json!(36.5)),
        ("present", json!([[20, 30], [0, 10]])),
        ("present", json!([[0, 20], [10, 30]])),
        ("present", json!([[0, 0]])),
        ("present", json!([[10, 5]])),
        ("present", json!([[0, 37]])),
        ("present", json!([[0, u64::MAX]])),
        ("present", json!([[0, 10, 20]])),
        ("note", json!("who")),
        ("surprise", json!(true)),
    ];
    for (field, value) in wrong {
        let left = Leftovers::new();
        left.edit_map(field, value);
        left.assert_swept();
    }
}

#[test]
fn an_unfinished_checkpoint_is_swept_and_the_one_before_it_counts() {
    let left = Leftovers::new();
    fs::write(&left.paths.temporary_map, b"{\"version\":1,\"dig").unwrap();
    left.assert_resumed();
    assert!(!left.paths.temporary_map.exists());

    fs::remove_file(&left.paths.map).unwrap();
    fs::write(&left.paths.temporary_map, b"{\"version\":1,\"dig").unwrap();
    left.assert_swept();
}

#[test]
fn a_process_killed_between_sealing_and_publishing_is_resumed() {
    let left = Leftovers::new();
    fs::set_permissions(&left.paths.data, fs::Permissions::from_mode(0o444)).unwrap();
    left.assert_resumed();
    let mode = fs::metadata(&left.paths.data).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "it takes writes again, whoever runs us");
}

#[test]
fn a_map_that_claims_nothing_keeps_its_note_without_data() {
    let left = Leftovers::new();
    left.edit_map("present", json!([]));
    fs::remove_file(&left.paths.data).unwrap();
    let staging = Staging::open(left.folder.path()).unwrap();
    assert_eq!(staging.list().unwrap()[0].note, note());
    left.assert_empty(&staging, Some(36), &note());
}

#[test]
fn foreign_files_are_left_alone() {
    let left = Leftovers::new();
    let hex = left.digest.hex();
    let names =
        ["README".to_owned(), format!("sha256-{}.data", &hex[1..]), format!("sha256-{hex}.bak"), format!("{hex}.map")];
    for name in &names {
        fs::write(left.folder.path().join(name), b"foreign").unwrap();
    }
    let before = left.files();
    left.assert_resumed();
    assert_eq!(left.files(), before);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_stop_a_start(map in proptest::collection::vec(any::<u8>(), 0..300), data in proptest::collection::vec(any::<u8>(), 0..50)) {
        let left = Leftovers::new();
        fs::write(&left.paths.map, map).unwrap();
        fs::write(&left.paths.data, data).unwrap();
        left.assert_swept();
    }

    #[test]
    fn a_damaged_map_never_claims_bytes_that_the_data_does_not_hold(at in any::<prop::sample::Index>(), byte in any::<u8>(), length in 0..40_u64) {
        let left = Leftovers::new();
        let mut map = fs::read(&left.paths.map).unwrap();
        let at = at.index(map.len());
        map[at] = byte;
        fs::write(&left.paths.map, map).unwrap();
        OpenOptions::new().write(true).open(&left.paths.data).unwrap().set_len(length).unwrap();

        let staged = Staging::open(left.folder.path()).unwrap().open_blob(&left.digest).unwrap();
        prop_assert!(staged.present().end() <= fs::metadata(&left.paths.data).unwrap().len());
        prop_assert!(staged.size().is_none_or(|size| staged.present().end() <= size));
    }
}

#[test]
fn a_digest_has_one_live_staged_blob() {
    let left = Leftovers::new();
    let staging = Staging::open(left.folder.path()).unwrap();
    let (first, second) = (staging.open_blob(&left.digest).unwrap(), staging.open_blob(&left.digest).unwrap());
    write(&first, ByteRange { start: 10, end: 20 });
    assert_eq!(second.present().iter().collect::<Vec<_>>(), [ByteRange { start: 0, end: 30 }]);
    assert_eq!(staging.list().unwrap()[0].present_bytes, 30, "a listing knows what no checkpoint has said yet");

    drop((first, second));
    let resumed = staging.open_blob(&left.digest).unwrap();
    assert_eq!(resumed.present().total(), 20, "what no checkpoint kept is fetched again");
}

#[test]
fn disk_use_counts_what_is_written_and_not_the_gaps() {
    let folder = tempfile::tempdir().unwrap();
    let staging = Staging::open(folder.path()).unwrap();
    let staged = staging.open_blob(&Digest::sha256_of(b"sparse")).unwrap();
    assert_eq!(staging.total_bytes().unwrap(), 0);
    staged.write_at(1 << 30, &[1; 8192]).unwrap();
    let allocated = staged.allocated_bytes().unwrap();
    assert!((8192..1 << 20).contains(&allocated), "{allocated}");
    assert_eq!(staging.total_bytes().unwrap(), allocated);
    staged.discard().unwrap();
    assert_eq!(staging.total_bytes().unwrap(), 0);
}

#[tokio::test]
async fn a_gap_is_never_read_as_zeros() {
    let left = Leftovers::new();
    let staging = Staging::open(left.folder.path()).unwrap();
    let staged = staging.open_blob(&left.digest).unwrap();
    let (reader, pool) = (staged.reader(), BufferPool::default());
    assert_eq!(reader.size(), 36);
    assert_eq!(reader.read_at(5, 20, &pool).await.unwrap(), BYTES[5..10], "cut at the end of what is present");
    for offset in [10, 19, 30, 35, 36] {
        let waited = reader.read_at(offset, 1, &pool).await.unwrap_err();
        assert_eq!(waited.kind(), io::ErrorKind::InvalidInput);
        assert_eq!(reader.try_read_at(offset, 1, &pool).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
    staged.write_at(10, b"written, not recorded"[..10].as_ref()).unwrap();
    assert!(reader.read_at(10, 1, &pool).await.is_err(), "written is not yet present");
    write(&staged, ByteRange { start: 10, end: 20 });
    assert_eq!(reader.read_at(5, 20, &pool).await.unwrap(), BYTES[5..25], "present now");
    assert_eq!(pool.lent_bytes(), 0);
}

#[test]
fn writers_at_once_do_not_disturb_each_other_nor_the_checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..400_000_u32).map(|at| (at % 251) as u8).collect();
    let digest = Digest::sha256_of(&bytes);
    let staging = Staging::open(folder.path()).unwrap();
    let staged = staging.open_blob(&digest).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let (staged, bytes) = (&staged, &bytes);
            scope.spawn(move || {
                for piece in (writer..100).step_by(4) {
                    let range = ByteRange { start: piece * 4_000, end: (piece + 1) * 4_000 };
                    staged.write_at(range.start, &bytes[range.start as usize..range.end as usize]).unwrap();
                    staged.record(range);
                    staged.checkpoint().unwrap();
                }
            });
        }
    });
    assert_eq!(staged.present().iter().collect::<Vec<_>>(), [ByteRange { start: 0, end: 400_000 }]);
    drop(staged);
    let resumed = Staging::open(folder.path()).unwrap().open_blob(&digest).unwrap();
    assert_eq!(resumed.present().total(), 400_000);
    assert_eq!(fs::read(StagedPaths::new(folder.path(), &digest).data).unwrap(), bytes);
}

#[test]
fn opening_discarding_and_checkpointing_at_once_leaves_nothing_after_the_last_discard() {
    let folder = tempfile::tempdir().unwrap();
    let staging = Staging::open(folder.path()).unwrap();
    let digest = Digest::sha256_of(BYTES);
    std::thread::scope(|scope| {
        for caller in 0..4 {
            let staging = &staging;
            scope.spawn(move || {
                for _ in 0..200 {
                    let staged = staging.open_blob(&digest).unwrap();
                    match staged.write_at(0, BYTES) {
                        Ok(()) => staged.record(ByteRange { start: 0, end: 36 }),
                        Err(error) => assert_eq!(error.kind(), io::ErrorKind::StaleNetworkFileHandle),
                    }
                    staged.checkpoint().unwrap();
                    if caller % 2 == 0 { staged.discard().unwrap() } else { staging.remove(&digest).unwrap() }
                }
            });
        }
    });
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    assert!(staging.open_blob(&digest).unwrap().present().is_empty());
}
