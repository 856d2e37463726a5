//! What manifests say beside their descriptors: the platforms of an index and the annotations of layers.
//!
//! Must not know how manifests are fetched. Invariant: it is read from the same bytes as `ManifestFacts`, which has
//! refused documents that two readers would understand differently, and the digests are compared with those there.

use std::collections::HashMap;

use oci::{Descriptor, Digest, ManifestFacts, MediaType};
use serde::Deserialize;

use oci::Platform;

/// Longest annotation kept, in bytes: those that matter here are digests and numbers.
const LONGEST_ANNOTATION: usize = 4096;
/// Most annotations kept of one layer.
const MOST_ANNOTATIONS: usize = 64;

/// A layer as the manifest has it.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    /// Its place, counted from 0: the lowest.
    pub(crate) index: usize,
    /// Of the compressed blob.
    pub(crate) digest: Digest,
    /// Of the compressed blob, in bytes.
    pub(crate) size: u64,
    /// The kind of blob.
    pub(crate) media_type: MediaType,
    /// What its maker wrote beside it.
    pub(crate) annotations: HashMap<String, String>,
}

impl Layer {
    fn new(index: usize, descriptor: &Descriptor, annotations: HashMap<String, String>) -> Self {
        let Descriptor { media_type, digest, size } = descriptor.clone();
        let fits = |(key, value): &(String, String)| key.len() + value.len() <= LONGEST_ANNOTATION;
        let annotations = annotations.into_iter().filter(fits).take(MOST_ANNOTATIONS).collect();
        Self { index, digest, size, media_type, annotations }
    }
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    manifests: Option<Vec<Entry>>,
    #[serde(default)]
    layers: Option<Vec<Entry>>,
}

#[derive(Deserialize)]
struct Entry {
    digest: Digest,
    #[serde(default)]
    platform: Option<Platform>,
    #[serde(default)]
    annotations: Option<HashMap<String, String>>,
}

/// The layers of a manifest that is at hand; none when it is no manifest of an image.
pub(crate) fn layers_of_manifest(bytes: &[u8]) -> Option<Vec<Layer>> {
    let facts = ManifestFacts::parse(bytes, None).ok()?;
    layers(bytes, &facts).ok()
}

/// A child of an index.
#[derive(Debug)]
pub(crate) struct Child {
    /// Which manifest.
    pub(crate) descriptor: Descriptor,
    /// For what it is, when the index says.
    pub(crate) platform: Option<Platform>,
}

/// The layers of a manifest, in their order.
pub(crate) fn layers(bytes: &[u8], facts: &ManifestFacts) -> Result<Vec<Layer>, String> {
    let entries = read(bytes)?.layers.unwrap_or_default();
    agree(&entries, &facts.layers)?;
    let both = facts.layers.iter().zip(entries).enumerate();
    Ok(both.map(|(at, (layer, entry))| Layer::new(at, layer, entry.annotations.unwrap_or_default())).collect())
}

/// The children of an index, in their order.
pub(crate) fn children(bytes: &[u8], facts: &ManifestFacts) -> Result<Vec<Child>, String> {
    let entries = read(bytes)?.manifests.unwrap_or_default();
    agree(&entries, &facts.manifests)?;
    let both = facts.manifests.iter().zip(entries);
    Ok(both.map(|(child, entry)| Child { descriptor: child.clone(), platform: entry.platform }).collect())
}

fn read(bytes: &[u8]) -> Result<Document, String> {
    serde_json::from_slice(bytes).map_err(|error| error.to_string())
}

fn agree(entries: &[Entry], facts: &[Descriptor]) -> Result<(), String> {
    let same = entries.iter().map(|entry| &entry.digest).eq(facts.iter().map(|one| &one.digest));
    if same { Ok(()) } else { Err("it can be read in two ways".to_owned()) }
}
