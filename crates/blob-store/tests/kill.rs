//! `kill -9` at any point: nothing that was acknowledged is lost, nothing wrong is visible, nothing needs a human.
//!
//! The test starts itself again as the process to be killed, and kills it after each number of acknowledgements.

#![expect(clippy::unwrap_used, reason = "a test stops where something unexpected happens")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use blob_store::{BlobStore, BufferPool, LocalStore, Staging};
use bytes::Bytes;
use oci::{ByteRange, Digest};

const CHILD_FOLDER: &str = "BLOB_STORE_KILL_TEST_FOLDER";
const KILLS: usize = 24;

/// The bytes of the blob with this number: 1 to 400 KB.
fn blob(number: u64) -> Bytes {
    let len = 1_000 + (number * 7_919) % 400_000;
    (0..len).map(|at| (at.wrapping_mul(31).wrapping_add(number * 17) >> 3) as u8).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_loses_nothing_acknowledged_and_leaves_nothing_wrong() {
    if let Some(folder) = std::env::var_os(CHILD_FOLDER) {
        return write_until_killed(Path::new(&folder)).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeSet::new();
    let mut resumed_bytes = 0;
    for round in 0..KILLS {
        let first_number = 1_000 * round as u64;
        acknowledged.extend(run_and_kill(folder.path(), first_number, 1 + round % 7, 37 * round));
        resumed_bytes += check(folder.path(), &acknowledged).await;
    }
    assert!(acknowledged.len() >= KILLS);
    assert!(resumed_bytes > 0, "some kill came in the middle of a fill");
}

/// Starts the child, waits for some acknowledgements and then a varied moment more, and kills it.
fn run_and_kill(folder: &Path, first_number: u64, wanted: usize, spins: usize) -> Vec<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_killed_process_loses_nothing_acknowledged_and_leaves_nothing_wrong", "--nocapture"])
        .env(CHILD_FOLDER, folder)
        .env("BLOB_STORE_KILL_TEST_FIRST", first_number.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acknowledgements = lines.filter_map(|line| line.unwrap().split_once("ack ")?.1.parse().ok());
    let numbers: Vec<u64> = acknowledgements.by_ref().take(wanted).collect();
    assert_eq!(numbers.len(), wanted, "the child died by itself");
    for _ in 0..spins {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    numbers
}

/// What the next start finds. Returns the bytes of interrupted fills that it could resume.
async fn check(folder: &Path, acknowledged: &BTreeSet<u64>) -> u64 {
    let store = LocalStore::open(folder).unwrap();
    let staging = Staging::open(&folder.join("staging")).unwrap();
    let pool = BufferPool::default();
    for number in acknowledged {
        let size = store.stat(&Digest::sha256_of(&blob(*number))).await.unwrap();
        assert_eq!(size, Some(blob(*number).len() as u64), "blob {number} was acknowledged");
    }
    for stored in store.list().await.unwrap() {
        let opened = store.open(&stored.digest).await.unwrap().unwrap();
        let bytes = opened.read_at(0, 1 << 20, &pool).await.unwrap();
        assert_eq!(Digest::sha256_of(&bytes), stored.digest, "what is visible is complete and right");
    }
    let top: Vec<_> =
        std::fs::read_dir(folder.join("blobs")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(top.len(), 2, "only the two algorithms' folders: {top:?}");

    let mut resumed_bytes = 0;
    for summary in staging.list().unwrap() {
        let staged = staging.open_blob(&summary.digest).unwrap();
        let number = staged.note().name.parse().unwrap();
        let expected = blob(number);
        for run in staged.present().iter() {
            let bytes = staged.reader().read_at(run.start, (run.end - run.start) as usize, &pool).await.unwrap();
            assert_eq!(bytes, expected[run.start as usize..run.end as usize], "a resumed byte of blob {number}");
            resumed_bytes += run.end - run.start;
        }
        let whole = ByteRange { start: 0, end: expected.len() as u64 };
        for gap in staged.present().gaps_within(whole) {
            staged.write_at(gap.start, &expected[gap.start as usize..gap.end as usize]).unwrap();
            staged.record(gap);
        }
        store.publish(&staged).await.unwrap();
        assert_eq!(store.stat(&summary.digest).await.unwrap(), Some(whole.end), "what was resumed is published");
    }
    assert_eq!(std::fs::read_dir(folder.join("staging")).unwrap().count(), 0);
    resumed_bytes
}

/// The child: two writers that fill, publish, put, and acknowledge until the end.
async fn write_until_killed(folder: &Path) {
    let first: u64 = std::env::var("BLOB_STORE_KILL_TEST_FIRST").unwrap().parse().unwrap();
    let store = LocalStore::open(folder).unwrap();
    let staging = Staging::open(&folder.join("staging")).unwrap();
    let odd = async {
        for number in (first + 1..first + 1_000).step_by(2) {
            fill(&store, &staging, number).await;
            acknowledge(number);
        }
    };
    let even = async {
        for number in (first..first + 1_000).step_by(2) {
            store.put(&Digest::sha256_of(&blob(number)), blob(number)).await.unwrap();
            acknowledge(number);
        }
    };
    tokio::join!(odd, even);
}

async fn fill(store: &LocalStore, staging: &Staging, number: u64) {
    let bytes = blob(number);
    let staged = staging.open_blob(&Digest::sha256_of(&bytes)).unwrap();
    staged.set_size(bytes.len() as u64).unwrap();
    staged.set_note(blob_store::StagedNote { name: number.to_string(), ..Default::default() });
    // From the back, so that the file has a gap at every moment.
    for piece in bytes.chunks(10_000).enumerate().collect::<Vec<_>>().into_iter().rev() {
        let start = piece.0 as u64 * 10_000;
        staged.write_at(start, piece.1).unwrap();
        staged.record(ByteRange { start, end: start + piece.1.len() as u64 });
        staged.checkpoint().unwrap();
        tokio::task::yield_now().await;
    }
    store.publish(&staged).await.unwrap();
}

fn acknowledge(number: u64) {
    let mut out = std::io::stdout();
    writeln!(out, "ack {number}").and_then(|()| out.flush()).unwrap();
}
