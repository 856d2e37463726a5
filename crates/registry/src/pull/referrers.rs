//! Referrers of a manifest: signatures, attestations, SBOMs. Kept like tags: trusted for `tag_ttl`, then asked for again,
//! and served stale while upstream fails.
//!
//! Must not know HTTP, nor how an upstream tells them. Invariant: a manifest without referrers has an empty list, and an
//! upstream that cannot be asked is never taken for one that has none.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use client::ReferrersApi;
use oci::{Digest, Reference, Referrer, RepositoryName, parse_referrers, referrers_index};

use super::flight::Flight;
use super::freshness::{rest_after, stale_reason};
use super::manifest::{fresh, within};
use super::tag::TAG_CHECK;
use crate::access::Right;
use crate::core::Core;
use crate::error::{PullError, Subject};
use crate::metrics::PullKind;
use crate::outcome::{Freshness, PullOutcome};
use crate::repositories::{ReferrersSource, Route};
use crate::trace::{cache_lookup, upstream_fetch};

/// Largest list kept in the database, in bytes: a real one has a few hundred, and upstreams make as many as are asked for.
const MOST_STORED: usize = 256 << 10;

/// Who refers to a manifest.
#[derive(Clone, Debug)]
pub struct ReferrersAnswer {
    /// They, in upstream's order.
    pub listed: Arc<[Referrer]>,
    /// How the question was answered.
    pub outcome: PullOutcome,
    /// How long the answer may be trusted.
    pub freshness: Freshness,
}

/// What is known of a manifest's referrers.
#[derive(Clone, Debug)]
pub(crate) struct ReferrersState {
    listed: Arc<[Referrer]>,
    /// When upstream last told.
    checked: Instant,
    /// After a failed check: not to be asked again before, and why.
    resting: Option<(Instant, PullError)>,
}

impl ReferrersState {
    /// About how many bytes of memory it takes.
    pub(super) fn weight(&self) -> u32 {
        let texts = |one: &Referrer| {
            let annotations = one.annotations.iter().flatten().map(|(key, value)| 96 + key.len() + value.len());
            one.artifact_type.as_ref().map_or(0, String::len) + annotations.sum::<usize>()
        };
        let bytes: usize = self.listed.iter().map(|one| size_of::<Referrer>() + texts(one)).sum();
        u32::try_from(256 + bytes).unwrap_or(u32::MAX)
    }
}

/// Whose referrers: repository, name, manifest.
pub(crate) type ReferrersKey = (Arc<str>, RepositoryName, Digest);

/// Questions under way.
pub(crate) struct ReferrersFlight;

impl Flight for ReferrersFlight {
    type Key = (ReferrersKey, crate::access::Principal);
    type Answer = ReferrersAnswer;
}

/// Lists the manifests that name `subject`.
pub(crate) async fn list(core: &Arc<Core>, route: &Route, subject: &Digest) -> Result<ReferrersAnswer, PullError> {
    route.admitted(Right::Pull)?;
    let key = (route.repo.key().clone(), route.name.clone(), *subject);
    let api = match route.repo.spec().referrers {
        ReferrersSource::Auto => ReferrersApi::Ask,
        ReferrersSource::Api => ReferrersApi::Only,
        ReferrersSource::Tag => ReferrersApi::Skip,
        ReferrersSource::None => return Ok(nobody(route)),
    };
    let looked_up = async {
        if let Some(answer) = core.memory.referrers(&key).and_then(|state| trusted(&state, route)) {
            return Ok(answer);
        }
        let flight = (key.clone(), route.principal());
        let asked = core.referrers_flights.join(flight, || ask(core.clone(), route.clone(), key.clone(), api));
        match within(route, TAG_CHECK, asked).await {
            Ok(told) => told,
            // The question goes on; this caller gets what is known, if that may be served.
            Err(slow) => core.memory.referrers(&key).and_then(|state| stale(&state, route, &slow)).ok_or(slow),
        }
    };
    let answer = cache_lookup(route.repo.key(), "referrers", looked_up).await?;
    route.repo.counters().pulled(PullKind::Referrers, answer.outcome);
    Ok(answer)
}

