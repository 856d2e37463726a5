//! Builds one image, layer by layer.
//!
//! Must not know: registries. Invariant: owners, times and the gzip header are fixed, so equal calls give equal bytes.

use std::io::Write as _;

use bytes::Bytes;
use flate2::{Compression, GzBuilder};
use oci::Digest;
use serde_json::json;

use super::{Blob, Image, Manifest, pretty};

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

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

/// Gzip with no name and no time in its header.
fn gzip(bytes: &[u8]) -> Bytes {
    let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("a Vec takes all bytes");
    Bytes::from(encoder.finish().expect("a Vec takes all bytes"))
}
