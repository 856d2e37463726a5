//! `index.json`: the images of a layout, and what they are called.
//!
//! Must not know where it stands. Invariant: fields that say nothing to us stay with an entry that is written again.

use std::path::Path;

use oci::{Descriptor, Digest, MediaType};
use serde_json::{Map, Value, json};

use crate::error::ArchiveError;

/// The annotation with an image's name in the layout (image-spec "Pre-Defined Annotation Keys").
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation by which containerd and docker name an image in full.
pub const NAME_OF_IMAGE: &str = "io.containerd.image.name";

/// Our own annotation: the repository that the image was taken from, `KEY/NAME` or `HOST/NAME`.
pub const REPOSITORY: &str = "dev.transship.repository";

/// One image of a layout.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The manifest.
    pub descriptor: Descriptor,
    /// All that the index says of it.
    document: Map<String, Value>,
}

impl Entry {
    /// A manifest under a name; the name may be anything.
    pub fn new(media_type: &MediaType, digest: Digest, size: u64, name: Option<&str>) -> Self {
        let descriptor = Descriptor { media_type: media_type.clone(), digest, size };
        let mut document = Map::new();
        document.insert("mediaType".to_owned(), json!(descriptor.media_type));
        document.insert("digest".to_owned(), json!(descriptor.digest));
        document.insert("size".to_owned(), json!(descriptor.size));
        if let Some(name) = name {
            document.insert("annotations".to_owned(), json!({ REF_NAME: name }));
        }
        Self { descriptor, document }
    }

    /// The name in the layout.
    pub fn name(&self) -> Option<&str> {
        self.annotation(REF_NAME)
    }

    /// The name with its repository, where the index tells it: docker and containerd put only the tag into the layout's name.
    pub fn full_name(&self) -> Option<&str> {
        match self.name() {
            Some(name) if name.contains(['/', ':', '@']) => Some(name),
            tag => self.annotation(NAME_OF_IMAGE).or(tag),
        }
    }

    /// Whether it goes by this name, in short or in full.
    pub fn is_called(&self, name: &str) -> bool {
        self.name() == Some(name) || self.annotation(NAME_OF_IMAGE) == Some(name)
    }

    /// The same with an annotation more.
    #[must_use]
    pub fn with_annotation(mut self, key: &str, value: &str) -> Self {
        let annotations = self.document.entry("annotations").or_insert_with(|| json!({}));
        if let Value::Object(annotations) = annotations {
            annotations.insert(key.to_owned(), json!(value));
        }
        self
    }

    /// What an annotation says.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.document.get("annotations")?.get(key)?.as_str()
    }
}

/// Reads the entries of an index.
pub(crate) fn read(path: &Path, bytes: &[u8]) -> Result<Vec<Entry>, ArchiveError> {
    let broken = |what: String| ArchiveError::broken(path, what);
    let document: Value =
        serde_json::from_slice(bytes).map_err(|error| broken(format!("the index is not JSON: {error}")))?;
    let listed = match document.get("manifests") {
        Some(Value::Array(listed)) => listed.clone(),
        Some(Value::Null) | None => Vec::new(),
        Some(_) => return Err(broken("\"manifests\" is not a list".to_owned())),
    };
    listed
        .into_iter()
        .map(|entry| {
            let descriptor: Descriptor = serde_json::from_value(entry.clone())
                .map_err(|error| broken(format!("an entry of the index cannot be read: {error}")))?;
            match entry {
                Value::Object(document) => Ok(Entry { descriptor, document }),
                _ => Err(broken("an entry of the index is not an object".to_owned())),
            }
        })
        .collect()
}

/// Writes an index.
pub(crate) fn write(entries: &[Entry]) -> Vec<u8> {
    let manifests: Vec<Value> = entries.iter().map(|entry| Value::Object(entry.document.clone())).collect();
    let media_type = MediaType::OCI_IMAGE_INDEX;
    let index = json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": manifests });
    index.to_string().into_bytes()
}