/// The answer of a repository that looks nowhere.
fn nobody(route: &Route) -> ReferrersAnswer {
    route.repo.counters().pulled(PullKind::Referrers, PullOutcome::Hit);
    let freshness = fresh(Duration::ZERO, route.repo.spec().tag_ttl);
    ReferrersAnswer { listed: Arc::from([]), outcome: PullOutcome::Hit, freshness }
}

/// The list, while it may be used without asking.
fn trusted(state: &ReferrersState, route: &Route) -> Option<ReferrersAnswer> {
    let (age, ttl) = (state.checked.elapsed(), route.repo.spec().tag_ttl);
    if age < ttl {
        return Some(answer(state, PullOutcome::Hit, fresh(age, ttl)));
    }
    let (until, error) = state.resting.as_ref()?;
    if Instant::now() < *until { stale(state, route, error) } else { None }
}

fn stale(state: &ReferrersState, route: &Route, error: &PullError) -> Option<ReferrersAnswer> {
    let age = state.checked.elapsed();
    let reason = stale_reason(error, age, route.repo.spec())?;
    Some(answer(state, PullOutcome::Stale, Freshness::Stale { age, reason }))
}

fn answer(state: &ReferrersState, outcome: PullOutcome, freshness: Freshness) -> ReferrersAnswer {
    ReferrersAnswer { listed: state.listed.clone(), outcome, freshness }
}

/// Asks upstream; when that fails, what was kept may stand in.
async fn ask(
    core: Arc<Core>,
    route: Route,
    key: ReferrersKey,
    api: ReferrersApi,
) -> Result<ReferrersAnswer, PullError> {
    let known = match core.memory.referrers(&key) {
        Some(known) => Some(known),
        None => stored(&core, &route, &key.2).await?,
    };
    if let Some(answer) = known.as_ref().and_then(|state| trusted(state, &route)) {
        core.memory.keep_referrers(key, known.expect("it was just looked at"));
        return Ok(answer);
    }
    let asked = route.client().referrers(&route.name, &key.2, api);
    match upstream_fetch(route.trace, route.repo.key(), "referrers", asked).await {
        Ok(referrers) => {
            let state = ReferrersState { listed: referrers.listed.into(), checked: Instant::now(), resting: None };
            store(&core, &route, &key.2, &state).await;
            let outcome = if known.is_some() { PullOutcome::Revalidated } else { PullOutcome::Miss };
            let answer = answer(&state, outcome, fresh(Duration::ZERO, route.repo.spec().tag_ttl));
            core.memory.keep_referrers(key, state);
            Ok(answer)
        }
        Err(error) => {
            let subject = Subject::Manifest(Reference::Digest(key.2).to_string().into());
            let error = route.error(&subject, &error);
            let Some(mut state) = known else { return Err(error) };
            let Some(answer) = stale(&state, &route, &error) else { return Err(error) };
            state.resting = Some((Instant::now() + rest_after(&error), error));
            core.memory.keep_referrers(key, state);
            Ok(answer)
        }
    }
}

/// What a former run kept.
async fn stored(core: &Core, route: &Route, subject: &Digest) -> Result<Option<ReferrersState>, PullError> {
    let row = core.metadata.find_referrers(&route.repo.spec().key, &route.name, subject).await;
    let Some(row) = row.map_err(|e| PullError::storage(&e))? else { return Ok(None) };
    let Ok(listed) = parse_referrers(row.document.as_bytes()) else { return Ok(None) };
    // A clock that was set back must not make a list younger than it is, nor older than the clock can tell.
    let age = SystemTime::now().duration_since(row.checked_at).unwrap_or_default();
    let checked = Instant::now().checked_sub(age).unwrap_or_else(Instant::now);
    Ok(Some(ReferrersState { listed: listed.into(), checked, resting: None }))
}

/// Keeps the list for later runs. A database that takes no rows does not stop the answer.
async fn store(core: &Core, route: &Route, subject: &Digest, state: &ReferrersState) {
    let document = String::from_utf8(referrers_index(&state.listed)).unwrap_or_default();
    if document.len() > MOST_STORED {
        tracing::debug!(%subject, bytes = document.len(), "a list of referrers is too large to be kept over a restart");
        return;
    }
    let kept = core.metadata.put_referrers(&route.repo.spec().key, &route.name, subject, &document, SystemTime::now());
    if let Err(error) = kept.await {
        tracing::error!(%subject, %error, "referrers could not be recorded; a restart asks upstream again");
    }
}
