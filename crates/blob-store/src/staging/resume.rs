//! What the files that an earlier process left are worth.
//!
//! It must not know who holds staged blobs now.
//!
//! Invariant: a byte counts as present only if its map was written in this boot and the data file reaches that far;
//! in doubt the blob starts over, because fetching again is cheap and wrong bytes are not.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};

use oci::Digest;

use super::boot::BootId;
use super::files::StagedPaths;
use super::map::{MapError, StagedMap, StagedNote};
use crate::range_set::RangeSet;

/// Private until published.
const STAGED_MODE: u32 = 0o600;

enum Found {
    /// The bytes that the map claims are there.
    Resumable(StagedMap),
    /// Only size and note are worth keeping; the map claims no bytes any more.
    Untrusted(StagedMap),
    Nothing,
}

/// Opens the data file of a digest with what of it can be trusted, or a new one.
pub(crate) fn open(digest: &Digest, paths: &StagedPaths, boot: Option<&BootId>) -> io::Result<(File, StagedMap)> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(STAGED_MODE);
    match judge(digest, paths, boot)? {
        Found::Resumable(map) if !map.present.is_empty() => {
            // A crash just before its publishing has left the file read-only.
            fs::set_permissions(&paths.data, fs::Permissions::from_mode(STAGED_MODE))?;
            Ok((options.open(&paths.data)?, map))
        }
        Found::Resumable(map) | Found::Untrusted(map) => {
            paths.remove()?;
            // Kept at once, so that a crash before the first checkpoint does not lose who asked.
            map.write(&paths.map, &paths.temporary_map)?;
            Ok((options.create_new(true).open(&paths.data)?, map))
        }
        Found::Nothing => {
            paths.remove()?;
            let boot = boot.cloned();
            let map =
                StagedMap { digest: *digest, size: None, boot, note: StagedNote::default(), present: RangeSet::new() };
            Ok((options.create_new(true).open(&paths.data)?, map))
        }
    }
}

/// Removes what [`open`] would not use.
pub(crate) fn sweep(digest: &Digest, paths: &StagedPaths, boot: Option<&BootId>) -> io::Result<()> {
    match judge(digest, paths, boot)? {
        Found::Resumable(_) => match fs::remove_file(&paths.temporary_map) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        },
        Found::Untrusted(map) => paths.remove().and_then(|()| map.write(&paths.map, &paths.temporary_map)),
        Found::Nothing => paths.remove(),
    }
}

fn judge(digest: &Digest, paths: &StagedPaths, boot: Option<&BootId>) -> io::Result<Found> {
    let mut map = match StagedMap::read(&paths.map) {
        Ok(map) if map.digest == *digest => map,
        Ok(map) => {
            tracing::warn!(map = %paths.map.display(), claimed = %map.digest, "a map of another blob is dropped");
            return Ok(Found::Nothing);
        }
        Err(MapError::Io(error)) => return Err(error),
        Err(MapError::Missing) => return Ok(Found::Nothing),
        Err(error) => {
            tracing::warn!(map = %paths.map.display(), %error, "a staged blob starts over: its map is unusable");
            return Ok(Found::Nothing);
        }
    };
    let length = match fs::symlink_metadata(&paths.data) {
        Ok(metadata) if metadata.is_file() => metadata.len(),
        Ok(_) => return Ok(Found::Nothing),
        Err(error) if error.kind() == io::ErrorKind::NotFound && map.present.is_empty() => 0,
        // The data went to the store, and the process died before it removed the map.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error),
    };
    let same_boot = boot.is_some() && map.boot.as_ref() == boot;
    let agrees = map.present.end() <= length && map.size.is_none_or(|size| length <= size);
    if same_boot && agrees {
        return Ok(Found::Resumable(map));
    }
    tracing::info!(%digest, same_boot, agrees, "a staged blob starts over: its bytes cannot be trusted");
    map.boot = boot.cloned();
    map.present = RangeSet::new();
    Ok(Found::Untrusted(map))
}
