//! Who keeps a name of a group: remembered in the database, and for a moment in memory.
//!
//! Must not ask upstreams. Invariants: a name is kept by the first member that was found to have it; only a hosted member
//! before it takes it from a cache, and that is said in the log; what is in memory is at most [`REMEMBERED`] old.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use metadata::Metadata;
use oci::{RepoKey, RepositoryName, Tag};

use super::repository::{GroupRoute, Member};
use super::resolve::AnsweredBy;
use super::spec::NameKeeping;
use super::tags::MergedTags;
use crate::core::Core;
use crate::error::PullError;
use crate::metrics::Metrics;
use crate::repositories::Repository;

/// Names kept in memory.
const ENTRIES: u64 = 50_000;
/// How long a look into the database is believed: other ways than a push over HTTP may bring a name to a hosted member.
const REMEMBERED: Duration = Duration::from_secs(10);
/// How long a member's word that it does not have a name is believed.
const WITHOUT_FOR: Duration = Duration::from_secs(10);
/// Shortest time between two looks for a kept name at the members before its keeper, while these fail.
const RECHECK_PAUSE: Duration = Duration::from_mins(1);
/// Bytes of merged lists of tags in memory, and how long they are good for: the pages of one list come in this time.
const LIST_BYTES: u64 = 8 << 20;
const LISTS_FOR: Duration = Duration::from_secs(10);
/// How long a tag is not compared again.
const COMPARED_FOR: Duration = Duration::from_mins(1);
/// How long a conflict that was told is not told again.
const TOLD_FOR: Duration = Duration::from_hours(1);

type NameKey = (Arc<str>, RepositoryName);
type TagKey = (Arc<str>, RepositoryName, Tag);

/// What all groups share.
pub(crate) struct Groups {
    pub(super) metadata: Metadata,
    pub(super) metrics: Metrics,
    keepers: moka::sync::Cache<NameKey, Kept>,
    /// Members that do not have a name.
    without: moka::sync::Cache<NameKey, ()>,
    rechecks: moka::sync::Cache<NameKey, ()>,
    pub(super) lists: moka::sync::Cache<NameKey, Arc<MergedTags>>,
    /// Tags that were compared, and conflicts that were told.
    compared: moka::sync::Cache<TagKey, ()>,
    told: moka::sync::Cache<TagKey, ()>,
}

/// Who keeps a name.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    member: RepoKey,
    /// When those before it were last found not to have the name.
    pub(crate) checked_at: SystemTime,
}

impl Groups {
    pub(crate) fn new(metadata: Metadata, metrics: Metrics) -> Self {
        let short = |entries, time| moka::sync::Cache::builder().max_capacity(entries).time_to_live(time).build();
        Self {
            metadata,
            metrics,
            keepers: moka::sync::Cache::builder().max_capacity(ENTRIES).time_to_live(REMEMBERED).build(),
            without: short(ENTRIES / 5, WITHOUT_FOR),
            rechecks: short(ENTRIES / 5, RECHECK_PAUSE),
            lists: moka::sync::Cache::builder()
                .weigher(|_: &NameKey, list: &Arc<MergedTags>| list.weight())
                .max_capacity(LIST_BYTES)
                .time_to_live(LISTS_FOR)
                .build(),
            compared: moka::sync::Cache::builder().max_capacity(ENTRIES / 5).time_to_live(COMPARED_FOR).build(),
            told: moka::sync::Cache::builder().max_capacity(ENTRIES / 5).time_to_live(TOLD_FOR).build(),
        }
    }

    /// Forgets what is only in memory: the repositories have changed.
    pub(crate) fn forget_all(&self) {
        self.keepers.invalidate_all();
        self.without.invalidate_all();
        self.rechecks.invalidate_all();
        self.lists.invalidate_all();
    }

    /// Forgets what is in memory of one name.
    pub(super) fn forget(&self, route: &GroupRoute) {
        let key = name_key(route);
        self.keepers.invalidate(&key);
        self.lists.invalidate(&key);
    }

    /// The cache that answers for a name, if that is known without waiting.
    pub(crate) fn at_hand(&self, route: &GroupRoute) -> Option<(Arc<Repository>, AnsweredBy)> {
        let choice = route.repo.choose(&route.name);
        let (index, by) = match choice.members[..] {
            [only] => (only, AnsweredBy::by_rule(&choice)),
            _ => match route.repo.spec().names {
                NameKeeping::Kept => {
                    let kept = self.keepers.get(&name_key(route))?;
                    let index = route.repo.position(&kept.member).filter(|index| choice.members.contains(index))?;
                    (index, AnsweredBy::Keeper)
                }
                NameKeeping::Merged => return None,
            },
        };
        match &route.repo.members()[index] {
            Member::Proxy(repo) => Some((repo.clone(), by)),
            Member::Hosted(_) | Member::Unusable(_) => None,
        }
    }

