//! Pulls of tags that need no waiting: what is known of the tag is fresh, and the manifest is in memory.
//!
//! A short cut beside `manifest::pull`, which answers the same in all these cases and everything else. Must not wait,
//! ask upstream or read the store. Invariant: what is answered here was answered by the long way before, for the same
//! repository, name and tag, and nothing has been learnt since that would change the answer.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use oci::{RepositoryName, Tag};

use super::manifest::{self, ManifestAnswer};
use super::memory::TagText;
use super::tag::still_fresh;
use crate::core::Core;
use crate::groups::AnsweredBy;
use crate::metrics::PullKind;
use crate::outcome::PullOutcome;
use crate::repositories::{Repository, RepositoryMap, RouteQuery};

/// A pull of a tag that was answered from memory.
#[derive(Debug)]
pub struct AtHand {
    /// The repository that answers.
    pub repo: Arc<Repository>,
    /// The name at its upstream.
    pub name: RepositoryName,
    /// The tag.
    pub tag: Tag,
    /// The answer.
    pub manifest: ManifestAnswer,
    /// The group that it was asked for through, and why this member answers.
    pub through: Option<(Arc<str>, AnsweredBy)>,
}

/// A repository and the name at its upstream.
struct Asked<'a> {
    repo: Arc<Repository>,
    name: Cow<'a, str>,
    through: Option<(Arc<str>, AnsweredBy)>,
}

/// Answers a pull of the tag `tag`, as written in the request, if everything is in memory. The two clocks are the
/// caller's, who has read them anyway.
pub(crate) fn pull(core: &Core, query: &RouteQuery<'_>, tag: &str, now: Instant, time: SystemTime) -> Option<AtHand> {
    let map = core.map();
    let Asked { repo, name, through } = asked(core, &map, query)?;
    let state = core.memory.tag_by_text(&TagText { repo_key: repo.key(), name: &name, tag })?;
    let (name, tag, manifest) = state.at_hand.get()?;
    let freshness = still_fresh(&repo, &tag, &state, now)?;
    if core.memory.note_use(&manifest, time) {
        core.cache.touch(&manifest.digest);
    }
    repo.counters().pulled(PullKind::Manifest, PullOutcome::Hit);
    if let Some((group, by)) = &through {
        core.metrics.group_resolved(group, *by);
    }
    Some(AtHand { repo, name, tag, manifest: manifest::answer(manifest, PullOutcome::Hit, freshness), through })
}

fn asked<'a>(core: &Core, map: &'a RepositoryMap, query: &RouteQuery<'a>) -> Option<Asked<'a>> {
    if let Some(route) = map.locate_group(query).ok()? {
        let (repo, by) = core.groups.at_hand(&route)?;
        let name = repo.canonical_name(route.name.clone());
        let (name, through) = (Cow::Owned(name.as_str().to_owned()), Some((route.repo.key().clone(), by)));
        return Some(Asked { repo, name, through });
    }
    let found = map.find(query).ok()?;
    if found.repo.is_passthrough() {
        // Whoever asks is to be looked at first, before anything is looked up.
        return None;
    }
    let name = if found.repo.has_library_rule() && !found.name.contains('/') {
        Cow::Owned(format!("library/{}", found.name))
    } else {
        Cow::Borrowed(found.name)
    };
    Some(Asked { repo: found.repo.clone(), name, through: None })
}
