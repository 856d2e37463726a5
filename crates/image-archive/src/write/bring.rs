//! Images of a layout or an archive that is there, into one that is written.
//!
//! Must not know why. Invariants: what is brought is verified; what the other one does not have is not missed here.

use std::collections::HashSet;
use std::io::Read as _;

use oci::{Descriptor, ManifestFacts};

use super::layout::LayoutWriter;
use crate::error::ArchiveError;
use crate::read::ImageFiles;

const PIECE: usize = 256 * 1024;

impl LayoutWriter {
    /// Brings an image with all that it is made of.
    pub fn bring(&self, from: &ImageFiles, image: &Descriptor) -> Result<(), ArchiveError> {
        let (mut queue, mut seen) = (vec![image.clone()], HashSet::new());
        while let Some(next) = queue.pop() {
            if !from.has(&next.digest)? || !seen.insert(next.digest) {
                continue;
            }
            let bytes = from.manifest(&next.digest)?;
            if let Ok(facts) = ManifestFacts::parse(&bytes, Some(&next.media_type)) {
                for blob in facts.blobs() {
                    self.bring_blob(from, blob)?;
                }
                queue.extend(facts.manifests);
            }
            self.put_manifest(&next.digest, &bytes)?;
        }
        Ok(())
    }

    fn bring_blob(&self, from: &ImageFiles, blob: &Descriptor) -> Result<(), ArchiveError> {
        if self.has(blob) || !from.has(&blob.digest)? {
            return Ok(());
        }
        let place = from.blob(blob)?;
        let mut bytes = place.open().map_err(ArchiveError::io(&place.file))?;
        let mut partial = self.partial(&blob.digest)?;
        partial.restart()?;
        let mut piece = vec![0; PIECE];
        loop {
            match bytes.read(&mut piece).map_err(ArchiveError::io(&place.file))? {
                0 => return partial.finish(blob.size),
                count => partial.write(&piece[..count])?,
            }
        }
    }
}
