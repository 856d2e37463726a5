//! How a finished file becomes a blob: made read-only, synced, renamed into its shard, the shard synced.
//!
//! It must not know where the file came from or whether its bytes are right.
//!
//! Invariants: a name appears under `blobs` only after its bytes are durable; `Ok` only after the name is durable
//! too; a file whose sync failed is never given a name, and loses the one it has.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use oci::Digest;

use super::layout::Layout;
use crate::error::StoreError;
use crate::locks::lock;
use crate::staging::hand_over::{CommitError, SealedFile};

const BLOB_MODE: u32 = 0o444;

/// What becomes of a blob that is here already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    /// It stays when its length is right: its owner asks upstream again for what is damaged.
    Kept,
    /// The new bytes, which were verified, take its place: it may be damaged, and who brings it again is to heal it.
    Replaced,
}

/// Makes files durable. Its own type so that a test can let it fail.
pub(crate) type Sync = fn(&File) -> io::Result<()>;

/// The writing side of a local store.
#[derive(Debug)]
pub(crate) struct Committer {
    layout: Layout,
    sync: Sync,
    /// Shards whose own name is durable: a shard that merely exists may have been made just before a crash.
    durable_shards: Mutex<HashSet<PathBuf>>,
}

impl Committer {
    pub(crate) fn new(layout: Layout, sync: Sync) -> Self {
        Self { layout, sync, durable_shards: Mutex::default() }
    }

    /// Gives the file its name as a blob. A blob that is kept leaves the file where it is. Readers of one that is
    /// replaced go on with what they opened.
    pub(crate) fn commit(
        &self,
        digest: &Digest,
        sealed: &SealedFile<'_>,
        existing: Existing,
    ) -> Result<(), CommitError> {
        let target = self.layout.blob(digest);
        let found = size_of(&target).map_err(CommitError::Kept)?;
        match found {
            Some(size) if size == sealed.size && existing == Existing::Kept => return Ok(()),
            // Same digest, other length: what stands there is damaged, and the new bytes are verified.
            Some(size) if size != sealed.size => {
                tracing::warn!(%digest, found = size, expected = sealed.size, "a damaged blob is replaced");
            }
            Some(_) | None => {}
        }
        self.make_durable(sealed)?;
        let shard = self.durable_shard(digest)?;
        fs::rename(sealed.path, &target)
            .map_err(|error| CommitError::Kept(StoreError::io("rename to", &target, error)))?;
        self.sync_folder(&shard).map_err(|error| {
            // A name that was there before is durable, whichever of the two files it leads to after a power loss.
            if found.is_none()
                && let Err(left) = fs::remove_file(&target)
            {
                tracing::warn!(%digest, error = %left, "a blob that may not be durable could not be removed");
            }
            CommitError::Ruined(error)
        })
    }

    /// Makes the name of a blob durable that is here already: a process that was killed may have given it and not synced.
    pub(crate) fn keep_name(&self, digest: &Digest) -> Result<(), StoreError> {
        let shard = self.durable_shard(digest).map_err(StoreError::from)?;
        self.sync_folder(&shard)
    }

