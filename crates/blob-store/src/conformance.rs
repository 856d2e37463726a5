//! The contract of [`BlobStore`] as tests: every store must pass all of them.
//!
//! It must not know any one store: what it asserts, it sees through the trait and the staging area.
//!
//! Use: `conformance_tests!(fixture)` in a test module, where `fixture()` gives an empty [`Fixture`].

#![expect(clippy::missing_panics_doc, reason = "a test panics where the store is wrong")]

pub mod content;
pub mod publishing;
pub mod races;

use std::any::Any;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use oci::{ByteRange, Digest};

use crate::blob_store::{BlobRead, BlobStore};
use crate::buffer_pool::BufferPool;
use crate::staging::Staging;
use crate::staging::blob::StagedBlob;

/// One test for each rule of the contract. The argument is a function that makes an empty [`Fixture`].
#[macro_export]
macro_rules! conformance_tests {
    ($fixture:path) => {
        $crate::conformance_tests! { @each $fixture;
            content: put_blobs_are_read_back_whole_and_in_pieces,
            content: reads_past_the_end_are_refused,
            content: an_empty_blob_is_a_blob,
            content: absent_blobs_are_none,
            content: wrong_bytes_are_refused_and_leave_nothing,
            content: putting_again_keeps_the_first_blob,
            content: an_open_blob_outlives_its_deletion,
            content: a_listing_names_every_blob_once,
            publishing: a_published_blob_is_visible_and_leaves_no_staged_file,
            publishing: nobody_changes_a_published_blob,
            publishing: incomplete_blobs_are_refused_and_can_be_completed,
            publishing: a_blob_already_there_is_kept,
            publishing: publishing_again_is_ok_until_the_blob_is_deleted,
            publishing: a_discarded_blob_is_never_published,
            publishing: staged_readers_go_on_after_publishing,
            races: many_publish_and_put_one_digest,
            races: open_during_delete_gives_all_or_nothing,
            races: each_deletion_is_counted_once,
            races: many_digests_at_once,
        }
    };
    (@each $fixture:path; $($group:ident: $case:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::conformance::$group::$case(&$fixture()).await;
            }
        )*
    };
}

/// An empty store with a staging area beside it.
pub struct Fixture {
    /// The store under test.
    pub store: Arc<dyn BlobStore>,
    /// Where blobs for it grow.
    pub staging: Staging,
    /// Read buffers; every one is back at the end of a test.
    pub pool: BufferPool,
    staging_folder: PathBuf,
    _keep: Box<dyn Any + Send + Sync>,
}

impl Fixture {
    /// A fixture whose staging area is at `staging_folder`. `keep` is dropped last: the temporary folder, for example.
    pub fn new(store: Arc<dyn BlobStore>, staging_folder: &Path, keep: impl Any + Send + Sync) -> Self {
        Self {
            store,
            staging: Staging::open(staging_folder).expect("the staging area opens"),
            pool: BufferPool::default(),
            staging_folder: staging_folder.to_owned(),
            _keep: Box::new(keep),
        }
    }

    /// A staged blob with all of its bytes.
    fn stage(&self, bytes: &[u8]) -> StagedBlob {
        let staged = self.staging.open_blob(&Digest::sha256_of(bytes)).expect("a staged blob opens");
        fill(&staged, 0, bytes);
        staged.set_size(bytes.len() as u64).expect("the size is new");
        staged.checkpoint().expect("the map is written");
        staged
    }

    /// All bytes of a blob, read from an own handle.
    async fn bytes_of(&self, digest: &Digest) -> Option<Vec<u8>> {
        let blob = self.store.open(digest).await.expect("open works")?;
        Some(self.read_all(blob.as_ref()).await)
    }

    async fn read_all(&self, blob: &dyn BlobRead) -> Vec<u8> {
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < blob.size() {
            let piece = blob.read_at(bytes.len() as u64, 100_000, &self.pool).await.expect("the blob is readable");
            assert!(!piece.is_empty() && piece.len() <= 100_000);
            bytes.extend_from_slice(&piece);
        }
        bytes
    }

    /// The store holds exactly these blobs, the staging area nothing, and every buffer is back.
    async fn assert_holds_only(&self, blobs: &[&[u8]]) {
        let expected: BTreeMap<Digest, u64> =
            blobs.iter().map(|bytes| (Digest::sha256_of(bytes), bytes.len() as u64)).collect();
        let listed = self.store.list().await.expect("list works");
        let found: BTreeMap<Digest, u64> = listed.iter().map(|blob| (blob.digest, blob.size_bytes)).collect();
        assert_eq!(found, expected);
        assert_eq!(listed.len(), found.len(), "no blob is listed twice");
        for bytes in blobs {
            assert_eq!(self.bytes_of(&Digest::sha256_of(bytes)).await.as_deref(), Some(*bytes));
        }
        assert_eq!(self.staged_files(), Vec::<PathBuf>::new(), "nothing is left in the staging area");
        assert_eq!(self.pool.lent_bytes(), 0, "every buffer is back");
    }

    fn staged_files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.staging_folder).expect("the staging area is there");
        entries.map(|entry| entry.expect("its entries are readable").path()).collect()
    }
}

fn fill(staged: &StagedBlob, offset: u64, bytes: &[u8]) {
    staged.write_at(offset, bytes).expect("the disk has room");
    staged.record(ByteRange { start: offset, end: offset + bytes.len() as u64 });
}

/// Bytes that differ for each seed and compress badly.
fn sample(seed: u64, len: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(next).flatten().take(len).collect()
}
