//! From a tag to a digest: trust, revalidate, or serve stale.
//!
//! Must not know bytes of manifests beyond keeping what a check brought along. Invariants: at most one check of a tag
//! is under way; a check that fails changes nothing that was known; a tag moves only after the new manifest's bytes
//! are here.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use client::{ClientError, RegistryClient};
use metadata::{TagGone, TagObservation};
use oci::{Digest, Reference, Tag};

use super::flight::Flight;
use super::freshness::{rest_after, stale_reason};
use super::manifest::{self, Whom, client_error, fetch, fresh, said};
use super::memory::{CachedManifest, TagKey, TagState};
use super::reserve::{self, Revalidation};
use super::upstreams;
use crate::access::Principal;
use crate::core::Core;
use crate::error::PullError;
use crate::outcome::{Freshness, PullOutcome};
use crate::repositories::{Repository, Route};
use crate::sources::{Answered, Failure, Upstream};

/// What a tag stands for, and how we know.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    pub(crate) digest: Digest,
    pub(crate) outcome: PullOutcome,
    pub(crate) freshness: Freshness,
}

/// How long a caller waits for a check; what is left of the time to the first header is for the bytes.
pub(super) const TAG_CHECK: Duration = Duration::from_secs(17);

/// Checks of tags.
pub(crate) struct TagFlight;

impl Flight for TagFlight {
    type Key = (TagKey, Principal);
    type Answer = Resolved;
}

/// Resolves a tag.
pub(super) async fn resolve(core: &Arc<Core>, route: &Route, tag: &Tag) -> Result<Resolved, PullError> {
    let key: TagKey = (route.repo.key().clone(), route.name.clone(), tag.clone());
    let known = core.memory.tag(&key);
    if let Some(resolved) = known.as_ref().and_then(|state| trusted(route, tag, state)) {
        return Ok(resolved);
    }
    let flight = core.tag_flights.join((key, route.principal()), || check(core.clone(), route.clone(), tag.clone()));
    if let Some(resolved) = known.as_ref().and_then(|state| meanwhile(route, state)) {
        return Ok(resolved);
    }
    match manifest::within(route, TAG_CHECK, flight).await {
        Ok(checked) => checked,
        // The check goes on; this caller gets what is known, if that may be served.
        Err(slow) => known.and_then(|state| stale(route, &state, &slow)).ok_or(slow),
    }
}

/// The answer while a check runs in the background: because that is wished for, or because what the upstream still lets us
/// pull is kept for what is not cached.
fn meanwhile(route: &Route, state: &TagState) -> Option<Resolved> {
    let (age, spec) = (state.checked.elapsed(), route.repo.spec());
    let stands_in = |reason: String| {
        let freshness = Freshness::Stale { age, reason: reason.into() };
        Some(Resolved { digest: state.digest, outcome: PullOutcome::Stale, freshness })
    };
    if age < spec.tag_ttl.saturating_add(spec.stale_while_revalidate) {
        return stands_in("the tag is revalidated in the background".to_owned());
    }
    let limit = reserve::low(route)?;
    if age > spec.tag_ttl.saturating_add(spec.stale_if_error) || spec.stale_if_error.is_zero() {
        return None;
    }
    stands_in(format!(
        "{} of {} pulls are left at upstream {}; the tag is revalidated in the background",
        limit.remaining,
        limit.limit,
        route.repo.upstream()
    ))
}

/// The answer while the tag needs no check: inside its time to live, immutable, or resting after a failed check.
fn trusted(route: &Route, tag: &Tag, state: &TagState) -> Option<Resolved> {
    if let Some(freshness) = still_fresh(&route.repo, tag, state, Instant::now()) {
        return Some(Resolved { digest: state.digest, outcome: PullOutcome::Hit, freshness });
    }
    let (until, error) = state.resting.as_ref()?;
    (Instant::now() < *until).then(|| stale(route, state, error))?
}

/// The freshness of a tag that is immutable or inside its time to live.
pub(super) fn still_fresh(repo: &Repository, tag: &Tag, state: &TagState, now: Instant) -> Option<Freshness> {
    let age = now.saturating_duration_since(state.checked);
    let ttl = if repo.is_immutable(tag) { Duration::MAX } else { repo.spec().tag_ttl };
    (age < ttl).then(|| fresh(age, ttl.min(Duration::from_hours(24 * 365))))
}

