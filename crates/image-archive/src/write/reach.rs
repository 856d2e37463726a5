//! What the index of a layout leads to.
//!
//! Must not know what is done with it. Invariant: what is no manifest for us leads nowhere, and is reached all the same.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use oci::limits::MAX_MANIFEST_BYTES;
use oci::{Descriptor, Digest, ManifestFacts};

use crate::error::ArchiveError;
use crate::{INDEX, blob_name, index};

/// The manifests and blobs that the images of the layout in `folder` are made of.
pub(super) fn from_index(folder: &Path) -> Result<HashSet<Digest>, ArchiveError> {
    let file = folder.join(INDEX);
    let entries = index::read(&file, &fs::read(&file).map_err(ArchiveError::io(&file))?)?;
    let mut queue: Vec<Descriptor> = entries.into_iter().map(|entry| entry.descriptor).collect();
    let (mut reached, mut read) = (HashSet::new(), HashSet::new());
    while let Some(next) = queue.pop() {
        reached.insert(next.digest);
        let Some(facts) = read.insert(next.digest).then(|| facts(folder, &next)).flatten() else { continue };
        reached.extend(facts.blobs().map(|blob| blob.digest));
        queue.extend(facts.manifests);
    }
    Ok(reached)
}

fn facts(folder: &Path, manifest: &Descriptor) -> Option<ManifestFacts> {
    let file = folder.join(blob_name(&manifest.digest));
    let is_bounded = file.metadata().is_ok_and(|found| found.len() <= MAX_MANIFEST_BYTES as u64);
    let bytes = fs::read(is_bounded.then_some(file)?).ok()?;
    ManifestFacts::parse(&bytes, Some(&manifest.media_type)).ok()
}
