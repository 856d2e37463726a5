//! Where pushed blobs grow: `uploads/<session>`, one file a session, written from its first byte to its last.
//!
//! It must not know sessions' owners, HTTP or when a session ends.
//!
//! Invariants: a file's name is an id that this process or a former one made; an upload gets a name as a blob only through
//! [`Uploads::publish`], whose caller has compared the digest.

mod reserve;
mod store_id;
mod upload;

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oci::{Digest, DigestAlgorithm, UploadId};

pub use self::upload::{Mark, Upload};
use crate::error::StoreError;
use crate::local::LocalStore;
use crate::staging::hand_over::{CommitError, SealedFile};

/// Of a file that grows.
const UPLOAD_MODE: u32 = 0o600;

/// The area of uploads beside the store that they are published in. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Uploads {
    folder: Arc<Path>,
    store: LocalStore,
}

/// Why an upload did not become a blob.
#[derive(Debug, thiserror::Error)]
pub enum Unpublished {
    /// The upload is as good as before; trying again may help.
    #[error("{0}")]
    Kept(#[source] StoreError),
    /// What a failed sync left cannot be trusted: the upload is of no use any more.
    #[error("{0}")]
    Lost(#[source] StoreError),
}

impl Uploads {
    /// Opens the area `uploads` under `root`, which must be on the filesystem of `store`. Blocking.
    pub fn open(root: &Path, store: LocalStore) -> Result<Self, StoreError> {
        let folder = root.join("uploads");
        store.create_folder(&folder)?;
        Ok(Self { folder: folder.into(), store })
    }

    /// The store that uploads are published in.
    pub fn store(&self) -> &LocalStore {
        &self.store
    }

    /// The sessions that have a file. Whatever else stands there is reported and left alone. Blocking.
    pub fn list(&self) -> Result<Vec<UploadId>, StoreError> {
        let failed = |error| StoreError::io("list", &self.folder, error);
        let mut ids = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            if let Some(id) = name.to_str().and_then(|name| name.parse().ok()) {
                ids.push(id);
            } else {
                tracing::warn!(file = %name.to_string_lossy(), "a foreign file stands among the uploads");
            }
        }
        Ok(ids)
    }

    /// Begins an upload; its running hash is of `algorithm`.
    pub async fn create(&self, id: &UploadId, algorithm: DigestAlgorithm) -> Result<Upload, StoreError> {
        let path = self.path(id);
        blocking(move || {
            let open = OpenOptions::new().read(true).write(true).create_new(true).mode(UPLOAD_MODE).open(&path);
            let file = open.map_err(|error| StoreError::io("create", &path, error))?;
            Ok(Upload::empty(file, path, algorithm))
        })
        .await
    }

    /// Takes over the first `len` bytes of an upload of a former process and forgets what may follow them; `None` when
    /// they are not there.
    pub async fn reopen(&self, id: &UploadId, len: u64) -> Result<Option<Upload>, StoreError> {
        let path = self.path(id);
        blocking(move || {
            let failed = |error| StoreError::io("open", &path, error);
            // One that was about to be published is read-only already; its owner may change that.
            let opened = fs::set_permissions(&path, fs::Permissions::from_mode(UPLOAD_MODE))
                .and_then(|()| OpenOptions::new().read(true).write(true).open(&path));
            let file = match opened {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(failed(error)),
            };
            if file.metadata().map_err(failed)?.len() < len {
                return Ok(None);
            }
            file.set_len(len).map_err(failed)?;
            Ok(Some(Upload::left(file, path.clone(), len)))
        })
        .await
    }

    /// Removes an upload's file, if there is one.
    pub async fn remove(&self, id: &UploadId) -> Result<(), StoreError> {
        let path = self.path(id);
        blocking(move || remove(&path)).await
    }

    /// Makes an upload visible as the blob `digest`, durably, and ends it. The caller has compared the digest. A blob that
    /// is already there is replaced: it may be damaged, and these bytes are not.
    pub async fn publish(&self, digest: &Digest, upload: &Upload) -> Result<(), Unpublished> {
        let (digest, store, (file, path, size)) = (*digest, self.store.clone(), upload.sealed());
        let task = tokio::task::spawn_blocking(move || {
            store.take_over(&digest, &SealedFile { file: &file, path: &path, size }).map_err(|error| match error {
                CommitError::Kept(error) => Unpublished::Kept(error),
                CommitError::Ruined(error) => Unpublished::Lost(error),
            })
        });
        task.await.unwrap_or_else(|source| Err(Unpublished::Kept(StoreError::Unfinished { source })))
    }

    fn path(&self, id: &UploadId) -> PathBuf {
        self.folder.join(id.as_str())
    }
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io("remove", path, error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.map_err(|source| StoreError::Unfinished { source })?
}

#[cfg(test)]
mod tests;
