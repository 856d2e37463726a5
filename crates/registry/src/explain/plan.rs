//! What a pull would ask now: which request, of whom, and why.
//!
//! Pure but for the order of upstreams. Must not know how parts were found. Invariant: a part that is here and confirmed
//! is asked for by nobody.

use std::collections::BTreeSet;

use oci::Reference;

use super::answer::{CachedPart, ExplainedStep, ExplainedTag, PartKind, Presence};
use super::{tag, words};
use crate::repositories::Route;

/// The requests in their order.
pub(super) fn steps(
    route: &Route,
    reference: &Reference,
    tag: Option<&ExplainedTag>,
    parts: &[CachedPart],
) -> Vec<ExplainedStep> {
    let mut steps: Vec<ExplainedStep> = of_rights(route, reference).into_iter().collect();
    steps.extend(tag.and_then(|tag| of_tag(route, tag)));
    let whole = platforms_here(parts);
    let is_wanted = |part: &&CachedPart| part.platform.as_ref().is_none_or(|platform| whole.contains(platform));
    steps.extend(parts.iter().filter(is_wanted).filter_map(|part| of_part(route, part)));
    steps.extend(of_others(route, parts, &whole));
    steps
}

/// Where callers pull with their own accounts, they are asked about first.
fn of_rights(route: &Route, reference: &Reference) -> Option<ExplainedStep> {
    let rules = route.repo.spec().passthrough?;
    Some(ExplainedStep {
        request: format!("HEAD manifests/{reference}"),
        at: vec![named(route)],
        why: format!(
            "with the caller's account: rights are decided per caller, and known for {} at most",
            words::duration(rules.grant_ttl)
        ),
    })
}

fn of_tag(route: &Route, tag: &ExplainedTag) -> Option<ExplainedStep> {
    // Fresh, resting after a failed check, or immutable: nobody is asked.
    if tag.state == "fresh" || tag.state == "absent" || tag.resting.is_some() {
        return None;
    }
    let why = tag::why(tag);
    Some(match &tag.digest {
        Some(_) => ExplainedStep { request: format!("HEAD manifests/{}", tag.tag), at: in_order(route), why },
        None => ExplainedStep {
            request: format!("GET manifests/{}", tag.tag),
            at: in_order(route),
            why: format!("{why}; what its manifest lists is asked for next, as the client wants it"),
        },
    })
}

/// The platforms whose manifests are here: those that clients of this server pull.
fn platforms_here(parts: &[CachedPart]) -> BTreeSet<String> {
    let here = parts.iter().filter(|part| part.kind == PartKind::Manifest && part.cached == Presence::Yes);
    here.filter_map(|part| part.platform.clone()).collect()
}

fn of_part(route: &Route, part: &CachedPart) -> Option<ExplainedStep> {
    if part.is_served() {
        return None;
    }
    let at = if part.confirmed { best_first(route, part) } else { in_order(route) };
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
    Some(ExplainedStep { request, at, why })
}

/// One line for all platforms that nobody has pulled.
fn of_others(route: &Route, parts: &[CachedPart], here: &BTreeSet<String>) -> Option<ExplainedStep> {
    let is_other = |part: &&CachedPart| part.platform.as_ref().is_some_and(|platform| !here.contains(platform));
    let mut others = parts.iter().filter(is_other);
    let first = others.next()?;
    let count = 1 + others.count();
    let platform = first.platform.as_deref().unwrap_or_default();
    Some(ExplainedStep {
        request: format!("GET {}/{}", first.kind.path(), first.digest),
        at: if first.confirmed { best_first(route, first) } else { in_order(route) },
        why: format!(
            "only for a client that wants {platform}: the manifests of {count} more platforms are not here, nor is what they list"
        ),
    })
}

fn named(route: &Route) -> String {
    route.repo.client().upstream().to_string()
}

/// The named upstream, then those that stand in while it fails.
fn in_order(route: &Route) -> Vec<String> {
    if route.repo.is_passthrough() {
        return vec![named(route)];
    }
    route.repo.sources().iter().map(|upstream| upstream.client().upstream().to_string()).collect()
}

/// Whoever is likely to answer best.
fn best_first(route: &Route, part: &CachedPart) -> Vec<String> {
    let Ok(digest) = part.digest.parse() else { return in_order(route) };
    if route.repo.is_passthrough() {
        return vec![named(route)];
    }
    let order = route.repo.sources().for_digest(&digest);
    order.iter().map(|upstream| upstream.client().upstream().to_string()).collect()
}
