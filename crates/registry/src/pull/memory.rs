//! What the hit path needs, in memory: tags, small manifests, links, and what upstream does not have.
//!
//! Must not do I/O. Invariants: every map is bounded; an entry here is never newer than the database, so losing any
//! of it only costs a look-up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use oci::{Digest, MediaType, Reference, RepositoryName, Tag};

use super::referrers::{ReferrersKey, ReferrersState};
use crate::access::Principal;
use crate::error::PullError;
use crate::repositories::Route;

/// Bytes of manifests kept in memory.
const MANIFEST_BYTES: u64 = 16 << 20;
/// Tags, links and absences kept in memory.
const ENTRIES: u64 = 50_000;
/// Lists of referrers kept in memory; each is a few entries, a few hundred bytes.
const REFERRERS: u64 = 5_000;
/// How long an upstream's 404 is believed.
const ABSENT_FOR: Duration = Duration::from_secs(10);

/// A manifest in memory.
#[derive(Debug)]
pub(crate) struct CachedManifest {
    pub(crate) bytes: Bytes,
    pub(crate) media_type: MediaType,
    pub(crate) digest: Digest,
}

/// What is known of a tag.
#[derive(Clone, Debug)]
pub(crate) struct TagState {
    pub(crate) digest: Digest,
    /// When upstream last confirmed it.
    pub(crate) checked: Instant,
    /// Who said so; `None`: it is not known any more.
    pub(crate) by: Option<Arc<str>>,
    /// After a failed check: not to be asked again before, and why.
    pub(crate) resting: Option<(Instant, PullError)>,
}

/// A tag of one repository.
pub(crate) type TagKey = (Arc<str>, RepositoryName, Tag);
type LinkKey = (Arc<str>, RepositoryName, Digest);
/// What upstream does not have for one caller it may have for another.
type AbsentKey = (Arc<str>, RepositoryName, Reference, Principal);

/// The maps.
pub(crate) struct Memory {
    manifests: moka::sync::Cache<Digest, Arc<CachedManifest>>,
    tags: moka::sync::Cache<TagKey, Arc<TagState>>,
    links: moka::sync::Cache<LinkKey, ()>,
    referrers: moka::sync::Cache<ReferrersKey, ReferrersState>,
    absent: moka::sync::Cache<AbsentKey, PullError>,
}

impl Memory {
    pub(crate) fn new() -> Self {
        let weigh =
            |_: &Digest, manifest: &Arc<CachedManifest>| u32::try_from(manifest.bytes.len() + 256).unwrap_or(u32::MAX);
        Self {
            manifests: moka::sync::Cache::builder().weigher(weigh).max_capacity(MANIFEST_BYTES).build(),
            tags: moka::sync::Cache::new(ENTRIES),
            links: moka::sync::Cache::new(ENTRIES),
            referrers: moka::sync::Cache::new(REFERRERS),
            absent: moka::sync::Cache::builder().max_capacity(ENTRIES / 5).time_to_live(ABSENT_FOR).build(),
        }
    }

    pub(crate) fn manifest(&self, digest: &Digest) -> Option<Arc<CachedManifest>> {
        self.manifests.get(digest)
    }

    pub(crate) fn keep_manifest(&self, manifest: Arc<CachedManifest>) {
        self.manifests.insert(manifest.digest, manifest);
    }

    pub(crate) fn tag(&self, key: &TagKey) -> Option<Arc<TagState>> {
        self.tags.get(key)
    }

    pub(crate) fn keep_tag(&self, key: TagKey, state: TagState) {
        self.tags.insert(key, Arc::new(state));
    }

    pub(crate) fn drop_tag(&self, key: &TagKey) {
        self.tags.invalidate(key);
    }

    pub(crate) fn is_linked(&self, key: &LinkKey) -> bool {
        self.links.contains_key(key)
    }

    pub(crate) fn keep_link(&self, key: LinkKey) {
        self.links.insert(key, ());
    }

    pub(crate) fn referrers(&self, key: &ReferrersKey) -> Option<ReferrersState> {
        self.referrers.get(key)
    }

    pub(crate) fn keep_referrers(&self, key: ReferrersKey, state: ReferrersState) {
        self.referrers.insert(key, state);
    }

    /// Why `reference` is known to be absent, if it is.
    pub(crate) fn absent(&self, route: &Route, reference: &Reference) -> Option<PullError> {
        self.absent.get(&absent_key(route, reference))
    }

    /// Remembers an authoritative 404 for a short while.
    pub(crate) fn keep_absent(&self, route: &Route, reference: &Reference, error: &PullError) {
        self.absent.insert(absent_key(route, reference), error.clone());
    }

    /// Forgets everything that depends on which repositories there are.
    pub(crate) fn forget_all(&self) {
        self.tags.invalidate_all();
        self.links.invalidate_all();
        self.referrers.invalidate_all();
        self.absent.invalidate_all();
    }
}

fn absent_key(route: &Route, reference: &Reference) -> AbsentKey {
    (route.repo.key().clone(), route.name.clone(), reference.clone(), route.principal())
}