    /// Creates a folder and those above it where missing, each with a durable name.
    pub(crate) fn create_folder(&self, folder: &Path) -> Result<(), StoreError> {
        if folder.is_dir() {
            return Ok(());
        }
        let above = match folder.parent() {
            Some(above) if above.as_os_str().is_empty() => Path::new("."),
            Some(above) => above,
            None => Path::new("/"),
        };
        self.create_folder(above)?;
        match fs::create_dir(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(StoreError::io("create", folder, error));
            }
            Ok(()) | Err(_) => {}
        }
        self.sync_folder(above)
    }

    /// Syncs a folder, so that the names in it are durable.
    pub(crate) fn sync_folder(&self, folder: &Path) -> Result<(), StoreError> {
        File::open(folder)
            .and_then(|folder| (self.sync)(&folder))
            .map_err(|error| StoreError::io("sync", folder, error))
    }

    fn make_durable(&self, sealed: &SealedFile<'_>) -> Result<(), CommitError> {
        // Read-only before the sync, so that the mode is durable as well.
        sealed
            .file
            .set_permissions(fs::Permissions::from_mode(BLOB_MODE))
            .map_err(|error| CommitError::Kept(StoreError::io("make read-only", sealed.path, error)))?;
        (self.sync)(sealed.file).map_err(|error| CommitError::Ruined(StoreError::io("sync", sealed.path, error)))
    }

    fn durable_shard(&self, digest: &Digest) -> Result<PathBuf, CommitError> {
        let shard = self.layout.shard(digest);
        let created = match fs::create_dir(&shard) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(CommitError::Kept(StoreError::io("create", &shard, error))),
        };
        if created || !lock(&self.durable_shards).contains(&shard) {
            self.sync_folder(&self.layout.algorithm(digest.algorithm())).map_err(CommitError::Kept)?;
            lock(&self.durable_shards).insert(shard.clone());
        }
        Ok(shard)
    }
}

/// The size of a blob's file; `None` when nothing is there.
pub(crate) fn size_of(path: &Path) -> Result<Option<u64>, StoreError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(Some(metadata.len())),
        Ok(_) => Err(StoreError::NotAFile { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io("stat", path, error)),
    }
}

#[cfg(test)]
mod tests {
    //! The order of the steps, seen through the syncs, and what a failed sync leaves.

    use std::cell::RefCell;
    use std::fs::OpenOptions;
    use std::io::Write;

    use rustix::io::Errno;
    use tempfile::TempDir;

    use super::*;

    thread_local! {
        /// The names that were synced, each with the blobs visible at that moment; a sync is `Err` where told.
        static SYNCS: RefCell<Vec<(String, usize)>> = const { RefCell::new(Vec::new()) };
        static FAIL_AT: RefCell<Option<&'static str>> = const { RefCell::new(None) };
        static ROOT: RefCell<PathBuf> = const { RefCell::new(PathBuf::new()) };
    }

