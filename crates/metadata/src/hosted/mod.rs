//! What hosted repositories hold: blobs and who links them, manifests and what they need, tags, uploads under way.
//!
//! Must not know bytes, nor what the cache holds: no statement here reads or writes a table of the cache. Invariants: a
//! manifest's row exists only while everything it lists was linked under its name when it came; a change that a client
//! is told of as done is on disk before this returns (`begin_durable`).

mod approvals;
mod blobs;
mod deletes;
mod events;
mod files;
mod garbage;
mod listing;
mod manifests;
mod over_time;
mod promotion;
mod retention;
mod tag_rules;
mod uploads;

pub use approvals::ApprovalRow;

pub use blobs::{HostedBlobRow, MountFrom, Mounted};
pub use deletes::DeleteRefused;
pub use events::{HostedTagEvent, InvalidTagCause, TagCause, TagMove};
pub use garbage::{Condemned, GarbageKind, HeldPart};
pub use listing::{HostedReferrer, HostedTagRow};
pub use manifests::{NewManifest, PushRefused};
pub use over_time::{PullsMatter, TagRefused, Tagged};
pub use promotion::{
    Copied, InvalidPromotionId, InvalidPromotionState, NewPromotion, PromotedTag, PromotionFilter, PromotionId,
    PromotionRefused, PromotionRow, PromotionState, Rehearsal, RevertRefused, Reverted, Waiting,
};
pub use retention::{LastDone, Pull, TagEventRow, TagFacts};
pub use tag_rules::TagRules;
pub use uploads::UploadRow;
