//! The folder that holds everything: made when missing, private to its user, and writable, or a clear error.
//!
//! ```text
//! <cache-dir>/
//!   transship.db       rows (and transship.db.lock: one process at a time)
//!   blobs/             complete blobs
//!   staging/           blobs that grow
//!   hosted/            what was pushed: blobs/ and uploads/, which no budget touches
//!   admin.token        what /api calls must show
//!   secrets/           the keys that seal the credentials in transship.db
//! ```
//!
//! Must not know what is inside those. Invariant: the folder is checked before anything in it is touched.

use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::config::Size;

/// The budget when none is configured: this much, or half of the file system when that is less.
const DEFAULT_BUDGET: Size = Size(50 << 30);

/// The folder and what stands where in it.
#[derive(Clone, Debug)]
pub(crate) struct CacheDir {
    root: PathBuf,
}

/// The admin token made at first start, in the folder at `root`.
pub(crate) fn admin_token_in(root: &Path) -> PathBuf {
    root.join("admin.token")
}

impl CacheDir {
    /// Makes the folder and that for keys (mode 0700) unless they are there, and checks that it can be written to.
    pub(crate) fn open(root: &Path) -> Result<Self> {
        let hint = "choose another with --cache-dir, TRANSSHIP_CACHE_DIR or cache_dir";
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(root.join("secrets"))
            .with_context(|| format!("cannot make the cache directory {}; {hint}", root.display()))?;
        let probe = root.join(".writable");
        match std::fs::write(&probe, b"") {
            Ok(()) => {}
            // A full disk is no reason not to serve what is there.
            Err(error) if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {}
            Err(error) => {
                let user = rustix::process::geteuid().as_raw();
                bail!(
                    "cannot write to the cache directory {}: {error}; make it writable for user {user}, or {hint}",
                    root.display()
                );
            }
        }
        match std::fs::remove_file(&probe) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error)
                .with_context(|| format!("cannot remove files from the cache directory {}; {hint}", root.display())),
            Ok(()) | Err(_) => Ok(Self { root: root.to_owned() }),
        }
    }

    /// The folder itself; complete blobs are below it.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where blobs grow.
    pub(crate) fn staging(&self) -> PathBuf {
        self.root.join("staging")
    }

    /// What was pushed.
    pub(crate) fn hosted(&self) -> PathBuf {
        self.root.join("hosted")
    }

    /// The metadata database.
    pub(crate) fn database(&self) -> PathBuf {
        self.root.join("transship.db")
    }

    /// The keys for stored credentials, made at first start.
    pub(crate) fn sealing_keys(&self) -> PathBuf {
        self.root.join("secrets").join("sealing.keys")
    }

    /// The admin token made at first start.
    pub(crate) fn admin_token(&self) -> PathBuf {
        admin_token_in(&self.root)
    }

    /// The budget: the one configured, else the default for this file system.
    pub(crate) fn budget(&self, configured: Option<Size>) -> Result<Size> {
        if let Some(configured) = configured {
            return Ok(configured);
        }
        let facts = rustix::fs::statvfs(&self.root).with_context(|| {
            format!("cannot tell the size of the file system of {}; set cache.max_size", self.root.display())
        })?;
        let half = facts.f_blocks.saturating_mul(facts.f_frsize) / 2;
        Ok(DEFAULT_BUDGET.min(Size(half)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_folder_is_made_private_and_nothing_is_left_in_it() {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("a/b");
        let opened = CacheDir::open(&root).unwrap();
        assert_eq!(root.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        let left: Vec<_> = root.read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["secrets"]);
        assert_eq!(root.join("secrets").metadata().unwrap().permissions().mode() & 0o777, 0o700);
        assert!(opened.budget(None).unwrap() <= DEFAULT_BUDGET);
        assert_eq!(opened.budget(Some(Size(7))).unwrap(), Size(7));
        CacheDir::open(&root).unwrap();
    }

    #[test]
    fn a_file_in_the_way_is_named_with_a_way_out() {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("file");
        std::fs::write(&root, "kept").unwrap();
        let error = format!("{:#}", CacheDir::open(&root).unwrap_err());
        assert!(error.contains("--cache-dir") && error.contains(root.to_str().unwrap()), "{error}");
        assert_eq!(std::fs::read(&root).unwrap(), b"kept");
    }
}
