//! What the hit path needs, in memory: tags, small manifests, links, and what upstream does not have.
//!
//! Must not do I/O. Invariants: every map is bounded; an entry here is never newer than the database, so losing any
//! of it only costs a look-up.

use std::any::Any;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use moka::Equivalent;
use oci::{Digest, MediaType, Reference, RepositoryName, Tag};

use super::referrers::{ReferrersKey, ReferrersState};
use crate::access::Principal;
use crate::error::PullError;
use crate::repositories::Route;

/// Bytes of manifests kept in memory.
const MANIFEST_BYTES: u64 = 16 << 20;
/// Tags, links and absences kept in memory.
const ENTRIES: u64 = 50_000;
/// Bytes of lists of referrers kept in memory: most are a few hundred bytes, and an upstream may make them 4 MiB each.
const REFERRERS_BYTES: u64 = 8 << 20;
/// How long an upstream's 404 is believed, and the size it told of a blob that no manifest lists.
const ABSENT_FOR: Duration = Duration::from_secs(10);

/// A manifest in memory.
#[derive(Debug)]
pub(crate) struct CachedManifest {
    pub(crate) bytes: Bytes,
    pub(crate) media_type: MediaType,
    pub(crate) digest: Digest,
    /// What a face made of it and wants to find again.
    beside: OnceLock<Box<dyn Any + Send + Sync>>,
    /// The second of its last noted use, since the epoch.
    used: AtomicU64,
}

impl CachedManifest {
    pub(crate) fn new(bytes: Bytes, media_type: MediaType, digest: Digest) -> Self {
        Self { bytes, media_type, digest, beside: OnceLock::new(), used: AtomicU64::new(0) }
    }

    /// What is kept beside it, made at the first call; `None` when something of another type is.
    pub(super) fn beside<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> Option<&T> {
        self.beside.get_or_init(|| Box::new(make())).downcast_ref()
    }

    /// Whether no use in this second was noted before.
    fn first_use_in(&self, second: u64) -> bool {
        self.used.load(Ordering::Relaxed) != second && self.used.swap(second, Ordering::Relaxed) != second
    }
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
    /// Set by the first pull that was answered with it.
    pub(super) at_hand: AtHand,
}

impl TagState {
    pub(crate) fn confirmed(digest: Digest, checked: Instant, by: Option<Arc<str>>) -> Self {
        Self { digest, checked, by, resting: None, at_hand: AtHand::default() }
    }
}

/// The parts of an answer to a tag, once it has been given: the manifest was in memory and linked to the tag's
/// repository. Empty again when the manifest has left memory; a copy is empty.
#[derive(Debug, Default)]
pub(super) struct AtHand(ArcSwapOption<(RepositoryName, Tag, Weak<CachedManifest>)>);

impl Clone for AtHand {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl AtHand {
    pub(super) fn get(&self) -> Option<(RepositoryName, Tag, Arc<CachedManifest>)> {
        let parts = self.0.load();
        let (name, tag, manifest) = &**parts.as_ref()?;
        Some((name.clone(), tag.clone(), manifest.upgrade()?))
    }

    fn set(&self, name: &RepositoryName, tag: &Tag, manifest: &Arc<CachedManifest>) {
        self.0.store(Some(Arc::new((name.clone(), tag.clone(), Arc::downgrade(manifest)))));
    }
}

/// A tag of one repository.
pub(crate) type TagKey = (Arc<str>, RepositoryName, Tag);

/// A [`TagKey`] to look up. Its texts need not be well formed: what is not equals no key.
#[derive(Hash)]
pub(super) struct TagText<'a> {
    pub(super) repo_key: &'a str,
    pub(super) name: &'a str,
    pub(super) tag: &'a str,
}

impl Equivalent<TagKey> for TagText<'_> {
    fn equivalent(&self, (repo_key, name, tag): &TagKey) -> bool {
        self.tag == tag.as_str() && self.name == name.as_str() && self.repo_key == &**repo_key
    }
}

type LinkKey = (Arc<str>, RepositoryName, Digest);
/// What upstream answered to one caller: another may hear something else.
type AnswerKey = (Arc<str>, RepositoryName, Reference, Principal);

/// The maps.
pub(crate) struct Memory {
    manifests: moka::sync::Cache<Digest, Arc<CachedManifest>>,
    tags: moka::sync::Cache<TagKey, Arc<TagState>>,
    links: moka::sync::Cache<LinkKey, ()>,
    referrers: moka::sync::Cache<ReferrersKey, ReferrersState>,
    absent: moka::sync::Cache<AnswerKey, PullError>,
    sizes: moka::sync::Cache<AnswerKey, u64>,
}

