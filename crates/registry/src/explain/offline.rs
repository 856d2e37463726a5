//! What would happen without any upstream.
//!
//! Must not ask. Invariant: "complete" means that every part that is known of would be served to everybody.

use std::collections::BTreeMap;
use std::time::Duration;

use super::answer::{CachedPart, ExplainedTag, OfflineAnswer, PartKind, Presence};
use super::parts::Found;
use super::words;
use crate::repositories::Route;

/// The answer.
pub(super) fn answer(route: &Route, tag: Option<&ExplainedTag>, found: &Found) -> OfflineAnswer {
    let mut missing: Vec<String> = Vec::new();
    if route.repo.is_passthrough() {
        missing.push(
            "the decision about each caller: rights are decided per caller at the upstream (auth: passthrough)"
                .to_owned(),
        );
    }
    let unserved_tag = tag.and_then(|tag| of_tag(route, tag));
    let in_the_way = !missing.is_empty() || unserved_tag.is_some();
    missing.extend(unserved_tag);
    missing.extend(found.parts.iter().filter(|part| !part.is_served()).map(of_part));
    if found.left_out > 0 {
        missing.push(format!("{} more parts were not looked at", found.left_out));
    }
    let root_is_here = found.parts.first().is_some_and(CachedPart::is_served);
    let complete_platforms = if in_the_way || !root_is_here { Vec::new() } else { whole_platforms(&found.parts) };
    OfflineAnswer { complete: missing.is_empty() && root_is_here, complete_platforms, missing }
}

/// Why the tag would not be served, if so.
pub(super) fn of_tag(route: &Route, tag: &ExplainedTag) -> Option<String> {
    let (Some(_), Some(age)) = (&tag.digest, tag.age_s) else {
        return Some(format!("the tag {}: what it points to is not known", tag.tag));
    };
    if tag.state == "fresh" || tag.immutable {
        return None;
    }
    let spec = route.repo.spec();
    let limit = spec.tag_ttl.saturating_add(spec.stale_if_error);
    if !spec.stale_if_error.is_zero() && Duration::from_secs(age) <= limit {
        return None;
    }
    Some(format!(
        "the tag {}: it was confirmed {} ago, longer than stale_if_error ({}) allows",
        tag.tag,
        words::seconds(age),
        words::duration(spec.stale_if_error)
    ))
}

fn of_part(part: &CachedPart) -> String {
    let platform = part.platform.as_ref().map(|platform| format!(" of {platform}")).unwrap_or_default();
    let why = match part.cached {
        Presence::Yes => "not confirmed by this repository's upstream".to_owned(),
        Presence::Partly => format!("only {} are here", words::size(part.present_bytes)),
        Presence::No => "not here".to_owned(),
    };
    format!("{}{platform} {}: {why}", part.kind.as_str(), part.digest)
}

/// The platforms all of whose parts are served.
fn whole_platforms(parts: &[CachedPart]) -> Vec<String> {
    let mut whole: BTreeMap<&str, bool> = BTreeMap::new();
    for part in parts {
        let Some(platform) = part.platform.as_deref() else { continue };
        *whole.entry(platform).or_insert(true) &= part.is_served();
    }
    let has_manifest = |platform: &str| {
        parts.iter().any(|part| part.kind == PartKind::Manifest && part.platform.as_deref() == Some(platform))
    };
    whole.into_iter().filter(|(name, whole)| *whole && has_manifest(name)).map(|(name, _)| name.to_owned()).collect()
}
