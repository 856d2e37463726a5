//! Which store this is: a word of its own in `store-id`, which the database that belongs to it knows too.
//!
//! It must not know databases. Invariant: the file is there whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};

use super::{Uploads, blocking};
use crate::error::StoreError;

const NAME: &str = "store-id";

impl Uploads {
    /// The word; `None` for a store that has none.
    pub async fn store_id(&self) -> Result<Option<String>, StoreError> {
        let path = self.folder.with_file_name(NAME);
        blocking(move || match fs::read(&path) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).trim().to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io("read", &path, error)),
        })
        .await
    }

    /// Gives the store its word, durably.
    pub async fn set_store_id(&self, id: &str) -> Result<(), StoreError> {
        let (path, text, store) = (self.folder.with_file_name(NAME), format!("{id}\n"), self.store.clone());
        blocking(move || {
            let beside = path.with_extension("new");
            let write = || {
                let mut file = File::create(&beside)?;
                file.write_all(text.as_bytes())?;
                file.sync_all()?;
                fs::rename(&beside, &path)
            };
            write().map_err(|error| StoreError::io("write", &path, error))?;
            path.parent().map_or(Ok(()), |folder| store.sync_folder(folder))
        })
        .await
    }
}