impl Memory {
    pub(crate) fn new() -> Self {
        let weigh =
            |_: &Digest, manifest: &Arc<CachedManifest>| u32::try_from(manifest.bytes.len() + 256).unwrap_or(u32::MAX);
        Self {
            manifests: moka::sync::Cache::builder().weigher(weigh).max_capacity(MANIFEST_BYTES).build(),
            tags: moka::sync::Cache::new(ENTRIES),
            links: moka::sync::Cache::new(ENTRIES),
            referrers: moka::sync::Cache::builder()
                .weigher(|_: &ReferrersKey, state: &ReferrersState| state.weight())
                .max_capacity(REFERRERS_BYTES)
                .build(),
            absent: moka::sync::Cache::builder().max_capacity(ENTRIES / 5).time_to_live(ABSENT_FOR).build(),
            sizes: moka::sync::Cache::builder().max_capacity(ENTRIES / 5).time_to_live(ABSENT_FOR).build(),
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

    pub(super) fn tag_by_text(&self, key: &TagText<'_>) -> Option<Arc<TagState>> {
        self.tags.get(key)
    }

    /// Lays the answer to a tag ready for the next pull, if what is known of the tag still leads to it.
    pub(super) fn keep_at_hand(&self, key: &TagKey, manifest: &Arc<CachedManifest>) {
        if let Some(state) = self.tags.get(key).filter(|state| state.digest == manifest.digest) {
            state.at_hand.set(&key.1, &key.2, manifest);
        }
    }

    /// Notes a use that came past the maps; true once a second, when others want to hear of it too.
    pub(super) fn note_use(&self, manifest: &CachedManifest, at: SystemTime) -> bool {
        let second = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        // Looking it up is what keeps it from being the one that has to leave.
        manifest.first_use_in(second) && self.manifests.get(&manifest.digest).is_some()
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
        self.absent.get(&answer_key(route, reference))
    }

    /// Remembers an authoritative 404 for a short while.
    pub(crate) fn keep_absent(&self, route: &Route, reference: &Reference, error: &PullError) {
        self.absent.insert(answer_key(route, reference), error.clone());
    }

    /// The size that this caller's upstream told of a blob a moment ago.
    pub(crate) fn size(&self, route: &Route, digest: &Digest) -> Option<u64> {
        self.sizes.get(&answer_key(route, &Reference::Digest(*digest)))
    }

    /// Remembers a size for a short while: parts of a blob are asked for side by side, and come a little apart.
    pub(crate) fn keep_size(&self, route: &Route, digest: &Digest, size: u64) {
        self.sizes.insert(answer_key(route, &Reference::Digest(*digest)), size);
    }

    /// Forgets everything that depends on which repositories there are.
    pub(crate) fn forget_all(&self) {
        self.tags.invalidate_all();
        self.links.invalidate_all();
        self.referrers.invalidate_all();
        self.absent.invalidate_all();
        self.sizes.invalidate_all();
    }
}

fn answer_key(route: &Route, reference: &Reference) -> AnswerKey {
    (route.repo.key().clone(), route.name.clone(), reference.clone(), route.principal())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, tag: &str) -> TagKey {
        ("hub".into(), name.parse().unwrap(), tag.parse().unwrap())
    }

    #[test]
    fn a_tag_is_found_by_its_texts_and_by_nothing_else() {
        let memory = Memory::new();
        let digest = Digest::sha256_of(b"{}");
        memory.keep_tag(key("team/app", "v1"), TagState::confirmed(digest, Instant::now(), None));
        let find = |repo_key, name, tag| memory.tag_by_text(&TagText { repo_key, name, tag }).map(|state| state.digest);
        assert_eq!(find("hub", "team/app", "v1"), Some(digest));
        for (repo_key, name, tag) in [
            ("hub", "team/app", "v2"),
            ("hub", "team", "app/v1"),
            ("hub", "team/app/v1", ""),
            ("hu", "bteam/app", "v1"),
        ] {
            assert_eq!(find(repo_key, name, tag), None, "{repo_key} {name} {tag}");
        }
    }

    #[test]
    fn what_is_at_hand_goes_with_its_manifest_and_with_its_tag() {
        let memory = Memory::new();
        let manifest = |text: &'static [u8]| {
            let digest = Digest::sha256_of(text);
            Arc::new(CachedManifest::new(Bytes::from_static(text), MediaType::OCI_IMAGE_INDEX, digest))
        };
        let (one, two) = (manifest(b"one"), manifest(b"two"));
        let key = key("team/app", "v1");
        let at_hand = || memory.tag(&key).unwrap().at_hand.get().map(|(_, _, manifest)| manifest.digest);
        memory.keep_tag(key.clone(), TagState::confirmed(one.digest, Instant::now(), None));
        memory.keep_at_hand(&key, &two);
        assert_eq!(at_hand(), None, "the tag points elsewhere");
        memory.keep_at_hand(&key, &one);
        assert_eq!(at_hand(), Some(one.digest));
        memory.keep_tag(key.clone(), TagState::confirmed(two.digest, Instant::now(), None));
        assert_eq!(at_hand(), None, "the tag has moved");
        memory.keep_at_hand(&key, &two);
        let again = Arc::new(CachedManifest::new(two.bytes.clone(), MediaType::OCI_IMAGE_INDEX, two.digest));
        drop(two);
        assert_eq!(at_hand(), None, "the manifest has left memory");
        memory.keep_at_hand(&key, &again);
        assert_eq!(at_hand(), Some(again.digest), "and has come back");
    }

    #[test]
    fn uses_are_passed_on_once_a_second() {
        let memory = Memory::new();
        let digest = Digest::sha256_of(b"{}");
        let manifest = Arc::new(CachedManifest::new(Bytes::from_static(b"{}"), MediaType::OCI_IMAGE_INDEX, digest));
        memory.keep_manifest(manifest.clone());
        let at = |millis| SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
        let noted = [1000, 1001, 1999, 2000, 2001].map(|millis| memory.note_use(&manifest, at(millis)));
        assert_eq!(noted, [true, false, false, true, false]);
    }
}
