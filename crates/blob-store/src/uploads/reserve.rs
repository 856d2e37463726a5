//! Room that is kept for cleaning up: deleting needs a little of it (the database writes before it forgets), and a disk that
//! is full to the last byte has none.
//!
//! It must not know what is cleaned up. Invariant: the file holds nothing; losing it loses nothing.

use std::fs::{self, File};
use std::io::{self, Write};

use super::{Uploads, blocking, remove};
use crate::error::StoreError;

/// Enough for the largest transaction that cleans up, several times over. Where there is no room for it, less will do for a
/// while: the database's log takes some of what was given back.
const RESERVE_BYTES: [u64; 3] = [4 << 20, 2 << 20, 1 << 20];

impl Uploads {
    /// Takes the room, if it is not taken yet. A disk that has none is no error of this call's: `false`.
    pub async fn keep_reserve(&self) -> Result<bool, StoreError> {
        let path = self.folder.with_file_name("reserve");
        blocking(move || {
            if fs::metadata(&path).is_ok_and(|facts| facts.len() == RESERVE_BYTES[0]) {
                return Ok(true);
            }
            for bytes in RESERVE_BYTES {
                let Err(error) = File::create(&path).and_then(|file| fill(&file, bytes)) else { return Ok(true) };
                // Half of it would take room and give none.
                remove(&path)?;
                let error = StoreError::io("write", &path, error);
                if !matches!(error, StoreError::NoSpace { .. }) {
                    return Err(error);
                }
            }
            Ok(false)
        })
        .await
    }

    /// Gives the room back; false when there was none.
    pub async fn release_reserve(&self) -> Result<bool, StoreError> {
        let path = self.folder.with_file_name("reserve");
        blocking(move || {
            let there = fs::metadata(&path).is_ok();
            remove(&path)?;
            Ok(there)
        })
        .await
    }
}

fn fill(mut file: &File, bytes: u64) -> io::Result<()> {
    let zeros = vec![0; 1 << 16];
    let mut left = bytes;
    while left > 0 {
        file.write_all(&zeros)?;
        left = left.saturating_sub(zeros.len() as u64);
    }
    file.sync_all()
}