    fn watched_sync(file: &File) -> io::Result<()> {
        let path = fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file)))?;
        let root = ROOT.with_borrow(PathBuf::clone);
        let name = path.strip_prefix(&root).map_or("above".to_owned(), |path| path.display().to_string());
        let visible = blobs_under(&root.join("blobs"));
        SYNCS.with_borrow_mut(|syncs| syncs.push((name.clone(), visible)));
        if FAIL_AT.with_borrow(|fail| fail.is_some_and(|part| name.contains(part))) {
            return Err(Errno::IO.into());
        }
        Ok(())
    }

    fn blobs_under(blobs: &Path) -> usize {
        let Ok(algorithms) = fs::read_dir(blobs) else { return 0 };
        let shards = algorithms.flat_map(|entry| fs::read_dir(entry.unwrap().path()).unwrap());
        shards.map(|entry| fs::read_dir(entry.unwrap().path()).unwrap().count()).sum()
    }

    struct Bench {
        folder: TempDir,
        committer: Committer,
        digest: Digest,
        staged: PathBuf,
    }

    impl Bench {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let root = fs::canonicalize(folder.path()).unwrap();
            ROOT.set(root.clone());
            let digest = Digest::sha256_of(b"bytes");
            let layout = Layout::new(&root);
            let committer = Committer::new(layout.clone(), watched_sync);
            committer.create_folder(&layout.algorithm(digest.algorithm())).unwrap();
            let staged = root.join("staged");
            SYNCS.take();
            Self { folder, committer, digest, staged }
        }

        fn commit(&self) -> Result<(), CommitError> {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&self.staged).unwrap();
            file.write_all(b"bytes").unwrap();
            self.committer.commit(
                &self.digest,
                &SealedFile { file: &file, path: &self.staged, size: 5 },
                Existing::Replaced,
            )
        }

        fn visible(&self) -> usize {
            blobs_under(&self.folder.path().join("blobs"))
        }

        fn shard(&self) -> String {
            format!("blobs/sha256/{}", &self.digest.hex()[..2])
        }
    }

    #[test]
    fn bytes_are_durable_before_the_name_and_the_name_before_ok() {
        let bench = Bench::new();
        bench.commit().unwrap();
        let expected = vec![("staged".to_owned(), 0), ("blobs/sha256".to_owned(), 0), (bench.shard(), 1)];
        assert_eq!(SYNCS.take(), expected);
    }

    #[test]
    fn the_name_of_a_shard_is_synced_once_and_again_when_it_was_lost() {
        let bench = Bench::new();
        bench.commit().unwrap();
        fs::remove_file(bench.committer.layout.blob(&bench.digest)).unwrap();
        SYNCS.take();
        bench.commit().unwrap();
        assert_eq!(SYNCS.take(), vec![("staged".to_owned(), 0), (bench.shard(), 1)]);

        fs::remove_dir_all(bench.committer.layout.shard(&bench.digest)).unwrap();
        bench.commit().unwrap();
        assert_eq!(SYNCS.take().len(), 3);
        assert_eq!(bench.visible(), 1);
    }

    #[test]
    fn bytes_that_could_not_be_synced_never_get_a_name() {
        let bench = Bench::new();
        FAIL_AT.set(Some("staged"));
        let failed = bench.commit();
        assert!(matches!(failed, Err(CommitError::Ruined(StoreError::Io { op: "sync", .. }))), "{failed:?}");
        assert_eq!(bench.visible(), 0);
        assert_eq!(SYNCS.take().len(), 1, "a failed sync is not tried again");
    }

    #[test]
    fn a_name_that_could_not_be_synced_is_taken_back() {
        let bench = Bench::new();
        let shard: &'static str = bench.shard().leak();
        FAIL_AT.set(Some(shard));
        let failed = bench.commit();
        assert!(matches!(failed, Err(CommitError::Ruined(StoreError::Io { op: "sync", .. }))), "{failed:?}");
        assert_eq!(bench.visible(), 0);
        assert!(!bench.staged.exists());
    }

    #[test]
    fn what_was_there_before_is_not_lost_when_its_replacement_cannot_be_synced() {
        let bench = Bench::new();
        bench.commit().unwrap();
        let shard: &'static str = bench.shard().leak();
        FAIL_AT.set(Some(shard));
        assert!(matches!(bench.commit(), Err(CommitError::Ruined(_))));
        assert_eq!(fs::read(bench.committer.layout.blob(&bench.digest)).unwrap(), b"bytes");
    }

    #[test]
    fn a_shard_whose_name_is_not_durable_takes_no_blob() {
        let bench = Bench::new();
        FAIL_AT.set(Some("blobs/sha256"));
        let failed = bench.commit();
        assert!(matches!(failed, Err(CommitError::Kept(StoreError::Io { op: "sync", .. }))), "{failed:?}");
        assert_eq!(bench.visible(), 0);
        assert!(bench.staged.exists(), "the staged file is as good as before");

        FAIL_AT.set(None);
        SYNCS.take();
        bench.commit().unwrap();
        assert_eq!(SYNCS.take()[1].0, "blobs/sha256", "the shard exists, and its name is synced all the same");
        assert_eq!(bench.visible(), 1);
    }

    #[test]
    fn folders_above_the_store_get_durable_names_too() {
        let bench = Bench::new();
        let deep = bench.folder.path().join("a/b/c");
        bench.committer.create_folder(&deep).unwrap();
        assert!(deep.is_dir());
        let names: Vec<_> = SYNCS.take().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["", "a", "a/b"]);
        bench.committer.create_folder(&deep).unwrap();
        assert!(SYNCS.take().is_empty());
    }
}
