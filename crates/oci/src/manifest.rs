//! What a manifest says, read from bytes that are kept and served as they are.
//!
//! Must not write manifests: bytes are never re-serialised. Invariant: facts exist only for documents that every reader
//! understands alike (CVE-2021-41190: one digest, two readings), within the bounds of `limits`.

use std::cell::Cell;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};

use crate::descriptor::Descriptor;
use crate::limits::{MAX_INDEX_CHILDREN, MAX_MANIFEST_BYTES, MAX_MANIFEST_LAYERS};
use crate::manifest_error::ManifestError;
use crate::manifest_fields::{Field, Fields};
use crate::media_type::MediaType;
use crate::newtype::shorten;

/// The facts of one manifest or index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestFacts {
    /// The type it is to be served as: the body's own, else the `Content-Type` it came with, else what its shape says.
    pub media_type: MediaType,
    /// The configuration blob of an image manifest.
    pub config: Option<Descriptor>,
    /// The layers of an image manifest, in their order.
    pub layers: Vec<Descriptor>,
    /// The children of an index, in their order.
    pub manifests: Vec<Descriptor>,
    /// The manifest this one refers to (referrers API).
    pub subject: Option<Descriptor>,
    /// The type of artifact, when it is one.
    pub artifact_type: Option<String>,
}

impl ManifestFacts {
    /// Reads the facts of a manifest that came with the given `Content-Type`.
    ///
    /// A `Content-Type` that is not of the form `application/…+json` is taken as none: some registries serve manifests
    /// as `application/json` or `text/plain`.
    pub fn parse(bytes: &[u8], content_type: Option<&MediaType>) -> Result<Self, ManifestError> {
        if bytes.len() > MAX_MANIFEST_BYTES {
            return Err(ManifestError::TooLarge { actual: bytes.len() });
        }
        let text = std::str::from_utf8(bytes).map_err(|error| ManifestError::NotJson { reason: error.to_string() })?;
        let fields = Fields::split(text)?;
        let media_type = media_type(&fields, content_type)?;
        check_shape(&fields, &media_type)?;
        Ok(Self {
            media_type,
            config: optional(&fields, Field::Config)?,
            layers: descriptors(&fields, Field::Layers, MAX_MANIFEST_LAYERS)?,
            manifests: descriptors(&fields, Field::Manifests, MAX_INDEX_CHILDREN)?,
            subject: optional(&fields, Field::Subject)?,
            artifact_type: optional(&fields, Field::ArtifactType)?,
        })
    }

    /// The blobs this manifest needs: configuration first, then layers.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        self.config.iter().chain(&self.layers)
    }
}

fn media_type(fields: &Fields<'_>, content_type: Option<&MediaType>) -> Result<MediaType, ManifestError> {
    let body: Option<MediaType> = optional(fields, Field::MediaType)?;
    let schema_version: Option<u64> = optional(fields, Field::SchemaVersion)?;
    let said_schema1 = [body.as_ref(), content_type].into_iter().flatten().any(MediaType::is_schema1);
    if said_schema1 || schema_version == Some(1) || fields.has(Field::FsLayers) {
        return Err(ManifestError::Schema1);
    }
    if schema_version.is_some_and(|version| version != 2) {
        let reason = "expected 2".to_owned();
        return Err(ManifestError::InvalidField { field: Field::SchemaVersion.name(), reason });
    }
    let header = content_type.filter(|header| header.names_json_document());
    match (body, header) {
        (Some(body), Some(header)) if body != *header => {
            Err(ManifestError::MediaTypeMismatch { body, header: header.clone() })
        }
        (Some(body), _) if body.names_json_document() => Ok(body),
        (None, Some(header)) => Ok(header.clone()),
        (Some(_), _) => Err(ManifestError::UnknownKind),
        (None, None) => from_shape(fields),
    }
}

/// OCI documents may leave out their media type (image-spec "manifest", `mediaType`).
fn from_shape(fields: &Fields<'_>) -> Result<MediaType, ManifestError> {
    if fields.has(Field::Manifests) {
        Ok(MediaType::OCI_IMAGE_INDEX)
    } else if fields.has(Field::Config) && fields.has(Field::Layers) {
        Ok(MediaType::OCI_IMAGE_MANIFEST)
    } else {
        Err(ManifestError::UnknownKind)
    }
}

fn check_shape(fields: &Fields<'_>, media_type: &MediaType) -> Result<(), ManifestError> {
    if fields.has(Field::Layers) && fields.has(Field::Manifests) {
        return Err(ManifestError::BothLayersAndManifests);
    }
    let (required, forbidden): (Option<Field>, &[Field]) = if media_type.is_index() {
        (Some(Field::Manifests), &[Field::Config, Field::Layers])
    } else if media_type.is_manifest() {
        (Some(Field::Config), &[Field::Manifests])
    } else {
        (None, &[])
    };
    if let Some(field) = forbidden.iter().find(|field| fields.has(**field)) {
        return Err(ManifestError::UnexpectedField { media_type: media_type.clone(), field: field.name() });
    }
    // An empty list may be written as `null`; a configuration that is none is missing.
    let is_there = |field| if field == Field::Manifests { fields.has(field) } else { fields.get(field).is_some() };
    match required {
        Some(field) if !is_there(field) => {
            Err(ManifestError::MissingField { media_type: media_type.clone(), field: field.name() })
        }
        Some(_) | None => Ok(()),
    }
}

fn optional<'a, T: Deserialize<'a>>(fields: &Fields<'a>, field: Field) -> Result<Option<T>, ManifestError> {
    fields.get(field).map(serde_json::from_str).transpose().map_err(|error| invalid(field, &error))
}

/// The list of descriptors in `field`; absent and `null` (as Go writes an empty list) are empty.
fn descriptors(fields: &Fields<'_>, field: Field, limit: usize) -> Result<Vec<Descriptor>, ManifestError> {
    let Some(text) = fields.get(field) else { return Ok(Vec::new()) };
    let overrun = Cell::new(false);
    let list = CappedList { limit, overrun: &overrun };
    list.deserialize(&mut serde_json::Deserializer::from_str(text)).map_err(|error| {
        if overrun.get() {
            ManifestError::TooManyEntries { field: field.name(), limit }
        } else {
            invalid(field, &error)
        }
    })
}

fn invalid(field: Field, error: &serde_json::Error) -> ManifestError {
    ManifestError::InvalidField { field: field.name(), reason: shorten(&error.to_string()) }
}

/// Reads a list and stops at the first entry past the limit, however many follow.
struct CappedList<'o> {
    limit: usize,
    overrun: &'o Cell<bool>,
}

impl<'de> DeserializeSeed<'de> for CappedList<'_> {
    type Value = Vec<Descriptor>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for CappedList<'_> {
    type Value = Vec<Descriptor>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of descriptors")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = sequence.next_element()? {
            if entries.len() == self.limit {
                self.overrun.set(true);
                return Err(A::Error::custom("too many entries"));
            }
            entries.push(entry);
        }
        Ok(entries)
    }
}
