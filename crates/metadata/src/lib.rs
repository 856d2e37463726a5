//! What Transship knows about content, as rows: repositories, tags and their history, links, manifests' facts, blobs;
//! and of hosted repositories everything but the bytes (`hosted`).
//!
//! Must not know the bytes of blobs, HTTP, or what a row leads a caller to do. Invariant: one process writes, through
//! one connection, so no caller ever meets a locked database; everything read back is parsed into the types of `oci`,
//! so a damaged row is an error and never a wrong answer.

mod blobs;
mod decode;
mod descriptors;
mod encode;
mod error;
mod groups;
mod hosted;
mod links;
mod manifests;
mod metadata;
mod open;
mod process_lock;
mod referrers;
mod repositories;
mod schema;
mod sealing;
mod sql;
mod tag_history;
mod tags;

pub use blobs::BlobRow;
pub use descriptors::DescriptorRow;
pub use error::MetadataError;
pub use groups::{DifferingTag, GroupNameRow, TagsOf};
pub use hosted::{
    ApprovalRow, Condemned, Copied, DeleteRefused, GarbageKind, HeldPart, HostedBlobRow, HostedReferrer,
    HostedTagEvent, HostedTagRow, InvalidPromotionId, InvalidPromotionState, InvalidTagCause, LastDone, MountFrom,
    Mounted, NewManifest, NewPromotion, PromotedTag, PromotionFilter, PromotionId, PromotionRefused, PromotionRow,
    PromotionState, Pull, PullsMatter, PushRefused, Rehearsal, RevertRefused, Reverted, TagCause, TagEventRow,
    TagFacts, TagMove, TagRefused, TagRules, Tagged, UploadRow, Waiting,
};
pub use manifests::ManifestRow;
pub use metadata::Metadata;
pub use referrers::ReferrersRow;
pub use repositories::RepositoryRow;
pub use sealing::{InvalidSealingKey, SealingKey, SealingKeys};
pub use tag_history::TagEvent;
pub use tags::{TagGone, TagObservation, TagRow};
