//! What is kept between runs: manifests and tables of contents, by the digest that proves them.
//!
//! Must not know what is inside. Invariants: nothing that is taken from here is trusted, its reader compares it with the
//! digest it was asked by; a damaged or missing cache is a slower run, never a failure; files appear whole, by rename;
//! the folder stays within its bound, what was used longest ago goes first.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use oci::Digest;

use crate::error::StargetError;
use crate::settings::Settings;

/// Largest single file kept or read, in bytes: a table of contents at its limit.
const LARGEST: u64 = 256 * 1024 * 1024;

/// The kinds of content, each in a folder of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Manifests and indexes.
    Manifest,
    /// Tables of contents.
    Toc,
}

impl Kept {
    /// All of them.
    pub(crate) const ALL: [Self; 2] = [Self::Manifest, Self::Toc];

    /// The folder's name.
    pub(crate) const fn folder(self) -> &'static str {
        match self {
            Self::Manifest => "manifests",
            Self::Toc => "tocs",
        }
    }
}

/// The cache folder, or none.
#[derive(Debug)]
pub(crate) struct Cache {
    root: Option<PathBuf>,
    most: u64,
}

impl Cache {
    /// Makes the folder, private to its user, unless it is there.
    pub(crate) fn open(settings: &Settings) -> Result<Self, StargetError> {
        if let Some(root) = &settings.cache_dir {
            for kind in Kept::ALL {
                let folder = root.join(kind.folder());
                fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(|source| {
                    StargetError::Io { doing: "make the cache folder", path: folder.clone(), source }
                })?;
            }
        }
        Ok(Self { root: settings.cache_dir.clone(), most: settings.cache_size })
    }

    /// The manifest with this digest, if it is here and whole.
    pub(crate) fn manifest(&self, digest: &Digest) -> Option<(Bytes, Digest)> {
        let bytes = self.get(Kept::Manifest, &file_name(digest))?;
        (Digest::of(digest.algorithm(), &bytes) == *digest).then(|| (bytes.into(), *digest))
    }

    /// Keeps a manifest.
    pub(crate) fn keep_manifest(&self, digest: &Digest, bytes: &[u8]) {
        self.keep(Kept::Manifest, &file_name(digest), bytes);
    }

    /// What is kept under this name. Its reader checks it.
    pub(crate) fn get(&self, kind: Kept, name: &str) -> Option<Vec<u8>> {
        let path = self.root.as_ref()?.join(kind.folder()).join(name);
        let file = File::open(&path).ok()?;
        let length = file.metadata().ok()?.len();
        if length > LARGEST {
            return None;
        }
        // The time of change is the time of use; a file system that refuses it evicts a little less well.
        let _ = file.set_modified(SystemTime::now());
        let bytes = fs::read(&path).ok()?;
        tracing::info!(kind = kind.folder(), name, bytes = bytes.len(), "found in the cache");
        Some(bytes)
    }

    /// Keeps bytes under this name, and makes room for them.
    pub(crate) fn keep(&self, kind: Kept, name: &str, bytes: &[u8]) {
        let Some(root) = &self.root else { return };
        let size = bytes.len() as u64;
        if size > self.most.min(LARGEST) {
            return;
        }
        if let Err(error) = write(&root.join(kind.folder()), name, bytes) {
            tracing::warn!(kind = kind.folder(), name, %error, "cannot be kept in the cache");
            return;
        }
        for old in beyond(entries(root), self.most) {
            tracing::info!(path = %old.display(), "leaves the cache");
            // Another run may have removed it first.
            let _ = fs::remove_file(&old);
        }
    }
}

/// A file of the cache.
#[derive(Clone, Debug)]
pub(crate) struct CacheEntry {
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
    pub(crate) used: SystemTime,
}

/// The name a digest has as a file.
pub(crate) fn file_name(digest: &Digest) -> String {
    digest.to_string().replace(':', "-")
}

/// Everything in the folder.
pub(crate) fn entries(root: &Path) -> Vec<CacheEntry> {
    let of = |kind: Kept| fs::read_dir(root.join(kind.folder())).into_iter().flatten().flatten();
    let files = Kept::ALL.into_iter().flat_map(of);
    files
        .filter_map(|file| {
            let metadata = file.metadata().ok().filter(fs::Metadata::is_file)?;
            Some(CacheEntry { path: file.path(), size: metadata.len(), used: metadata.modified().ok()? })
        })
        .collect()
}

/// What has to go so that the rest fits, the least recently used first.
fn beyond(mut entries: Vec<CacheEntry>, most: u64) -> Vec<PathBuf> {
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.used));
    let mut sum = 0_u64;
    let fits = |entry: &CacheEntry| {
        sum = sum.saturating_add(entry.size);
        sum <= most
    };
    let kept = entries.iter().map(fits).take_while(|fits| *fits).count();
    entries.split_off(kept).into_iter().map(|entry| entry.path).collect()
}

/// Written beside and renamed: two runs may keep the same at once.
fn write(folder: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let temporary = folder.join(format!(".{name}.{}", std::process::id()));
    let written = File::create(&temporary)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| fs::rename(&temporary, folder.join(name)));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn cache(root: &Path, most: u64) -> Cache {
        for kind in Kept::ALL {
            fs::create_dir_all(root.join(kind.folder())).unwrap();
        }
        Cache { root: Some(root.to_owned()), most }
    }

    #[test]
    fn manifests_come_back_and_damaged_ones_do_not() {
        let root = tempfile::tempdir().unwrap();
        let cache = cache(root.path(), 1 << 20);
        let digest = Digest::sha256_of(b"{}");
        assert!(cache.manifest(&digest).is_none());
        cache.keep_manifest(&digest, b"{}");
        assert_eq!(cache.manifest(&digest).unwrap().0, "{}");
        fs::write(root.path().join("manifests").join(file_name(&digest)), "{ }").unwrap();
        assert!(cache.manifest(&digest).is_none(), "its digest is another one");
    }

    #[test]
    fn what_was_used_longest_ago_makes_room() {
        let root = tempfile::tempdir().unwrap();
        let cache = cache(root.path(), 25);
        let then = SystemTime::now() - Duration::from_secs(1000);
        for (at, name) in ["a", "b"].into_iter().enumerate() {
            cache.keep(Kept::Toc, name, &[0; 10]);
            let file = File::options().write(true).open(root.path().join("tocs").join(name)).unwrap();
            file.set_modified(then + Duration::from_secs(at as u64)).unwrap();
        }
        assert!(cache.get(Kept::Toc, "a").is_some(), "and now it is the one used last");
        cache.keep(Kept::Manifest, "c", &[0; 10]);
        assert!(cache.get(Kept::Toc, "a").is_some() && cache.get(Kept::Manifest, "c").is_some());
        assert!(cache.get(Kept::Toc, "b").is_none());
        cache.keep(Kept::Toc, "huge", &[0; 26]);
        assert!(cache.get(Kept::Toc, "huge").is_none() && cache.get(Kept::Toc, "a").is_some());
    }
}
