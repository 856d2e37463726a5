//! An explanation for people.
//!
//! Must not know how anything was found out. Invariant: every fact of the JSON that decides something is there.

use registry::{
    CachedPart, ExplainedGroup, ExplainedMember, ExplainedStep, ExplainedTag, ExplainedUpstream, Explanation,
    OfflineAnswer,
};

/// The whole text.
pub(super) fn of(explanation: &Explanation) -> String {
    let route = &explanation.route;
    let library = if route.library_added { " (library/ was put before it)" } else { "" };
    let mut lines = vec![
        line("image", &explanation.image),
        line("repository", &format!("{} ({}), found {}", route.repo_key, route.configured_by, route.how)),
        line("upstream name", &format!("{}{library}", route.name)),
        line("reference", &route.reference),
        line("rights", &explanation.rights),
    ];
    lines.extend(explanation.group.iter().flat_map(group));
    lines.extend(explanation.upstreams.iter().map(|one| line(&format!("{} upstream", one.role), &upstream(one))));
    lines.extend(explanation.tag.iter().map(|one| line("tag", &tag(one))));
    // What lies in a hosted member of a group has no parts in the cache.
    if explanation.group.is_none() || !explanation.parts.is_empty() {
        lines.push(String::new());
        lines.extend(parts(&explanation.parts, explanation.parts_left_out));
    }
    lines.push(String::new());
    lines.extend(steps(&explanation.pull_now));
    lines.push(String::new());
    lines.extend(offline(&explanation.offline));
    lines.join("\n") + "\n"
}

fn group(one: &ExplainedGroup) -> Vec<String> {
    let answered_by = match (&one.keeper, &one.answered_by) {
        (Some(keeper), _) => format!("member '{keeper}' keeps the name"),
        (None, Some(member)) => format!("member '{member}' answers"),
        (None, None) => "who has it is found out by asking".to_owned(),
    };
    let push_to = one.push_to.as_ref().map_or_else(String::new, |member| format!(", pushes go to '{member}'"));
    let mut lines = vec![line("group", &format!("{} (names: {}): {answered_by}{push_to}", one.key, one.names))];
    let member = |one: &ExplainedMember| line("", &format!("{} ({}): {}", one.key, one.kind, one.asked));
    lines.extend(one.members.iter().map(member));
    lines
}

fn line(label: &str, text: &str) -> String {
    format!("{label:<16}{text}")
}

fn time(seconds: u64) -> String {
    let text = humantime::format_duration(std::time::Duration::from_secs(seconds)).to_string();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

fn upstream(one: &ExplainedUpstream) -> String {
    let credential = match &one.credential {
        Some(credential) => format!("credential '{}' ({})", credential.name, credential.kind),
        None => "anonymous".to_owned(),
    };
    let breaker = match one.open_for_s {
        Some(left) => format!("not asked for {} (breaker open)", time(left)),
        None => format!("breaker {}", one.breaker),
    };
    let mut facts = vec![one.address.clone(), credential, breaker];
    facts.extend(one.token_for_s.map(|left| format!("a token for {} more", time(left))));
    facts.extend(one.blocked_for_s.map(|left| format!("asked us to stay away for {}", time(left))));
    facts.extend(one.latency_ms.map(|latency| format!("{latency} ms")));
    if one.error_rate > 0.0 {
        facts.push(format!("{:.0} % fail", one.error_rate * 100.0));
    }
    facts.extend(one.problem.as_ref().map(|problem| format!("health check: {problem}")));
    facts.extend(one.rate_limit.as_ref().map(|limit| {
        let seen = time(limit.seen_s_ago);
        format!("rate limit of {}: {} of {} left, {seen} ago", limit.account, limit.remaining, limit.limit)
    }));
    facts.join(", ")
}

fn tag(one: &ExplainedTag) -> String {
    let mut facts = vec![format!("{}: {}", one.tag, one.state)];
    facts.extend(one.digest.clone());
    facts.extend(one.age_s.map(|age| format!("confirmed {} ago", time(age))));
    match (one.immutable, one.left_s) {
        (true, _) => facts.push("never moves (immutable_tags)".to_owned()),
        (false, Some(left)) => facts.push(format!("trusted for {} more of {}", time(left), time(one.ttl_s))),
        (false, None) => facts.push(format!("tag_ttl {}", time(one.ttl_s))),
    }
    facts.push(format!("{} changes on record", one.changes));
    facts.extend(one.resting.clone());
    facts.extend(one.served_meanwhile.as_ref().map(|why| format!("answered at once, stale: {why}")));
    facts.join(", ")
}

fn parts(parts: &[CachedPart], left_out: usize) -> Vec<String> {
    if parts.is_empty() {
        return vec!["No part of it is known here.".to_owned()];
    }
    let row = |cells: [&str; 6]| {
        let [kind, platform, size, cached, confirmed, digest] = cells;
        format!("{kind:<10}{platform:<18}{size:>14}  {cached:<22}{confirmed:<11}{digest}")
    };
    let mut rows = vec![row(["PART", "PLATFORM", "BYTES", "CACHED", "CONFIRMED", "DIGEST, MEDIA TYPE"])];
    rows.extend(parts.iter().map(|part| {
        let size = part.size.map_or_else(|| "?".to_owned(), |size| size.to_string());
        let cached = match part.cached {
            registry::Presence::Partly => format!("partly ({})", part.present_bytes),
            whole @ (registry::Presence::Yes | registry::Presence::No) => whole.as_str().to_owned(),
        };
        let confirmed = if part.confirmed { "yes" } else { "no" };
        let media_type = part.media_type.as_deref().unwrap_or_default();
        let named = format!("{} {media_type}", part.digest);
        let platform = part.platform.as_deref().unwrap_or("-");
        row([part.kind.as_str(), platform, &size, &cached, confirmed, named.trim_end()])
    }));
    if left_out > 0 {
        rows.push(format!("and {left_out} more"));
    }
    rows
}

fn steps(steps: &[ExplainedStep]) -> Vec<String> {
    if steps.is_empty() {
        return vec!["A pull now asks nobody: everything is here.".to_owned()];
    }
    let mut lines = vec!["A pull now asks:".to_owned()];
    lines.extend(steps.iter().flat_map(step));
    lines
}

fn step(step: &ExplainedStep) -> Vec<String> {
    let behind = if step.in_background { " (behind the answer)" } else { "" };
    let whom = if step.at.is_empty() { "nobody".to_owned() } else { step.at.join(", else ") };
    let mut lines = vec![format!("  {} at {whom}{behind}: {}", step.request, step.why)];
    lines.extend(step.not_asked.iter().map(|not_asked| format!("      not asked: {not_asked}")));
    lines.extend(step.instead.iter().map(|instead| format!("      instead: {instead}")));
    lines
}

fn offline(offline: &OfflineAnswer) -> Vec<String> {
    let mut lines = vec![match (offline.complete, offline.complete_platforms.as_slice()) {
        (true, _) => "Without any upstream: complete.".to_owned(),
        (false, []) => "Without any upstream: not complete. Missing:".to_owned(),
        (false, whole) => format!("Without any upstream: complete for {}. Missing:", whole.join(", ")),
    }];
    lines.extend(offline.missing.iter().map(|missing| format!("  {missing}")));
    lines
}
