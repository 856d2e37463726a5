//! Media types (RFC 6838), and the ones that name manifests.
//!
//! Must not know negotiation. Invariant: a `MediaType` is `type/subtype` in lowercase without parameters, so that equal
//! types compare equal and can be served as they are (distribution-spec: the stored type, without parameters).

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use crate::limits::MAX_MEDIA_TYPE_LEN;
use crate::newtype::{excerpt, serde_as_text};
use crate::tokens::is_token;

/// A media type without parameters. Cheap to clone; the well-known ones are constants.
#[derive(Clone)]
pub struct MediaType(Repr);

#[derive(Clone)]
enum Repr {
    Known(&'static str),
    Other(Arc<str>),
}

/// Why text is not a media type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid media type \"{value}\": {reason}")]
pub struct InvalidMediaType {
    value: String,
    reason: &'static str,
}

impl MediaType {
    /// OCI image manifest (image-spec "manifest").
    pub const OCI_IMAGE_MANIFEST: Self = Self(Repr::Known("application/vnd.oci.image.manifest.v1+json"));
    /// OCI image index (image-spec "image-index").
    pub const OCI_IMAGE_INDEX: Self = Self(Repr::Known("application/vnd.oci.image.index.v1+json"));
    /// Docker image manifest, version 2 schema 2.
    pub const DOCKER_MANIFEST_V2: Self = Self(Repr::Known("application/vnd.docker.distribution.manifest.v2+json"));
    /// Docker manifest list: Docker's name for an index.
    pub const DOCKER_MANIFEST_LIST: Self =
        Self(Repr::Known("application/vnd.docker.distribution.manifest.list.v2+json"));
    /// Docker schema 1, unsigned: refused.
    pub const DOCKER_SCHEMA1: Self = Self(Repr::Known("application/vnd.docker.distribution.manifest.v1+json"));
    /// Docker schema 1, signed: refused.
    pub const DOCKER_SCHEMA1_SIGNED: Self =
        Self(Repr::Known("application/vnd.docker.distribution.manifest.v1+prettyjws"));
    /// Bytes of no stated kind: what blobs are served as.
    pub const OCTET_STREAM: Self = Self(Repr::Known("application/octet-stream"));

    const KNOWN: [Self; 7] = [
        Self::OCI_IMAGE_MANIFEST,
        Self::OCI_IMAGE_INDEX,
        Self::DOCKER_MANIFEST_V2,
        Self::DOCKER_MANIFEST_LIST,
        Self::DOCKER_SCHEMA1,
        Self::DOCKER_SCHEMA1_SIGNED,
        Self::OCTET_STREAM,
    ];

    /// The text: `type/subtype`, lowercase.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Repr::Known(text) => text,
            Repr::Other(text) => text,
        }
    }

    /// Names a document that lists other manifests: an OCI index or a Docker manifest list.
    pub fn is_index(&self) -> bool {
        *self == Self::OCI_IMAGE_INDEX || *self == Self::DOCKER_MANIFEST_LIST
    }

    /// Names a document that lists blobs: an OCI or Docker image manifest. False for an index.
    pub fn is_manifest(&self) -> bool {
        *self == Self::OCI_IMAGE_MANIFEST || *self == Self::DOCKER_MANIFEST_V2
    }

    /// Names a Docker schema 1 manifest, whose digest is not that of its bytes.
    pub fn is_schema1(&self) -> bool {
        *self == Self::DOCKER_SCHEMA1 || *self == Self::DOCKER_SCHEMA1_SIGNED
    }

    /// Names a layer that its author may not pass on: its bytes are wherever its descriptor's URLs say, and are not pushed
    /// (image-spec "Non-Distributable Layers"; Docker's foreign layers).
    pub fn is_nondistributable(&self) -> bool {
        let text = self.as_str();
        text.starts_with("application/vnd.oci.image.layer.nondistributable.")
            || text.starts_with("application/vnd.docker.image.rootfs.foreign.")
    }

    /// Names some kind of JSON document (`application/…+json`), as all manifests do, known or not. A `Content-Type` that
    /// does not, such as `application/json` or `text/plain`, says nothing about what a manifest is.
    pub fn names_json_document(&self) -> bool {
        self.as_str().strip_prefix("application/").is_some_and(|subtype| subtype.ends_with("+json"))
    }
}

impl FromStr for MediaType {
    type Err = InvalidMediaType;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match essence(text) {
            Ok(essence) => Ok(Self::KNOWN
                .into_iter()
                .find(|known| known.as_str() == essence)
                .unwrap_or_else(|| Self(Repr::Other(essence.into())))),
            Err(reason) => Err(InvalidMediaType { value: excerpt(text), reason }),
        }
    }
}

/// The part before parameters, in lowercase.
fn essence(text: &str) -> Result<String, &'static str> {
    let essence = text.split_once(';').map_or(text, |(essence, _)| essence).trim_matches([' ', '\t']);
    if essence.len() > MAX_MEDIA_TYPE_LEN {
        return Err("it is longer than 255 characters");
    }
    let (kind, subtype) = essence.split_once('/').ok_or("expected type/subtype")?;
    if is_token(kind) && is_token(subtype) {
        Ok(essence.to_ascii_lowercase())
    } else {
        Err("type and subtype must be HTTP tokens")
    }
}

impl PartialEq for MediaType {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for MediaType {}

impl Hash for MediaType {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl PartialOrd for MediaType {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for MediaType {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl AsRef<str> for MediaType {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl fmt::Debug for MediaType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

serde_as_text!(MediaType);
