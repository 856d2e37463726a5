//! Why a document is not a manifest we keep.
//!
//! Must not know statuses. Invariant: whatever a message quotes of the document is escaped and short, so it may be logged
//! and sent to clients.

use crate::media_type::MediaType;

/// Why bytes are not a manifest we keep. All but `Schema1` mean `MANIFEST_INVALID`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// More bytes than `limits::MAX_MANIFEST_BYTES`.
    #[error("the manifest is larger than 4 MiB: {actual} bytes")]
    TooLarge {
        /// Its length in bytes.
        actual: usize,
    },
    /// Arrays and objects nested deeper than `limits::MAX_MANIFEST_DEPTH`.
    #[error("the manifest is nested deeper than 64 levels")]
    TooDeep,
    /// More keys in the outermost object than `limits::MAX_MANIFEST_KEYS`.
    #[error("the manifest has more than 256 keys")]
    TooManyKeys,
    /// More descriptors in a list than its limit.
    #[error("the manifest has more than {limit} entries in \"{field}\"")]
    TooManyEntries {
        /// The list.
        field: &'static str,
        /// The limit it exceeds.
        limit: usize,
    },
    /// Does not start as a JSON object: HTML from a login page, a byte order mark, an array.
    #[error("the manifest is not a JSON object")]
    NotAnObject,
    /// Not UTF-8, bad JSON, or something after the object.
    #[error("the manifest is not valid JSON: {reason}")]
    NotJson {
        /// What the JSON reader says, shortened.
        reason: String,
    },
    /// A key occurs twice, in the outermost object or within a field that we do not read.
    #[error("the manifest has the key \"{key}\" twice")]
    DuplicateKey {
        /// The key, shortened.
        key: String,
    },
    /// A key differs from a known one only in letter case.
    #[error("the manifest spells \"{field}\" in another letter case, which some readers take for the same")]
    AmbiguousKey {
        /// The known key.
        field: &'static str,
    },
    /// Both a list of layers and a list of manifests.
    #[error("the manifest has both \"layers\" and \"manifests\"")]
    BothLayersAndManifests,
    /// A field that documents of this type do not have.
    #[error("a document of type {media_type} must not have \"{field}\"")]
    UnexpectedField {
        /// The document's type.
        media_type: MediaType,
        /// The field.
        field: &'static str,
    },
    /// A field that documents of this type need.
    #[error("a document of type {media_type} must have \"{field}\"")]
    MissingField {
        /// The document's type.
        media_type: MediaType,
        /// The field.
        field: &'static str,
    },
    /// A field does not hold what it must.
    #[error("the manifest's \"{field}\" is invalid: {reason}")]
    InvalidField {
        /// The field.
        field: &'static str,
        /// What is wrong with it, shortened.
        reason: String,
    },
    /// The body's own `mediaType` is not the `Content-Type` it came with.
    #[error("the manifest says it is {body}, but its Content-Type is {header}")]
    MediaTypeMismatch {
        /// The body's `mediaType`.
        body: MediaType,
        /// The `Content-Type`.
        header: MediaType,
    },
    /// Neither the body nor the `Content-Type` says what it is, nor does its shape.
    #[error("the document does not say what kind of manifest it is")]
    UnknownKind,
    /// Docker schema 1: deprecated, and its digest is not that of its bytes.
    #[error("Docker schema 1 manifests are not supported; the image must be pushed again with a current client")]
    Schema1,
}
