//! Images from an OCI image layout (image spec, image-layout.md): `index.json`, `blobs/<algorithm>/<hex>`.
//!
//! Must not know HTTP. Invariant: content goes in under the digest it has; a file that does not match its name is an error.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use oci::Digest;
use serde_json::Value;

use crate::image::Manifest;
use crate::upstream::FakeUpstream;

const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Why a layout cannot be served.
#[derive(Debug)]
pub enum LayoutError {
    /// A file cannot be read.
    Unreadable(PathBuf, io::Error),
    /// A file is not what its place says.
    Wrong(PathBuf, String),
}

impl std::fmt::Display for LayoutError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreadable(path, error) => write!(formatter, "{}: {error}", path.display()),
            Self::Wrong(path, what) => write!(formatter, "{}: {what}", path.display()),
        }
    }
}

impl std::error::Error for LayoutError {}

impl FakeUpstream {
    /// Puts everything of the layout in `folder` into a repository; returns the tags. Manifests without a name in the index
    /// are tagged `latest`.
    pub fn add_layout(&self, repository: &str, folder: &Path) -> Result<Vec<String>, LayoutError> {
        let index = folder.join("index.json");
        let document: Value = serde_json::from_slice(&read(&index)?)
            .map_err(|error| LayoutError::Wrong(index.clone(), error.to_string()))?;
        let mut tags = Vec::new();
        for entry in children(&document, "manifests") {
            let digest = self.add_described(repository, folder, entry)?;
            let name = entry["annotations"][REF_NAME].as_str().unwrap_or("latest");
            let tag = name.rsplit_once(':').map_or(name, |(_, tag)| tag);
            self.set_tag(repository, tag, &digest);
            tags.push(tag.to_owned());
        }
        if tags.is_empty() {
            return Err(LayoutError::Wrong(index, "names no manifests".to_owned()));
        }
        Ok(tags)
    }

    fn add_described(&self, repository: &str, folder: &Path, descriptor: &Value) -> Result<Digest, LayoutError> {
        let (path, digest, bytes) = content(folder, descriptor)?;
        let document: Value =
            serde_json::from_slice(&bytes).map_err(|error| LayoutError::Wrong(path, error.to_string()))?;
        for child in children(&document, "manifests") {
            self.add_described(repository, folder, child)?;
        }
        for blob in document.get("config").into_iter().chain(children(&document, "layers")) {
            self.add_blob(repository, content(folder, blob)?.2);
        }
        let media_type = descriptor["mediaType"].as_str().unwrap_or("application/vnd.oci.image.manifest.v1+json");
        let mut manifest = Manifest::from_bytes(media_type, bytes);
        manifest.digest = digest;
        Ok(self.add_manifest(repository, &manifest))
    }
}

fn children<'v>(document: &'v Value, list: &str) -> impl Iterator<Item = &'v Value> {
    document.get(list).and_then(Value::as_array).into_iter().flatten()
}

fn content(folder: &Path, descriptor: &Value) -> Result<(PathBuf, Digest, Bytes), LayoutError> {
    let text = descriptor["digest"].as_str().unwrap_or_default();
    let wrong = |what: String| LayoutError::Wrong(folder.to_owned(), what);
    let digest: Digest = text.parse().map_err(|error| wrong(format!("the digest '{text}' cannot be read: {error}")))?;
    let path = folder.join("blobs").join(text.replace(':', "/"));
    let bytes = Bytes::from(read(&path)?);
    if Digest::of(digest.algorithm(), &bytes) != digest {
        return Err(LayoutError::Wrong(path, "does not have the digest it is named after".to_owned()));
    }
    Ok((path, digest, bytes))
}

fn read(path: &Path) -> Result<Vec<u8>, LayoutError> {
    std::fs::read(path).map_err(|error| LayoutError::Unreadable(path.to_owned(), error))
}
