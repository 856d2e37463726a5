//! Pulling: manifests by tag and digest, blobs and their ranges, lists of tags.
//!
//! Must not know how requests arrive or how fills work inside. Invariant: what is answered under a digest hashes to
//! it, and is linked to the repository that answers.

mod at_hand;
mod blob;
mod blob_size;
mod flight;
mod foreign;
mod freshness;
mod manifest;
mod memory;
mod referrers;
mod reserve;
mod tag;
mod tags;
mod upstreams;

pub use at_hand::AtHand;
pub(crate) use at_hand::pull as pull_at_hand;
pub use blob::OpenBlob;
pub(crate) use blob::open as open_blob;
pub use blob_size::BlobFacts;
pub(crate) use blob_size::{SizeFlight, find_blob, stat as stat_blob};
pub(crate) use flight::{Flight, SingleFlight};
pub use manifest::ManifestAnswer;
pub(crate) use manifest::{ManifestFlight, answer as manifest_answer, is_linked, pull as pull_manifest};
pub(crate) use memory::{CachedManifest, Memory};
pub use referrers::ReferrersAnswer;
pub(crate) use referrers::{ReferrersFlight, list as list_referrers};
pub(crate) use tag::{TagFlight, TagKnowledge, look_up as look_up_tag};
pub use tags::{TagsAnswer, TagsQuery};
pub(crate) use tags::{has_tags, list as list_tags};
