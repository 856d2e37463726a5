//! Builders of small real images: tar.gz layers, configs, manifests, indexes and artifacts, with their digests.
//!
//! Must not know: registries, files on disk. Invariant: the same calls give the same bytes on every machine, so
//! digests can be compared across runs.

use bytes::Bytes;
use oci::Digest;
use serde_json::{Value, json};

mod builder;

pub use builder::{Dialect, ImageBuilder, Platform};

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// Pseudo-random bytes (splitmix64): incompressible, the same for the same seed, a prefix of any longer one.
pub fn blob(seed: u64, size: usize) -> Bytes {
    let mut state = seed;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bytes.extend_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
    }
    bytes.truncate(size);
    Bytes::from(bytes)
}

/// A manifest or index: bytes, what they say they are, and their digest.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// `Content-Type` and `mediaType`.
    pub media_type: String,
    /// sha256 of `bytes`.
    pub digest: Digest,
    /// The exact bytes a registry must answer.
    pub bytes: Bytes,
}

impl Manifest {
    /// Any bytes under any media type, for manifests that no builder would make.
    pub fn from_bytes(media_type: &str, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { media_type: media_type.to_owned(), digest: Digest::sha256_of(&bytes), bytes }
    }

    fn descriptor(&self) -> Value {
        json!({ "mediaType": self.media_type, "digest": self.digest.to_string(), "size": self.bytes.len() })
    }
}

/// A config or layer.
#[derive(Clone, Debug)]
pub struct Blob {
    /// `mediaType` of its descriptor.
    pub media_type: String,
    /// sha256 of `bytes`.
    pub digest: Digest,
    /// Content.
    pub bytes: Bytes,
}

impl Blob {
    fn new(media_type: &str, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { media_type: media_type.to_owned(), digest: Digest::sha256_of(&bytes), bytes }
    }

    fn descriptor(&self) -> Value {
        json!({ "mediaType": self.media_type, "digest": self.digest.to_string(), "size": self.bytes.len() })
    }
}

/// An image, index or artifact with everything it refers to.
#[derive(Clone, Debug)]
pub struct Image {
    /// The manifest or index itself.
    pub manifest: Manifest,
    /// Config first, then layers, in order; empty for an index.
    pub blobs: Vec<Blob>,
    /// The images of an index.
    pub children: Vec<Image>,
}

impl Image {
    /// Digest of the manifest.
    pub fn digest(&self) -> Digest {
        self.manifest.digest
    }

    /// The layers (without the config).
    pub fn layers(&self) -> &[Blob] {
        self.blobs.get(1..).unwrap_or_default()
    }

    /// A small linux/amd64 OCI image with one layer of `layer_bytes` incompressible bytes.
    pub fn small(seed: u64, layer_bytes: usize) -> Self {
        ImageBuilder::new().file("data", &blob(seed, layer_bytes)).end_layer().build()
    }
}

/// An index (or Docker manifest list) over several images.
pub fn index(dialect: Dialect, images: Vec<(Platform, Image)>) -> Image {
    let media_type = match dialect {
        Dialect::Oci => OCI_INDEX,
        Dialect::Docker => DOCKER_LIST,
    };
    let entries: Vec<Value> = images
        .iter()
        .map(|(platform, image)| {
            let mut entry = image.manifest.descriptor();
            entry["platform"] = json!({ "os": platform.os, "architecture": platform.architecture });
            if let Some(variant) = &platform.variant {
                entry["platform"]["variant"] = json!(variant);
            }
            entry
        })
        .collect();
    let manifest = json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": entries });
    let children = images.into_iter().map(|(_, image)| image).collect();
    Image { manifest: Manifest::from_bytes(media_type, pretty(&manifest)), blobs: Vec::new(), children }
}

/// An OCI artifact (image spec 1.1): one payload, an artifact type, and the manifest it belongs to, if any.
pub fn artifact(artifact_type: &str, payload: impl Into<Bytes>, subject: Option<&Manifest>) -> Image {
    let blobs = vec![Blob::new(OCI_EMPTY, "{}"), Blob::new(artifact_type, payload)];
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": artifact_type,
        "config": blobs[0].descriptor(),
        "layers": [blobs[1].descriptor()],
    });
    if let Some(subject) = subject {
        manifest["subject"] = subject.descriptor();
    }
    Image { manifest: Manifest::from_bytes(OCI_MANIFEST, pretty(&manifest)), blobs, children: Vec::new() }
}

/// Indented, as most tools push manifests: a proxy that re-serialises them changes the digest and is caught.
fn pretty(manifest: &Value) -> String {
    serde_json::to_string_pretty(manifest).expect("a JSON value serialises")
}
