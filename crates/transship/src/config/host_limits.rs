//! `upstream.limits`: what this server allows itself at each upstream host; each entry gets its line number here.
//!
//! Must not know what the limits mean (the registry reads them, as those of repositories). Invariant: what is wrong is
//! reported with its host and field, and no entry hides another.

use std::collections::HashMap;

use client::HostLimits;
use oci::RegistryHost;

use super::document::{Entry, Node, NodeValue};
use super::problem::Problem;

/// Reads every entry of `upstream.limits`.
pub(super) fn read(document: &Node, problems: &mut Vec<Problem>) -> HostLimits {
    let limits = document.get("upstream").and_then(|upstream| upstream.node.get("limits"));
    let Some(Entry { node: Node { value: NodeValue::Map(entries), .. }, .. }) = limits else {
        return HostLimits::default();
    };
    let mut read = HashMap::new();
    for entry in entries {
        let path = format!("upstream.limits.{}", entry.key);
        let host: Result<RegistryHost, _> = entry.key.parse();
        match host {
            Err(error) => problems.push(Problem::new(entry.origin, &path, error.to_string())),
            Ok(host) => match registry::read_own_limits(&entry.node.to_json()) {
                Ok(limits) => {
                    read.insert(host, limits);
                }
                Err(found) => problems.extend(found.into_iter().map(|problem| {
                    let inside = if problem.path.is_empty() { String::new() } else { format!(".{}", problem.path) };
                    Problem::new(entry.node.origin_of(&problem.path), format!("{path}{inside}"), problem.message)
                })),
            },
        }
    }
    HostLimits::new(read)
}
