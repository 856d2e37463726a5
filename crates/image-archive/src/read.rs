//! Reading: a folder or a tar file, a layout or docker's own archive, looked into in the same way.
//!
//! Must not know what is done with the content. Invariants: documents are bounded before they are read; a manifest that
//! leaves this file has the digest it was asked by.

mod docker;
mod files;
mod tar_index;
mod tar_walk;

use std::collections::HashMap;
use std::io::Read as _;
use std::path::Path;

use oci::limits::MAX_MANIFEST_BYTES;
use oci::{Descriptor, Digest};

use self::files::Files;
pub use self::files::Place;
use crate::error::ArchiveError;
use crate::index::{self, Entry};
use crate::{DOCKER_LIST, INDEX, LAYOUT, blob_name};

/// Largest index read: ten thousand images and more.
const MAX_INDEX: u64 = 64 * 1024 * 1024;

/// A layout or an archive, open for reading.
#[derive(Debug)]
pub struct ImageFiles {
    files: Files,
    entries: Vec<Entry>,
    made: docker::Made,
}

impl ImageFiles {
    /// Opens the layout in a folder, the one in a tar file, or docker's archive.
    pub fn open(path: &Path) -> Result<Self, ArchiveError> {
        let files = Files::open(path)?;
        if files.find(INDEX)?.is_some() {
            let entries = index::read(path, &files.document(INDEX, MAX_INDEX)?)?;
            if files.find(LAYOUT)?.is_none() {
                let what = "there is an index.json, but no file oci-layout beside it: this is no OCI image layout";
                return Err(ArchiveError::NotImages { path: path.to_owned(), what: what.to_owned() });
            }
            return Ok(Self { files, entries, made: docker::Made::default() });
        }
        if files.find(DOCKER_LIST)?.is_some() {
            let list = files.document(DOCKER_LIST, MAX_INDEX)?;
            let (entries, made) = docker::read(path, &files, &list)?;
            return Ok(Self { files, entries, made });
        }
        let what = "neither an OCI image layout (index.json) nor an archive of `docker save` (manifest.json)";
        Err(ArchiveError::NotImages { path: path.to_owned(), what: what.to_owned() })
    }

    /// Its images.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What it is called, for messages.
    pub fn path(&self) -> &Path {
        self.files.path()
    }

    /// Where the bytes of a blob stand; nobody has verified them.
    pub fn blob(&self, descriptor: &Descriptor) -> Result<Place, ArchiveError> {
        let digest = &descriptor.digest;
        let missing = || ArchiveError::Missing { path: self.path().join(blob_name(digest)), digest: Box::new(*digest) };
        let place = match self.made.place(digest) {
            Some(place) => place,
            None => self.files.find(&blob_name(digest))?.ok_or_else(missing)?,
        };
        if place.size == descriptor.size {
            return Ok(place);
        }
        let (path, digest) = (place.file, Box::new(*digest));
        Err(ArchiveError::WrongSize { path, digest, expected: descriptor.size, actual: place.size })
    }

    /// Whether there is content of this digest.
    pub fn has(&self, digest: &Digest) -> Result<bool, ArchiveError> {
        Ok(self.made.has(digest) || self.files.find(&blob_name(digest))?.is_some())
    }

    /// The bytes of a manifest.
    pub fn manifest(&self, digest: &Digest) -> Result<Vec<u8>, ArchiveError> {
        if let Some(made) = self.made.manifest(digest) {
            return Ok(made.to_vec());
        }
        let name = blob_name(digest);
        let path = self.path().join(&name);
        if self.files.find(&name)?.is_none() {
            return Err(ArchiveError::Missing { path, digest: Box::new(*digest) });
        }
        let bytes = self.files.document(&name, MAX_MANIFEST_BYTES as u64)?;
        let actual = Digest::of(digest.algorithm(), &bytes);
        if actual == *digest {
            return Ok(bytes);
        }
        Err(ArchiveError::Mismatch { path, expected: Box::new(*digest), actual: Box::new(actual) })
    }
}

impl Files {
    fn document(&self, name: &str, limit: u64) -> Result<Vec<u8>, ArchiveError> {
        let path = self.path().join(name);
        let place = self.find(name)?.ok_or_else(|| ArchiveError::broken(&path, "it is missing"))?;
        if place.size > limit {
            return Err(ArchiveError::broken(&path, format!("it is larger than {limit} bytes")));
        }
        let mut bytes = Vec::with_capacity(place.size as usize);
        let reader = place.open().map_err(ArchiveError::io(&path))?;
        reader.take(limit).read_to_end(&mut bytes).map_err(ArchiveError::io(&path))?;
        Ok(bytes)
    }
}

/// Files by their names inside an archive.
type Members = HashMap<String, (u64, u64)>;
