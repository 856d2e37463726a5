//! What a pull would ask now: which request, of whom, and why.
//!
//! Pure but for the order and the weather of upstreams. Must not know how parts were found. Invariants: a part that is
//! here and confirmed is asked for by nobody; who is left alone for now is not among those who are asked.

use std::collections::BTreeSet;
use std::sync::Arc;

use oci::Reference;

use super::answer::{CachedPart, ExplainedStep, ExplainedTag, PartKind, Presence};
use super::asking::{Asking, Cost};
use super::{logins, offline, tag, words};
use crate::error::PullError;
use crate::repositories::Route;
use crate::sources::Upstream;

/// What is known of the reference.
pub(super) struct Known<'a> {
    pub(super) reference: &'a Reference,
    pub(super) tag: Option<&'a ExplainedTag>,
    /// Why the tag is not asked for although its time is up.
    pub(super) kept_back: Option<&'a PullError>,
    pub(super) parts: &'a [CachedPart],
}

/// The requests in their order, each token request before the first that needs it.
pub(super) fn steps(route: &Route, known: &Known<'_>) -> Vec<ExplainedStep> {
    let parts = known.parts;
    let mut planned: Vec<Planned> = of_rights(route, known.reference).into_iter().collect();
    planned.extend(known.tag.and_then(|tag| of_tag(route, tag, known.kept_back)));
    let whole = platforms_here(parts);
    let is_wanted = |part: &&CachedPart| part.platform.as_ref().is_none_or(|platform| whole.contains(platform));
    planned.extend(parts.iter().filter(is_wanted).filter_map(|part| of_part(route, part)));
    planned.extend(of_others(route, parts, &whole));
    with_logins(route, planned)
}

/// A request and who gets it first.
struct Planned {
    step: ExplainedStep,
    first: Option<Arc<Upstream>>,
}

/// Puts a request to those who may be asked.
fn plan(route: &Route, request: String, why: String, candidates: Vec<Arc<Upstream>>) -> Planned {
    let cost = if request.starts_with("GET manifests/") { Cost::Pull } else { Cost::Free };
    let asking = Asking::of(route, candidates, cost);
    let instead = asking.at.is_empty().then(|| "a pull fails until one of them is asked again".to_owned());
    let first = asking.at.first().cloned();
    let (at, not_asked) = (asking.addresses(), asking.not_asked);
    Planned { first, step: ExplainedStep { at, why, not_asked, instead, ..ExplainedStep::new(request) } }
}

fn with_logins(route: &Route, planned: Vec<Planned>) -> Vec<ExplainedStep> {
    let mut steps = Vec::with_capacity(planned.len());
    let mut logged_in: Vec<usize> = Vec::new();
    for Planned { step, first } in planned {
        if let Some(first) = first.filter(|first| !logged_in.contains(&first.index())) {
            logged_in.push(first.index());
            let login = logins::step(route, &first);
            steps.extend(login.map(|login| ExplainedStep { in_background: step.in_background, ..login }));
        }
        steps.push(step);
    }
    steps
}

/// Where callers pull with their own accounts, they are asked about first.
fn of_rights(route: &Route, reference: &Reference) -> Option<Planned> {
    let rules = route.repo.spec().passthrough?;
    let why = format!(
        "with the caller's account: rights are decided per caller, and known for {} at most",
        words::duration(rules.grant_ttl)
    );
    Some(plan(route, format!("HEAD manifests/{reference}"), why, in_order(route)))
}

fn of_tag(route: &Route, tag: &ExplainedTag, kept_back: Option<&PullError>) -> Option<Planned> {
    // Fresh, resting after a failed check, or immutable: nobody is asked.
    if tag.state == "fresh" || tag.state == "absent" || tag.resting.is_some() {
        return None;
    }
    let why = tag::why(tag);
    if tag.digest.is_none() {
        let why = format!("{why}; what its manifest lists is asked for next, as the client wants it");
        return Some(plan(route, format!("GET manifests/{}", tag.tag), why, in_order(route)));
    }
    let mut planned = plan(route, format!("HEAD manifests/{}", tag.tag), why, in_order(route));
    if let Some(error) = kept_back {
        planned.first = None;
        planned.step.not_asked.extend(planned.step.at.drain(..).map(|at| format!("{at}: {error}")));
    }
    planned.step.in_background = tag.served_meanwhile.is_some();
    planned.step.instead = planned.step.at.is_empty().then(|| match offline::of_tag(route, tag) {
        None => "the tag is answered as it is known, marked stale".to_owned(),
        Some(_) => "a pull fails until one of them is asked again: what is known is too old to be served".to_owned(),
    });
    Some(planned)
}

/// The platforms whose manifests are here: those that clients of this server pull.
fn platforms_here(parts: &[CachedPart]) -> BTreeSet<String> {
    let here = parts.iter().filter(|part| part.kind == PartKind::Manifest && part.cached == Presence::Yes);
    here.filter_map(|part| part.platform.clone()).collect()
}

fn of_part(route: &Route, part: &CachedPart) -> Option<Planned> {
    if part.is_served() {
        return None;
    }
    let candidates = if part.confirmed { best_first(route, part) } else { in_order(route) };
    let target = format!("{}/{}", part.kind.path(), part.digest);
    let what = match (&part.platform, part.size) {
        (Some(platform), Some(size)) => format!("{} for {platform}, {}", part.kind.as_str(), words::size(size)),
        (None, Some(size)) => format!("{}, {}", part.kind.as_str(), words::size(size)),
        (Some(platform), None) => format!("{} for {platform}", part.kind.as_str()),
        (None, None) => part.kind.as_str().to_owned(),
    };
    let (request, why) = match part.cached {
        Presence::Yes => (
            format!("HEAD {target}"),
            format!("{what}: it is here for another name, and upstream has not confirmed it for this one"),
        ),
        Presence::Partly => (
            format!("GET {target}"),
            format!("{what}: {} are here, the rest is asked for by range", words::size(part.present_bytes)),
        ),
        Presence::No => (format!("GET {target}"), format!("{what}: it is not here")),
    };
    Some(plan(route, request, why, candidates))
}

/// One line for all platforms that nobody has pulled.
fn of_others(route: &Route, parts: &[CachedPart], here: &BTreeSet<String>) -> Option<Planned> {
    let is_other = |part: &&CachedPart| part.platform.as_ref().is_some_and(|platform| !here.contains(platform));
    let mut others = parts.iter().filter(is_other);
    let first = others.next()?;
    let count = 1 + others.count();
    let platform = first.platform.as_deref().unwrap_or_default();
    let candidates = if first.confirmed { best_first(route, first) } else { in_order(route) };
    let why = format!(
        "only for a client that wants {platform}: the manifests of {count} more platforms are not here, nor is what they list"
    );
    Some(plan(route, format!("GET {}/{}", first.kind.path(), first.digest), why, candidates))
}

/// The named upstream, then those that stand in while it fails.
fn in_order(route: &Route) -> Vec<Arc<Upstream>> {
    let sources = route.repo.sources();
    if route.repo.is_passthrough() {
        return vec![sources.named().clone()];
    }
    sources.iter().cloned().collect()
}

/// Whoever is likely to answer best.
fn best_first(route: &Route, part: &CachedPart) -> Vec<Arc<Upstream>> {
    match part.digest.parse() {
        Ok(digest) if !route.repo.is_passthrough() => route.repo.sources().for_digest(&digest),
        Ok(_) | Err(_) => in_order(route),
    }
}
