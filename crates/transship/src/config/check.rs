//! Checks a tree of values against the table of fields and collects everything that is wrong.
//!
//! Must not know what any one field means, nor look inside repositories. Invariant: a value that is wrong is left
//! out of the result, so whatever comes out is good, and every wrong one has left a problem.

use serde_json::{Map, Value};

use super::document::{Entry, Node, NodeValue};
use super::fields::FIELDS;
use super::problem::Problem;
use super::suggest::did_you_mean;

/// The good values of `document`, as JSON in the shape of the file.
pub(crate) fn check(document: &Node, problems: &mut Vec<Problem>) -> Map<String, Value> {
    match &document.value {
        NodeValue::Map(entries) => section("", entries, problems),
        NodeValue::Null => Map::new(),
        other @ (NodeValue::Bool(_) | NodeValue::Number(_) | NodeValue::Text(_) | NodeValue::List(_)) => {
            problems.push(Problem::new(
                document.origin,
                "",
                format!("must be a map of fields, not {}", other.describe()),
            ));
            Map::new()
        }
    }
}

fn section(prefix: &str, entries: &[Entry], problems: &mut Vec<Problem>) -> Map<String, Value> {
    let mut good = Map::new();
    for entry in entries {
        if let Some(value) = field(&format!("{prefix}{}", entry.key), entry, prefix, problems) {
            good.insert(entry.key.clone(), value);
        }
    }
    good
}

fn field(path: &str, entry: &Entry, prefix: &str, problems: &mut Vec<Problem>) -> Option<Value> {
    if let Some(known) = FIELDS.iter().find(|f| f.path == path) {
        if matches!(entry.node.value, NodeValue::Null) {
            return None;
        }
        let checked = known.kind.check(&entry.node);
        return checked
            .map_err(|message| problems.push(Problem::new(entry.origin, path, veil(&entry.node, message))))
            .ok();
    }
    let inner = format!("{path}.");
    if FIELDS.iter().all(|f| !f.path.starts_with(&inner)) {
        let hint = did_you_mean(&entry.key, siblings(prefix));
        problems.push(Problem::new(entry.origin, path, "unknown field").with_hint(hint));
        return None;
    }
    match &entry.node.value {
        NodeValue::Map(entries) => Some(Value::Object(section(&inner, entries, problems))),
        NodeValue::Null => None,
        other @ (NodeValue::Bool(_) | NodeValue::Number(_) | NodeValue::Text(_) | NodeValue::List(_)) => {
            let names = siblings(&inner).collect::<Vec<_>>().join(", ");
            problems.push(Problem::new(
                entry.origin,
                path,
                format!("must be a map with {names}, not {}", other.describe()),
            ));
            None
        }
    }
}

/// The names that may stand under `prefix` (`""` or `cache.`).
fn siblings(prefix: &str) -> impl Iterator<Item = &'static str> {
    let mut previous = "";
    FIELDS
        .iter()
        .filter_map(move |f| f.path.strip_prefix(prefix))
        .map(|rest| rest.split('.').next().unwrap_or(rest))
        .filter(move |name| std::mem::replace(&mut previous, name) != *name)
}

/// The message with the value of an interpolated text put back to what was written: the variable may be a secret.
pub(crate) fn veil(node: &Node, message: String) -> String {
    match (&node.written, &node.value) {
        (Some(written), NodeValue::Text(text)) if !text.is_empty() => message.replace(text.as_str(), written),
        (_, NodeValue::List(items)) => items.iter().fold(message, |message, item| veil(item, message)),
        (_, NodeValue::Map(entries)) => entries.iter().fold(message, |message, entry| veil(&entry.node, message)),
        (_, NodeValue::Null | NodeValue::Bool(_) | NodeValue::Number(_) | NodeValue::Text(_)) => message,
    }
}

/// Lays `over` on `base`: maps are merged, anything else is replaced.
pub(crate) fn lay_over(base: &mut Map<String, Value>, over: Map<String, Value>) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Object(base)), Value::Object(over)) => lay_over(base, over),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}