/// The stale answer after `error`, if the repository allows it.
fn stale(route: &Route, state: &TagState, error: &PullError) -> Option<Resolved> {
    let age = state.checked.elapsed();
    let reason = stale_reason(error, age, route.repo.spec())?;
    Some(Resolved { digest: state.digest, outcome: PullOutcome::Stale, freshness: Freshness::Stale { age, reason } })
}

/// The task behind one check: database, then upstream.
async fn check(core: Arc<Core>, route: Route, tag: Tag) -> Result<Resolved, PullError> {
    let key: TagKey = (route.repo.key().clone(), route.name.clone(), tag.clone());
    let known = match core.memory.tag(&key) {
        Some(state) => Some((*state).clone()),
        None => remembered(&core, &route, &tag).await?,
    };
    if let Some(state) = &known {
        core.memory.keep_tag(key.clone(), state.clone());
        if let Some(resolved) = trusted(&route, &tag, state) {
            return Ok(resolved);
        }
    }
    let reference = Reference::Tag(tag.clone());
    if let Some(error) = core.memory.absent(&route, &reference) {
        return Err(error);
    }
    let asked = Asked { at: SystemTime::now(), sequence: core.next_sequence() };
    match ask(&core, &route, &reference, known.as_ref()).await {
        Ok(found) => {
            if let Some(known) = &known {
                compare(&core, &route, &tag, known, &found);
            }
            observe(&core, &route, &tag, &found, asked).await?;
            let freshness = fresh(Duration::ZERO, route.repo.spec().tag_ttl);
            Ok(Resolved { digest: found.digest, outcome: found.outcome, freshness })
        }
        Err(error) => failed(&core, &route, &tag, asked, known, error).await,
    }
}

/// What a pull would know of a tag before it asks anybody.
pub(crate) struct TagKnowledge {
    /// What it was when it was last confirmed, and how long ago that is.
    pub(crate) known: Option<(Digest, Duration)>,
    /// The answer that a pull would give without asking.
    pub(crate) answer: Option<Resolved>,
    /// The answer that it would give at once while it asks.
    pub(crate) meanwhile: Option<Resolved>,
    /// Why it would not ask although the time is up: what upstream lets us pull is kept for others.
    pub(crate) kept_back: Option<PullError>,
    /// Why a pull would be refused without asking.
    pub(crate) absent: Option<PullError>,
}

/// Looks a tag up without asking anybody.
pub(crate) async fn look_up(core: &Core, route: &Route, tag: &Tag) -> Result<TagKnowledge, PullError> {
    let key: TagKey = (route.repo.key().clone(), route.name.clone(), tag.clone());
    let state = match core.memory.tag(&key) {
        Some(state) => Some((*state).clone()),
        None => remembered(core, route, tag).await?,
    };
    let answer = state.as_ref().and_then(|state| trusted(route, tag, state));
    let absent = core.memory.absent(route, &Reference::Tag(tag.clone())).filter(|_| answer.is_none());
    let due = state.as_ref().filter(|_| answer.is_none());
    let meanwhile = due.and_then(|state| meanwhile(route, state));
    let kept_back = due.and_then(|state| keep_back(route, state, Revalidation::Head).err());
    let known = state.map(|state| (state.digest, state.checked.elapsed()));
    Ok(TagKnowledge { known, answer, meanwhile, kept_back, absent })
}

/// What the database knows of the tag. A time in the future (the clock was set back) counts as long ago.
async fn remembered(core: &Core, route: &Route, tag: &Tag) -> Result<Option<TagState>, PullError> {
    let row =
        core.metadata.find_tag(&route.repo.spec().key, &route.name, tag).await.map_err(|e| PullError::storage(&e))?;
    Ok(row.map(|row| {
        let age = SystemTime::now().duration_since(row.checked_at).unwrap_or(route.repo.spec().tag_ttl);
        let checked = Instant::now().checked_sub(age);
        // Older than the machine's monotonic clock reaches: past any time to live, so it must be checked.
        let checked =
            checked.unwrap_or_else(|| Instant::now().checked_sub(uptime_floor()).unwrap_or_else(Instant::now));
        TagState::confirmed(row.digest, checked, None)
    }))
}

