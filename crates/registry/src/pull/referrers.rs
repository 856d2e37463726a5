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
use super::manifest::{fresh, within_first_header};
use crate::access::Right;
use crate::core::Core;
use crate::error::{PullError, Subject};
use crate::metrics::PullKind;
use crate::outcome::{Freshness, PullOutcome};
use crate::repositories::{ReferrersSource, Route};
use crate::trace::{cache_lookup, upstream_fetch};

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
        within_first_header(route, asked).await?
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
    let kept = core.metadata.put_referrers(&route.repo.spec().key, &route.name, subject, &document, SystemTime::now());
    if let Err(error) = kept.await {
        tracing::error!(%subject, %error, "referrers could not be recorded; a restart asks upstream again");
    }
}
