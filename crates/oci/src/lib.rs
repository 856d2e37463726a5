//! The words of the OCI specifications, as types that can only hold valid values.
//!
//! Text from the network or from a file becomes one of these types once, at the edge; past the edge nobody
//! asks again whether a digest or a name is well formed. This crate must not know of async, HTTP libraries, SQL
//! or files. Invariant: every value was produced by a parser in this crate, and every parser is total: whatever
//! the input, it answers with a value or an error in time linear in the input's (capped) length.

mod challenge;
mod chunk_range;
mod content_range;
mod descriptor;
mod digest;
mod error_code;
mod foreign_layer;
mod host;
pub mod limits;
mod link;
mod manifest;
mod manifest_error;
mod manifest_fields;
mod media_type;
mod newtype;
mod platform;
mod range;
mod reference;
mod referrers;
mod repo_key;
mod repository;
mod scope;
mod tag;
mod tokens;
mod unique_keys;
mod upload_id;

pub use challenge::{Challenge, InvalidChallenge};
pub use chunk_range::{ChunkRange, InvalidChunkRange};
pub use content_range::{ContentRange, InvalidContentRange};
pub use descriptor::Descriptor;
pub use digest::{Digest, DigestAlgorithm, Digester, InvalidDigest};
pub use error_code::{ErrorBody, ErrorCode, ErrorEntry};
pub use foreign_layer::ForeignLayer;
pub use host::{InvalidRegistryHost, RegistryHost};
pub use link::{InvalidLink, Link};
pub use manifest::ManifestFacts;
pub use manifest_error::ManifestError;
pub use media_type::{InvalidMediaType, MediaType};
pub use platform::{InvalidPlatform, Platform};
pub use range::{ByteRange, InvalidRange, RangeHeader, ResolvedRange};
pub use reference::{InvalidReference, Reference};
pub use referrers::{InvalidReferrers, Referrer, parse_referrers, referrers_index};
pub use repo_key::{InvalidRepoKey, RepoKey};
pub use repository::{InvalidRepositoryName, RepositoryName};
pub use scope::{Action, InvalidScope, Scope};
pub use tag::{InvalidTag, Tag};
pub use upload_id::{InvalidUploadId, UploadId};
