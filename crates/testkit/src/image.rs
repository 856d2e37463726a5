//! Builders of small real images: tar.gz layers, configs, manifests, indexes and artifacts, with their digests.
//!
//! Must not know: registries, files on disk. Invariant: the same calls give the same bytes on every machine, so
//! digests can be compared across runs.

use bytes::Bytes;
use flate2::{Compression, GzBuilder};
use oci::Digest;
use serde_json::{Value, json};

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

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

/// The two families of media types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// OCI image spec.
    Oci,
    /// Docker image manifest v2, schema 2.
    Docker,
}

/// A platform of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// `linux`
    pub os: String,
    /// `amd64`, `arm64`, ...
    pub architecture: String,
    /// `v8`, ...
    pub variant: Option<String>,
}

impl Platform {
    /// A platform without variant.
    pub fn new(os: &str, architecture: &str) -> Self {
        Self { os: os.into(), architecture: architecture.into(), variant: None }
    }
}

struct LayerDraft {
    blob: Bytes,
    diff_id: Digest,
}

/// Builds one image, layer by layer.
pub struct ImageBuilder {
    dialect: Dialect,
    platform: Platform,
    command: Vec<String>,
    open_layer: tar::Builder<Vec<u8>>,
    layers: Vec<LayerDraft>,
}

impl Default for ImageBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl ImageBuilder {
    /// An empty OCI image for linux/amd64.
    pub fn new() -> Self {
        Self {
            dialect: Dialect::Oci,
            platform: Platform::new("linux", "amd64"),
            command: Vec::new(),
            open_layer: tar::Builder::new(Vec::new()),
            layers: Vec::new(),
        }
    }

    /// Chooses the media types.
    #[must_use]
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = dialect;
        self
    }

    /// Chooses the platform of the config.
    #[must_use]
    pub fn platform(mut self, platform: Platform) -> Self {
        self.platform = platform;
        self
    }

    /// What `docker run` starts.
    #[must_use]
    pub fn command(mut self, words: &[&str]) -> Self {
        self.command = words.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// Adds a file to the open layer.
    #[must_use]
    pub fn file(self, path: &str, content: &[u8]) -> Self {
        self.entry(path, content, 0o644)
    }

    /// Adds a program to the open layer.
    #[must_use]
    pub fn program(self, path: &str, content: &[u8]) -> Self {
        self.entry(path, content, 0o755)
    }

    fn entry(mut self, path: &str, content: &[u8], mode: u32) -> Self {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        header.set_mtime(0);
        self.open_layer.append_data(&mut header, path, content).expect("a Vec takes all bytes");
        self
    }

    /// Compresses the open layer and starts the next.
    #[must_use]
    pub fn end_layer(mut self) -> Self {
        let open = std::mem::replace(&mut self.open_layer, tar::Builder::new(Vec::new()));
        let tar = open.into_inner().expect("a Vec takes all bytes");
        self.layers.push(LayerDraft { diff_id: Digest::sha256_of(&tar), blob: gzip(&tar) });
        self
    }

    /// The image. Files after the last `end_layer` are an error of the test.
    pub fn build(self) -> Image {
        assert!(self.open_layer.get_ref().is_empty(), "call end_layer() before build()");
        let (manifest_type, config_type, layer_type) = match self.dialect {
            Dialect::Oci => (OCI_MANIFEST, OCI_CONFIG, OCI_LAYER),
            Dialect::Docker => (DOCKER_MANIFEST, DOCKER_CONFIG, DOCKER_LAYER),
        };
        let diff_ids: Vec<String> = self.layers.iter().map(|layer| layer.diff_id.to_string()).collect();
        let config = json!({
            "created": "1970-01-01T00:00:00Z",
            "architecture": self.platform.architecture,
            "os": self.platform.os,
            "config": { "Cmd": self.command, "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"] },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
            "history": diff_ids.iter().map(|_| json!({ "created": "1970-01-01T00:00:00Z" })).collect::<Vec<_>>(),
        });
        let mut blobs = vec![Blob::new(config_type, config.to_string())];
        blobs.extend(self.layers.into_iter().map(|layer| Blob::new(layer_type, layer.blob)));
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": manifest_type,
            "config": blobs[0].descriptor(),
            "layers": blobs[1..].iter().map(Blob::descriptor).collect::<Vec<_>>(),
        });
        Image { manifest: Manifest::from_bytes(manifest_type, pretty(&manifest)), blobs, children: Vec::new() }
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

/// Gzip with no name and no time in its header.
fn gzip(bytes: &[u8]) -> Bytes {
    use std::io::Write as _;
    let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("a Vec takes all bytes");
    Bytes::from(encoder.finish().expect("a Vec takes all bytes"))
}
