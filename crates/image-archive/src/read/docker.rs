//! Archives of `docker save` from before docker 25: a list of configurations and layers, without any manifest.
//!
//! Must not know registries. Invariants: a manifest is made for each image, the same for the same archive; configurations and
//! layers stay byte for byte, and are hashed before they are named; what the archive says of their hashes is true.

use std::collections::HashMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use oci::{Descriptor, Digest, DigestAlgorithm, Digester, MediaType};
use serde::Deserialize;
use serde_json::json;

use super::files::{Files, Place};
use crate::error::ArchiveError;
use crate::index::Entry;

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const TAR: &str = "application/vnd.oci.image.layer.v1.tar";
const PIECE: usize = 256 * 1024;
/// Most layers and images taken together.
const MAX_FILES: usize = 20_000;

/// Largest configuration read.
const MAX_CONFIG: u64 = 16 * 1024 * 1024;

/// What was made of an archive without manifests.
#[derive(Debug, Default)]
pub(super) struct Made {
    manifests: HashMap<Digest, Vec<u8>>,
    places: HashMap<Digest, Place>,
}

impl Made {
    pub(super) fn manifest(&self, digest: &Digest) -> Option<&[u8]> {
        self.manifests.get(digest).map(Vec::as_slice)
    }

    pub(super) fn place(&self, digest: &Digest) -> Option<Place> {
        self.places.get(digest).cloned()
    }

    pub(super) fn has(&self, digest: &Digest) -> bool {
        self.manifests.contains_key(digest) || self.places.contains_key(digest)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// A configuration, as far as it says what the layers are.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    rootfs: Root,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Root {
    diff_ids: Vec<Digest>,
}

/// Makes manifests for the images of an archive.
pub(super) fn read(path: &Path, files: &Files, list: &[u8]) -> Result<(Vec<Entry>, Made), ArchiveError> {
    let broken = |what: String| ArchiveError::broken(path, what);
    let saved: Vec<Saved> =
        serde_json::from_slice(list).map_err(|error| broken(format!("manifest.json cannot be read: {error}")))?;
    if saved.iter().map(|image| 1 + image.layers.as_ref().map_or(0, Vec::len)).sum::<usize>() > MAX_FILES {
        return Err(broken(format!("it has more than {MAX_FILES} layers")));
    }
    let mut hashed = Hashed { path, files, by_name: HashMap::new(), made: Made::default() };
    let mut entries = Vec::new();
    for image in saved {
        let config = hashed.descriptor(&image.config, CONFIG)?;
        let names = image.layers.unwrap_or_default();
        let diff_ids = hashed.diff_ids(&image.config, &config.digest, names.len())?;
        let mut layers = Vec::new();
        for (layer, diff_id) in names.iter().zip(&diff_ids) {
            let suffix = hashed.compression(layer)?;
            let descriptor = hashed.descriptor(layer, &format!("{TAR}{suffix}"))?;
            if suffix.is_empty() {
                hashed.check(layer, diff_id, &descriptor.digest)?;
            }
            layers.push(descriptor);
        }
        let media_type = MediaType::OCI_IMAGE_MANIFEST;
        let manifest = json!({ "schemaVersion": 2, "mediaType": media_type, "config": config, "layers": layers });
        let bytes = manifest.to_string().into_bytes();
        let (digest, size) = (Digest::sha256_of(&bytes), bytes.len() as u64);
        hashed.made.manifests.insert(digest, bytes);
        let names = image.repo_tags.unwrap_or_default();
        entries.extend(names.iter().map(|name| Entry::new(&media_type, digest, size, Some(name))));
        if names.is_empty() {
            entries.push(Entry::new(&media_type, digest, size, None));
        }
    }
    Ok((entries, hashed.made))
}

struct Hashed<'a> {
    path: &'a Path,
    files: &'a Files,
    by_name: HashMap<String, (Digest, u64)>,
    made: Made,
}

impl Hashed<'_> {
    fn place(&self, name: &str) -> Result<Place, ArchiveError> {
        let found = self.files.find(name)?;
        found.ok_or_else(|| {
            let what = format!("manifest.json names {}, which is not in the archive", shown(name));
            ArchiveError::broken(self.path, what)
        })
    }

    /// What the layers hash to when they are not compressed, by the configuration that hashed to `digest`.
    fn diff_ids(&self, name: &str, digest: &Digest, layers: usize) -> Result<Vec<Digest>, ArchiveError> {
        // docker calls it by its digest.
        let named = name.strip_suffix(".json").and_then(|hex| format!("sha256:{hex}").parse::<Digest>().ok());
        if let Some(named) = named {
            self.check(name, &named, digest)?;
        }
        let broken = |what: String| ArchiveError::broken(&self.member(name), what);
        let bytes = self.files.document(name, MAX_CONFIG)?;
        let config: Config = serde_json::from_slice(&bytes)
            .map_err(|error| broken(format!("the configuration cannot be read: {error}")))?;
        let known = config.rootfs.diff_ids;
        if known.len() == layers {
            return Ok(known);
        }
        Err(broken(format!("the configuration knows {} layers, manifest.json lists {layers}", known.len())))
    }

    fn check(&self, name: &str, expected: &Digest, actual: &Digest) -> Result<(), ArchiveError> {
        if expected == actual || expected.algorithm() != actual.algorithm() {
            return Ok(());
        }
        let (expected, actual) = (Box::new(*expected), Box::new(*actual));
        Err(ArchiveError::Mismatch { path: self.member(name), expected, actual })
    }

    fn member(&self, name: &str) -> PathBuf {
        self.path.join(shown(name))
    }

    fn descriptor(&mut self, name: &str, media_type: &str) -> Result<Descriptor, ArchiveError> {
        let known = self.by_name.get(name).copied();
        let (digest, size) = known.map_or_else(|| self.named(name), Ok)?;
        let media_type = media_type
            .parse()
            .map_err(|error: oci::InvalidMediaType| ArchiveError::broken(self.path, error.to_string()))?;
        Ok(Descriptor { media_type, digest, size })
    }

    fn named(&mut self, name: &str) -> Result<(Digest, u64), ArchiveError> {
        let place = self.place(name)?;
        let hashed = (self.hash(&place)?, place.size);
        self.made.places.insert(hashed.0, place);
        self.by_name.insert(name.to_owned(), hashed);
        Ok(hashed)
    }

    fn hash(&self, place: &Place) -> Result<Digest, ArchiveError> {
        let mut reader = place.open().map_err(ArchiveError::io(self.path))?;
        let (mut digester, mut piece) = (Digester::new(DigestAlgorithm::Sha256), vec![0; PIECE]);
        loop {
            match reader.read(&mut piece).map_err(ArchiveError::io(self.path))? {
                0 => return Ok(digester.finish()),
                count => digester.update(&piece[..count]),
            }
        }
    }

    /// docker writes plain tar files, other tools compressed ones.
    fn compression(&self, name: &str) -> Result<&'static str, ArchiveError> {
        let mut start = Vec::new();
        let reader = self.place(name)?.open().map_err(ArchiveError::io(self.path))?;
        reader.take(4).read_to_end(&mut start).map_err(ArchiveError::io(self.path))?;
        Ok(match start.as_slice() {
            [0x1f, 0x8b, ..] => "+gzip",
            [0x28, 0xb5, 0x2f, 0xfd] => "+zstd",
            _ => "",
        })
    }
}

fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(120).collect()
}