    /// Who of `candidates` keeps the name, as far as is known without asking anybody.
    pub(crate) async fn keeper(
        &self,
        route: &GroupRoute,
        candidates: &[usize],
    ) -> Result<Option<(usize, Kept)>, PullError> {
        let of = |kept: Kept| Some((route.repo.position(&kept.member).filter(|at| candidates.contains(at))?, kept));
        if let Some(found) = self.keepers.get(&name_key(route)).and_then(of) {
            return Ok(Some(found));
        }
        let row = self.metadata.find_group_name(&route.repo.spec().key, &route.name).await;
        let row = row.map_err(|error| PullError::storage(&error))?;
        let row = row.and_then(|row| of(Kept { member: row.member, checked_at: row.checked_at }));
        if let Some(index) = self.known(route, candidates, row.as_ref().map(|(index, _)| *index)).await? {
            if let Some((before, _)) = &row {
                self.tell_change(route, *before, index);
            }
            return Ok(Some((index, self.keep(route, index).await)));
        }
        if let Some((_, kept)) = &row {
            self.keepers.insert(name_key(route), kept.clone());
        }
        Ok(row)
    }

    /// The member that takes the name from the remembered one, or has it while none is remembered. A cache that nobody
    /// has asked yet hides those behind it, except who takes the pushes: what was pushed here is to be pulled here.
    async fn known(
        &self,
        route: &GroupRoute,
        candidates: &[usize],
        remembered: Option<usize>,
    ) -> Result<Option<usize>, PullError> {
        let mut hidden = false;
        for index in candidates {
            if remembered == Some(*index) {
                return Ok(None);
            }
            match &route.repo.members()[*index] {
                Member::Hosted(repo) if !hidden || route.repo.spec().push_to == Some(*index) => {
                    let has = self.metadata.has_hosted_manifests(&repo.spec().key, &route.name).await;
                    if has.map_err(|error| PullError::storage(&error))? {
                        return Ok(Some(*index));
                    }
                }
                Member::Proxy(repo) if !hidden && remembered.is_none() => {
                    let name = repo.canonical_name(route.name.clone());
                    let has = self.metadata.has_known_name(&repo.spec().key, &name).await;
                    if has.map_err(|error| PullError::storage(&error))? {
                        return Ok(Some(*index));
                    }
                    hidden = true;
                }
                Member::Unusable(_) if remembered.is_none() => hidden = true,
                Member::Hosted(_) | Member::Proxy(_) | Member::Unusable(_) => {}
            }
        }
        Ok(None)
    }

    /// Notes that a member keeps the name from now on. A database that takes no rows (a full disk) does not stop the pull:
    /// the name is looked for again by the same rules.
    pub(super) async fn keep(&self, route: &GroupRoute, index: usize) -> Kept {
        let kept = Kept { member: route.repo.member_key(index).clone(), checked_at: SystemTime::now() };
        let group = &route.repo.spec().key;
        let noted = self.metadata.keep_group_name(group, &route.name, &kept.member, kept.checked_at).await;
        match noted {
            Ok(()) => {
                tracing::info!(repo_key = %route.repo.key(), name = %route.name, member = %kept.member, "the member keeps the name");
            }
            Err(error) => {
                tracing::error!(repo_key = %route.repo.key(), name = %route.name, member = %kept.member, %error, "that the member keeps the name could not be recorded");
            }
        }
        self.keepers.insert(name_key(route), kept.clone());
        kept
    }

    /// Says that a name has changed hands.
    pub(super) fn tell_change(&self, route: &GroupRoute, before: usize, after: usize) {
        self.metrics.group_name_changed(route.repo.key());
        tracing::warn!(repo_key = %route.repo.key(), name = %route.name, before = %route.member(before), now = %route.member(after), "a member that comes first has the name now and takes it; what the other has under it is not served any more");
    }

    pub(super) fn is_without(&self, member: &Arc<str>, name: &RepositoryName) -> bool {
        self.without.contains_key(&(member.clone(), name.clone()))
    }

    pub(super) fn note_without(&self, member: &Arc<str>, name: &RepositoryName) {
        self.without.insert((member.clone(), name.clone()), ());
    }

    /// Whether a tag of all members is to be compared now.
    pub(super) fn may_compare(&self, route: &GroupRoute, tag: &Tag) -> bool {
        self.compared.entry(tag_key(route, tag)).or_insert(()).is_fresh()
    }

    /// Whether a conflict is to be told now.
    pub(super) fn may_tell(&self, route: &GroupRoute, tag: &Tag) -> bool {
        self.told.entry(tag_key(route, tag)).or_insert(()).is_fresh()
    }

    /// Whether the members before a keeper are to be looked at now; true once in a while.
    pub(super) fn may_recheck(&self, route: &GroupRoute) -> bool {
        self.rechecks.entry(name_key(route)).or_insert(()).is_fresh()
    }
}

/// Who keeps the name, as far as is known; nothing is noted.
pub(crate) async fn peek_keeper(
    core: &Core,
    route: &GroupRoute,
    candidates: &[usize],
) -> Result<Option<usize>, PullError> {
    let row = core.metadata.find_group_name(&route.repo.spec().key, &route.name).await;
    let row = row.map_err(|error| PullError::storage(&error))?;
    let at = |member| route.repo.position(&member).filter(|index| candidates.contains(index));
    let remembered = row.and_then(|row| at(row.member));
    Ok(core.groups.known(route, candidates, remembered).await?.or(remembered))
}

fn name_key(route: &GroupRoute) -> NameKey {
    (route.repo.key().clone(), route.name.clone())
}

fn tag_key(route: &GroupRoute, tag: &Tag) -> TagKey {
    (route.repo.key().clone(), route.name.clone(), tag.clone())
}
