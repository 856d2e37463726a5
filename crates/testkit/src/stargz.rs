//! A writer of lazily readable layers, for tests: eStargz, legacy stargz, external TOC and zstd:chunked in both dialects, with
//! hooks to write what no honest writer would.
//!
//! Must not know the code that reads them: nothing here is shared with it, so that a mistake cannot be made twice alike. It lives in
//! the test kit and not behind a feature of the reader, so that no product can contain it.

mod entry;
mod members;
mod seal;

use std::collections::BTreeMap;

use oci::Digest;
use serde_json::{Value, json};

pub use entry::TarEntry;
use members::Members;
pub use seal::{gzip_footer, toc_member, toc_tar};

/// Which format is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// eStargz.
    EStargz,
    /// stargz as CRFS wrote it: no digests.
    LegacyStargz,
    /// eStargz with its TOC in [`Built::external_toc`].
    ExternalToc,
    /// zstd:chunked with the annotations and the footer of stargz-snapshotter.
    ZstdStargz,
    /// zstd:chunked with those of containers/storage.
    ZstdContainers,
}

impl Flavour {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::EStargz, Self::LegacyStargz, Self::ExternalToc, Self::ZstdStargz, Self::ZstdContainers];

    /// Whether members are zstd frames.
    pub fn is_zstd(self) -> bool {
        matches!(self, Self::ZstdStargz | Self::ZstdContainers)
    }
}

/// How a layer is to be written.
#[derive(Clone, Debug)]
pub struct StargzWriter {
    flavour: Flavour,
    chunk_size: usize,
    min_chunk_size: usize,
    prioritized: Option<Vec<String>>,
    annotate: bool,
}

/// A layer as written.
#[derive(Clone, Debug)]
pub struct Built {
    /// The blob.
    pub blob: Vec<u8>,
    /// Its media type.
    pub media_type: &'static str,
    /// Its annotations in the manifest.
    pub annotations: BTreeMap<String, String>,
    /// The table as it was written.
    pub toc: Value,
    /// The first byte after the data.
    pub data_end: u64,
    /// The layer of the TOC image, when the table is outside.
    pub external_toc: Option<Vec<u8>>,
}

impl Built {
    /// The digest of the blob.
    pub fn digest(&self) -> Digest {
        Digest::sha256_of(&self.blob)
    }

    /// Its descriptor in a manifest.
    pub fn descriptor(&self) -> oci::Descriptor {
        let media_type = self.media_type.parse().expect("our own media type");
        oci::Descriptor { media_type, digest: self.digest(), size: self.blob.len() as u64 }
    }

    /// Its descriptor in a manifest, with annotations, as JSON.
    pub fn descriptor_json(&self) -> Value {
        json!({
            "mediaType": self.media_type,
            "digest": self.digest().to_string(),
            "size": self.blob.len(),
            "annotations": self.annotations,
        })
    }
}

impl StargzWriter {
    /// Writes `flavour` with chunks of 4 MiB, each in a member of its own, and annotations.
    pub fn new(flavour: Flavour) -> Self {
        Self { flavour, chunk_size: 4 << 20, min_chunk_size: 0, prioritized: None, annotate: true }
    }

    /// Cuts files into chunks of this many bytes.
    #[must_use]
    pub fn chunk_size(self, chunk_size: usize) -> Self {
        Self { chunk_size, ..self }
    }

    /// Puts payloads into one member until it has this many uncompressed bytes (`innerOffset`).
    #[must_use]
    pub fn min_chunk_size(self, min_chunk_size: usize) -> Self {
        Self { min_chunk_size, ..self }
    }

    /// Puts these files first, and a landmark after them.
    #[must_use]
    pub fn prioritized(self, names: &[&str]) -> Self {
        Self { prioritized: Some(names.iter().map(|name| (*name).to_owned()).collect()), ..self }
    }

    /// Leaves the annotations out.
    #[must_use]
    pub fn without_annotations(self) -> Self {
        Self { annotate: false, ..self }
    }

    /// Writes a layer.
    pub fn build(&self, entries: &[TarEntry]) -> Built {
        self.build_with(entries, |_| ())
    }

    /// Writes a layer whose table was changed by `change`. The digest in the annotations is that of the changed table.
    pub fn build_with(&self, entries: &[TarEntry], change: impl FnOnce(&mut Value)) -> Built {
        self.build_raw(entries, |mut toc| {
            change(&mut toc);
            serde_json::to_vec_pretty(&toc).expect("a table is JSON")
        })
    }

    /// Writes a layer whose table is whatever bytes `write` makes of it.
    pub fn build_raw(&self, entries: &[TarEntry], write: impl FnOnce(Value) -> Vec<u8>) -> Built {
        let mut members = Members::new(self.flavour, self.chunk_size, self.min_chunk_size);
        for entry in self.in_order(entries) {
            members.add(&entry);
        }
        let (data, listed) = members.finish();
        let toc = json!({"version": 1, "entries": listed});
        let raw = write(toc.clone());
        let mut built = seal::seal(self.flavour, data, &raw, toc);
        if !self.annotate {
            built.annotations.clear();
        }
        built
    }

    fn in_order(&self, entries: &[TarEntry]) -> Vec<TarEntry> {
        let landmark = |name: &str| TarEntry::file(name, [0x0f]);
        let Some(prioritized) = &self.prioritized else {
            return match self.flavour {
                Flavour::EStargz | Flavour::ExternalToc => {
                    [landmark(".no.prefetch.landmark")].into_iter().chain(entries.iter().cloned()).collect()
                }
                Flavour::LegacyStargz | Flavour::ZstdStargz | Flavour::ZstdContainers => entries.to_vec(),
            };
        };
        let first = prioritized.iter().map(|name| {
            entries.iter().find(|entry| entry.name() == name).unwrap_or_else(|| panic!("no entry {name}")).clone()
        });
        let rest = entries.iter().filter(|entry| !prioritized.iter().any(|name| name == entry.name())).cloned();
        first.chain([landmark(".prefetch.landmark")]).chain(rest).collect()
    }
}
