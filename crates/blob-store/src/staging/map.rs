//! The sidecar of a staged blob: what is known of it and which of its bytes are there, as a small JSON file.
//!
//! It must not know open files or who reads.
//!
//! Invariant: a map is written after the bytes it claims, and replaced as a whole. It is never synced: it is trusted
//! only in the boot that wrote it, where the page cache still holds both files.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use oci::{ByteRange, Digest};
use serde::{Deserialize, Serialize};

use super::boot::BootId;
use crate::range_set::RangeSet;

const VERSION: u32 = 1;

/// Far above any real map (a run for each block of a 500 GiB blob); a larger file is not one of ours.
const MAX_MAP_BYTES: u64 = 64 * 1024 * 1024;

/// Who asked for a staged blob and from where, so that a fill can go on after a restart. The store only keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedNote {
    /// The repository that asked.
    pub repo_key: String,
    /// The name under that repository.
    pub name: String,
    /// Whether the whole blob is wanted, or only what readers asked for.
    pub whole: bool,
}

/// What a sidecar says.
#[derive(Clone, Debug)]
pub(crate) struct StagedMap {
    pub(crate) digest: Digest,
    pub(crate) size: Option<u64>,
    pub(crate) boot: Option<BootId>,
    pub(crate) note: StagedNote,
    pub(crate) present: RangeSet,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MapFile {
    version: u32,
    digest: Digest,
    size: Option<u64>,
    boot_id: Option<BootId>,
    note: StagedNote,
    present: Vec<(u64, u64)>,
}

/// Why a sidecar cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MapError {
    #[error("it is missing")]
    Missing,
    #[error("it has {0} bytes")]
    TooLarge(u64),
    #[error("it has version {0}")]
    Version(u32),
    #[error("it is not a map")]
    Json(#[from] serde_json::Error),
    #[error("it claims impossible ranges")]
    Ranges,
    #[error("it cannot be read")]
    Io(#[from] io::Error),
}

impl StagedMap {
    /// Reads a sidecar. Everything it claims is consistent in itself; the caller compares it with the data file.
    pub(crate) fn read(path: &Path) -> Result<Self, MapError> {
        let mut open = match File::open(path) {
            Ok(open) => open,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(MapError::Missing),
            Err(error) => return Err(error.into()),
        };
        let length = open.metadata()?.len();
        if length > MAX_MAP_BYTES {
            return Err(MapError::TooLarge(length));
        }
        let mut json = Vec::new();
        open.read_to_end(&mut json)?;
        let file: MapFile = serde_json::from_slice(&json)?;
        if file.version != VERSION {
            return Err(MapError::Version(file.version));
        }
        let present = checked_ranges(&file.present, file.size).ok_or(MapError::Ranges)?;
        Ok(Self { digest: file.digest, size: file.size, boot: file.boot_id, note: file.note, present })
    }

    /// Replaces the sidecar at `path`, through `temporary` beside it.
    pub(crate) fn write(&self, path: &Path, temporary: &Path) -> io::Result<()> {
        let file = MapFile {
            version: VERSION,
            digest: self.digest,
            size: self.size,
            boot_id: self.boot.clone(),
            note: self.note.clone(),
            present: self.present.iter().map(|run| (run.start, run.end)).collect(),
        };
        let json = serde_json::to_vec(&file)?;
        let written = fs::write(temporary, json).and_then(|()| fs::rename(temporary, path));
        if written.is_err()
            && let Err(error) = fs::remove_file(temporary)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(file = %temporary.display(), %error, "a temporary map is left until the next start");
        }
        written
    }
}

/// The ranges as a set, or `None` unless they are non-empty, ascending, disjoint and inside the blob.
fn checked_ranges(ranges: &[(u64, u64)], size: Option<u64>) -> Option<RangeSet> {
    let mut previous_end = 0;
    for &(start, end) in ranges {
        if start < previous_end || start >= end || size.is_some_and(|size| end > size) {
            return None;
        }
        previous_end = end;
    }
    Some(ranges.iter().map(|&(start, end)| ByteRange { start, end }).collect())
}
