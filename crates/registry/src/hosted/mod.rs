//! Hosted repositories: what people push lives beside what they pull.
//!
//! ```text
//!   POST ── session ── PATCH … PATCH ── PUT ──▶ blob ──┐ links (repository, name, digest)
//!            (a file that grows, its hash runs along)  ├──▶ manifest ──▶ tags
//!   POST ?mount= ──────────────────────────────▶ link ─┘
//! ```
//!
//! Bytes lie in a store of their own, rows in tables of their own: nothing of the cache reaches them, and eviction does
//! not know them. Must not know HTTP. Invariants: a push that was acknowledged is on disk, bytes, names and rows; nothing
//! half is ever visible; a blob is read under a name that links it; bytes go only under the lock of their digest, after
//! the database said that nobody needs them.

mod access;
mod address;
mod append;
mod blobs;
mod bond;
mod catalog;
mod channels;
mod deletes;
mod error;
mod finish;
mod gc;
mod locks;
mod manifests;
mod place;
mod promotion;
mod pulls;
mod referrers;
mod repository;
mod room;
mod sessions;
mod spec;
mod sweep;
mod tags;

use std::sync::Arc;

use blob_store::Uploads;
use metadata::Metadata;
use oci::{Digest, MediaType};

pub(crate) use self::access::authorize_push;
pub use self::access::{Pusher, Shown};
pub use self::address::{HostedAddress, InvalidHostedAddress, Wanted, parse_time, show_time};
pub use self::append::{BodyStream, Chunk};
pub use self::blobs::Mount;
pub(crate) use self::blobs::{open as open_blob, stat as stat_blob};
pub use self::catalog::CatalogPage;
pub(crate) use self::catalog::list as catalog;
pub use self::channels::{Channel, ChannelState, Channels, Follow};
pub use self::error::HostedError;
use self::gc::Collector;
pub(crate) use self::gc::collect as collect_garbage;
pub use self::gc::{
    GcCounts, GcEnd, GcItem, GcLeftOvers, GcMode, GcPatience, GcReport, GcRepository, GcRequest, GcSettings, Untagged,
};
use self::locks::DigestLocks;
pub(crate) use self::manifests::pull as pull_manifest;
pub use self::manifests::{ManifestPush, PushedManifest};
pub(crate) use self::place::HostedMap;
pub use self::place::{At, Place};
pub(crate) use self::promotion::find as find_hosted;
pub use self::promotion::{
    IfMoved, MovedTag, Promoted, Promotion, PromotionList, PromotionRequest, Promotions, RevertedPromotion, Rule,
    RuleVerdict, Workflow, WorkflowRun, workflow_loop,
};
use self::pulls::Pulls;
pub(crate) use self::referrers::list as list_referrers;
pub use self::referrers::{ReferrersPage, ReferrersQuery};
pub use self::repository::{HostedRepository, HostedRoute};
use self::sessions::Sessions;
pub use self::spec::{HostedSpec, Immutability, PushLimits, PushPolicy};
pub(crate) use self::tags::list as list_tags;
use crate::pull::CachedManifest;

/// Bytes of pushed manifests kept in memory.
const MANIFEST_BYTES: u64 = 16 << 20;

/// Everything hosted repositories share.
pub(crate) struct Hosted {
    uploads: Uploads,
    metadata: Metadata,
    sessions: Sessions,
    locks: DigestLocks,
    /// When manifests were last pulled.
    pulls: Pulls,
    /// Told when a tag moved, something refers to a manifest, or somebody approved: workflows and channels look then.
    moved: tokio::sync::Notify,
    gc: Collector,
    /// The bytes of manifests; which names have them is asked of the database each time.
    manifests: moka::sync::Cache<(Digest, MediaType), Arc<CachedManifest>>,
}

impl Hosted {
    /// Wakes what follows pushes: a tag points to something else, whatever moved it.
    pub(crate) fn tag_moved(&self) {
        self.moved.notify_one();
    }

    /// Takes over what former processes left: sessions go on, files that belong to none are removed. No network.
    pub(crate) async fn open(uploads: Uploads, metadata: Metadata, gc: GcSettings) -> Result<Self, HostedError> {
        let weigh = |_: &(Digest, MediaType), manifest: &Arc<CachedManifest>| {
            u32::try_from(manifest.bytes.len() + 256).unwrap_or(u32::MAX)
        };
        let hosted = Self {
            uploads,
            metadata,
            sessions: Sessions::default(),
            locks: DigestLocks::default(),
            pulls: Pulls::default(),
            moved: tokio::sync::Notify::new(),
            gc: Collector::new(gc),
            manifests: moka::sync::Cache::builder().weigher(weigh).max_capacity(MANIFEST_BYTES).build(),
        };
        hosted.take_over_sessions().await?;
        Ok(hosted)
    }
}
