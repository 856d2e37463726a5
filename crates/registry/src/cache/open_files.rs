//! Stored blobs that are open already, for the next reader.
//!
//! Must not know what is evicted or why. Invariants: at most [`MOST`] are kept; one that was forgotten is closed when
//! its last reader leaves and not later, because until then a deleted file takes its room on the disk. (A cache with
//! deferred clean-up held many times the budget that way.)

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use blob_store::BlobRead;
use oci::Digest;

/// Files kept open.
const MOST: usize = 512;

/// The open files.
#[derive(Default)]
pub(super) struct OpenFiles {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    files: HashMap<Digest, OpenFile>,
    /// Counts uses; tells which file was used longest ago.
    uses: u64,
}

struct OpenFile {
    handle: Arc<dyn BlobRead>,
    last_use: u64,
}

impl OpenFiles {
    /// The open file of a blob.
    pub(super) fn get(&self, digest: &Digest) -> Option<Arc<dyn BlobRead>> {
        let mut kept = self.kept();
        kept.uses += 1;
        let now = kept.uses;
        let file = kept.files.get_mut(digest)?;
        file.last_use = now;
        Some(file.handle.clone())
    }

    /// Keeps an open file; the one used longest ago makes room for it.
    pub(super) fn keep(&self, digest: Digest, handle: Arc<dyn BlobRead>) {
        let mut kept = self.kept();
        kept.uses += 1;
        let last_use = kept.uses;
        let replaced = kept.files.insert(digest, OpenFile { handle, last_use });
        let oldest = (kept.files.len() > MOST).then(|| kept.oldest()).flatten();
        let closed = oldest.and_then(|digest| kept.files.remove(&digest));
        // Closing is a system call: not under the lock.
        drop(kept);
        drop((replaced, closed));
    }

    /// Keeps the file no longer.
    pub(super) fn forget(&self, digest: &Digest) {
        let closed = self.kept().files.remove(digest);
        drop(closed);
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn oldest(&self) -> Option<Digest> {
        self.files.iter().min_by_key(|(_, file)| file.last_use).map(|(digest, _)| *digest)
    }
}

#[cfg(test)]
mod tests {
    use super::super::NOTHING;
    use super::*;

    fn handle() -> Arc<dyn BlobRead> {
        Arc::new(super::super::EmptyBlob)
    }

    fn digest(number: usize) -> Digest {
        Digest::sha256_of(&number.to_be_bytes())
    }

    #[test]
    fn a_forgotten_file_is_closed_at_once_or_with_its_last_reader() {
        let files = OpenFiles::default();
        let (idle, read) = (handle(), handle());
        files.keep(digest(1), idle.clone());
        files.keep(digest(2), read.clone());
        let reader = files.get(&digest(2)).unwrap();
        files.forget(&digest(1));
        files.forget(&digest(2));
        assert_eq!((Arc::strong_count(&idle), Arc::strong_count(&read)), (1, 2));
        drop(reader);
        assert_eq!(Arc::strong_count(&read), 1);
        assert!(files.get(&digest(1)).is_none());
    }

    #[test]
    fn what_was_used_longest_ago_makes_room() {
        let files = OpenFiles::default();
        for number in 0..MOST {
            files.keep(digest(number), NOTHING.clone());
        }
        files.get(&digest(0)).unwrap();
        files.keep(digest(MOST), NOTHING.clone());
        assert!(files.get(&digest(0)).is_some() && files.get(&digest(MOST)).is_some());
        assert!(files.get(&digest(1)).is_none());
        assert_eq!(files.kept().files.len(), MOST);
    }

    #[test]
    fn a_replaced_file_is_closed() {
        let files = OpenFiles::default();
        let first = handle();
        files.keep(digest(1), first.clone());
        files.keep(digest(1), handle());
        assert_eq!(Arc::strong_count(&first), 1);
    }
}