/// A step back on the monotonic clock that every running machine can take.
const fn uptime_floor() -> Duration {
    Duration::from_secs(1)
}

/// What a check found.
struct Found {
    digest: Digest,
    outcome: PullOutcome,
    by: Arc<Upstream>,
}

/// Asks upstream: HEAD for what is known, GET for what is not or has moved.
async fn ask(core: &Core, route: &Route, reference: &Reference, known: Option<&TagState>) -> Result<Found, PullError> {
    let missing = || PullError::UpstreamFailed { said: said(route, "answered 304 to an unconditional request") };
    let Some(known) = known else {
        let fetched = fetch(core, route, reference, None, Whom::Named(None)).await?;
        let digest = fetched.manifest.ok_or_else(missing)?.digest;
        return Ok(Found { digest, outcome: PullOutcome::Miss, by: fetched.by });
    };
    keep_back(route, known, Revalidation::Head)?;
    let head = |client: RegistryClient, name| async move { client.head_manifest(&name, reference).await };
    let answered = upstreams::ask_named(core, route, "manifest head", None, head).await;
    let Answered { value: head, by, instead_of } =
        answered.map_err(|failure| client_error(core, route, reference, &failure))?;
    let revalidated = |by| Found { digest: known.digest, outcome: PullOutcome::Revalidated, by };
    if head.digest == Some(known.digest) {
        return Ok(revalidated(by));
    }
    if let Some(error) = instead_of {
        if head.digest.is_some() {
            core.metrics.tag_disagreements.inc();
        }
        believe_mirror(core, route, reference, known, &by, error)?;
    }
    keep_back(route, known, Revalidation::Get)?;
    let several = route.repo.sources().are_several();
    let of_tag = |known| fetch(core, route, reference, known, Whom::This(by.clone()));
    let fetched = match head.digest {
        None => of_tag(Some(&known.digest)).await?,
        // Who was asked has named it: the bytes may come from anybody.
        Some(digest) if several => {
            match fetch(core, route, &Reference::Digest(digest), None, Whom::Anybody(digest)).await {
                // Nobody has what the HEAD names, which says nothing of the tag.
                Err(PullError::ManifestUnknown { .. }) => of_tag(None).await?,
                fetched => fetched?,
            }
        }
        Some(_) => of_tag(None).await?,
    };
    note_contradiction(core, route, reference, head.digest, fetched.manifest.as_deref());
    Ok(match fetched.manifest {
        Some(manifest) if manifest.digest != known.digest => {
            Found { digest: manifest.digest, outcome: PullOutcome::Miss, by }
        }
        Some(_) | None => revalidated(by),
    })
}

/// Leaves the upstream's last pulls to what is not cached, where the known digest may stand in.
fn keep_back(route: &Route, known: &TagState, revalidation: Revalidation) -> Result<(), PullError> {
    match reserve::keeps_back(route, revalidation) {
        Some(error) if stale(route, known, &error).is_some() => Err(error),
        Some(_) | None => Ok(()),
    }
}

/// Logs a HEAD that named another digest than the GET after it brought: what came and hashes to its digest counts.
fn note_contradiction(
    core: &Core,
    route: &Route,
    reference: &Reference,
    said: Option<Digest>,
    came: Option<&CachedManifest>,
) {
    let (Some(said), Some(came)) = (said, came.map(|manifest| manifest.digest)) else { return };
    if said != came {
        core.metrics.tag_disagreements.inc();
        tracing::warn!(repo_key = %route.repo.key(), name = %route.name, %reference, %said, %came, "upstream's HEAD of a tag names another digest than its GET brings; what it brings counts");
    }
}

/// Whether a mirror that has the tag elsewhere may move it while the named upstream fails. It may not as long as what is
/// known may be served stale: a mirror that lags behind would take the tag back to what it was.
fn believe_mirror(
    core: &Core,
    route: &Route,
    reference: &Reference,
    known: &TagState,
    mirror: &Upstream,
    error: ClientError,
) -> Result<(), PullError> {
    let error = client_error(core, route, reference, &Failure { error, others: Vec::new() });
    let kept = stale(route, known, &error).is_some();
    tracing::warn!(repo_key = %route.repo.key(), name = %route.name, %reference, known = %known.digest, mirror = %mirror.address(), kept, "a mirror does not have a tag at the known digest");
    if kept { Err(error) } else { Ok(()) }
}

/// Logs that two upstreams do not have a tag at the same digest, or that it moved while another answered.
fn compare(core: &Core, route: &Route, tag: &Tag, known: &TagState, found: &Found) {
    let Some(before) = known.by.as_ref().filter(|before| *before != found.by.address()) else { return };
    if known.digest == found.digest {
        return;
    }
    core.metrics.tag_disagreements.inc();
    tracing::warn!(repo_key = %route.repo.key(), name = %route.name, %tag, before = %known.digest, said_by = %before, now = %found.digest, says = %found.by.address(), "upstreams have a tag at different digests; the one that comes first counts");
}

/// When a question was put: a late answer never replaces a newer one.
#[derive(Clone, Copy)]
struct Asked {
    at: SystemTime,
    sequence: u64,
}

/// Notes what upstream said.
async fn observe(core: &Core, route: &Route, tag: &Tag, found: &Found, asked: Asked) -> Result<(), PullError> {
    let digest = found.digest;
    let media_type = core.memory.manifest(&digest).map(|m| m.media_type.clone());
    let media_type = if let Some(media_type) = media_type {
        media_type
    } else {
        let row = core.metadata.find_manifest(&digest).await.map_err(|e| PullError::storage(&e))?;
        row.map_or(oci::MediaType::OCI_IMAGE_MANIFEST, |row| row.media_type)
    };
    let observation = TagObservation {
        repo: route.repo.spec().key.clone(),
        name: route.name.clone(),
        tag: tag.clone(),
        digest,
        media_type,
        upstream: found.by.address().to_string(),
        observed_at: asked.at,
        sequence: asked.sequence,
    };
    match core.metadata.observe_tag(observation).await {
        Ok(true) => {
            tracing::info!(repo_key = %route.repo.key(), name = %route.name, %tag, %digest, "tag observed at a new digest");
        }
        Ok(false) => {}
        // A database that takes no rows (a full disk) does not stop the pull: memory knows the tag.
        Err(error) => {
            tracing::error!(repo_key = %route.repo.key(), name = %route.name, %tag, %error, "a tag could not be recorded");
        }
    }
    let key: TagKey = (route.repo.key().clone(), route.name.clone(), tag.clone());
    core.memory.keep_tag(key, TagState::confirmed(digest, Instant::now(), Some(found.by.address().clone())));
    Ok(())
}

/// A check failed: serve stale if allowed, forget the tag if upstream says that it is gone.
async fn failed(
    core: &Core,
    route: &Route,
    tag: &Tag,
    asked: Asked,
    known: Option<TagState>,
    error: PullError,
) -> Result<Resolved, PullError> {
    let key: TagKey = (route.repo.key().clone(), route.name.clone(), tag.clone());
    let Some(mut state) = known else { return Err(error) };
    let per_caller = route.admission.is_per_caller();
    if matches!(error, PullError::ManifestUnknown { .. }) {
        if per_caller {
            // Upstreams say so to whoever may not see it: others ask for themselves.
            return Err(error);
        }
        core.memory.drop_tag(&key);
        let gone = TagGone {
            repo: route.repo.spec().key.clone(),
            name: route.name.clone(),
            tag: tag.clone(),
            upstream: route.repo.upstream().to_string(),
            observed_at: asked.at,
            sequence: asked.sequence,
        };
        core.metadata.delete_tag(gone).await.map_err(|e| PullError::storage(&e))?;
        tracing::info!(repo_key = %route.repo.key(), name = %route.name, %tag, "tag is gone at its upstream");
        return Err(error);
    }
    let Some(resolved) = stale(route, &state, &error) else { return Err(error) };
    tracing::warn!(repo_key = %route.repo.key(), name = %route.name, %tag, %error, "serving a stale tag");
    // One caller's limit is not another's.
    let rest = if per_caller { rest_after(&error).min(Duration::from_secs(5)) } else { rest_after(&error) };
    state.resting = Some((Instant::now() + rest, error));
    core.memory.keep_tag(key, state);
    Ok(resolved)
}
