//! Changes one value in the text of a configuration file and leaves the rest as people wrote it, comments included.
//!
//! Works on lines, because a tree that is written again has lost its comments. Must not know which fields exist. Invariant:
//! the answer reads as the former document with that one value changed, which is compared; else there is no answer.

mod lines;

use config_document::document::{Node, parse_yaml};
use serde_json::{Map, Value};

use lines::Lines;

/// What to do when a text cannot be changed.
const BY_HAND: &str = "the file cannot be changed here without rewriting it; use `starget config edit`";

/// The text with this value at this path.
///
/// # Errors
/// In words: the text is no YAML, or is written in a way that is not understood line by line.
pub(crate) fn set(text: &str, path: &[&str], value: &Value) -> Result<String, String> {
    change(text, path, Some(value))
}

/// The text without the field at this path; the same text when it is not there.
///
/// # Errors
/// As with [`set`].
pub(crate) fn remove(text: &str, path: &[&str]) -> Result<String, String> {
    change(text, path, None)
}

fn change(text: &str, path: &[&str], value: Option<&Value>) -> Result<String, String> {
    let document = parse_yaml(text).map_err(|problem| problem.to_string())?;
    let mut expected = document.to_json();
    if value.is_none() && at(&expected, path).is_none() {
        return Ok(text.to_owned());
    }
    put(&mut expected, path, value);
    // First the field alone; where that is not understood (`{a: 1, b: 2}`), the map around it is written anew.
    for length in (1..=path.len()).rev() {
        let here = &path[..length];
        let changed = match (at(&expected, here), length == path.len()) {
            (Some(value), _) => write(text, &document, here, value),
            (None, true) => erase(text, &document, here),
            (None, false) => None,
        };
        if let Some(changed) = changed.filter(|changed| reads_as(changed, &expected)) {
            return Ok(changed);
        }
    }
    Err(BY_HAND.to_owned())
}

fn at<'v>(value: &'v Value, path: &[&str]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, key| value.get(key))
}

fn put(tree: &mut Value, path: &[&str], value: Option<&Value>) {
    let Some((key, rest)) = path.split_first() else { return };
    if !tree.is_object() {
        *tree = Value::Object(Map::new());
    }
    let Some(map) = tree.as_object_mut() else { return };
    match (rest.is_empty(), value) {
        (true, Some(value)) => drop(map.insert((*key).to_owned(), value.clone())),
        (true, None) => drop(map.remove(*key)),
        (false, _) => put(map.entry(*key).or_insert(Value::Null), rest, value),
    }
}

/// Whether the text reads as this document. A section without anything in it is as good as none.
fn reads_as(text: &str, expected: &Value) -> bool {
    parse_yaml(text).is_ok_and(|document| without_empty(document.to_json()) == without_empty(expected.clone()))
}

fn without_empty(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.into_iter().map(|(key, value)| (key, without_empty(value)));
            let kept: Map<_, _> = kept.filter(|(_, value)| !value.is_null()).collect();
            if kept.is_empty() { Value::Null } else { Value::Object(kept) }
        }
        other => other,
    }
}

fn write(text: &str, document: &Node, path: &[&str], value: &Value) -> Option<String> {
    let mut lines = Lines::of(text);
    let (key, parents) = path.split_last()?;
    if let Some(field) = lines.field(document, path) {
        let (before, comment) = lines.around_value(field.start, key)?;
        let mut new = rendered(&before, field.indent, value);
        if let (Some(first), Some(comment)) = (new.first_mut(), comment) {
            first.push_str(&comment);
        }
        lines.replace(field.start..field.end, new);
        return Some(lines.text());
    }
    let new =
        |indent: usize| rendered(&format!("{}{}:", " ".repeat(indent), scalar(&Value::from(*key))), indent, value);
    if parents.is_empty() {
        lines.append(new(0));
        return Some(lines.text());
    }
    let Some(parent) = lines.field(document, parents) else {
        let mut map = Map::new();
        map.insert((*key).to_owned(), value.clone());
        return write(text, document, parents, &Value::Object(map));
    };
    let indent = lines.indent_of_children(document, parents).unwrap_or(parent.indent + 2);
    lines.replace(parent.end..parent.end, new(indent));
    Some(lines.text())
}

fn erase(text: &str, document: &Node, path: &[&str]) -> Option<String> {
    let mut lines = Lines::of(text);
    let field = lines.field(document, path)?;
    lines.around_value(field.start, path.last()?)?;
    lines.replace(field.start..field.end, Vec::new());
    Some(lines.text())
}

/// The lines of a field; `before` is what stands up to its colon.
fn rendered(before: &str, indent: usize, value: &Value) -> Vec<String> {
    match value {
        Value::Object(map) if !map.is_empty() => {
            let inner = indent + 2;
            let fields = map.iter().flat_map(|(key, value)| {
                let before = format!("{}{}:", " ".repeat(inner), scalar(&Value::from(key.as_str())));
                rendered(&before, inner, value)
            });
            std::iter::once(before.to_owned()).chain(fields).collect()
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(flow).collect();
            vec![format!("{before} [{}]", items.join(", "))]
        }
        other => vec![format!("{before} {}", scalar(other))],
    }
}

/// Inside brackets a comma or bracket would end it: JSON's quotes are YAML's too.
fn flow(value: &Value) -> String {
    let text = scalar(value);
    if text.contains([',', '[', ']', '{', '}', '#']) { value.to_string() } else { text }
}

/// A value on one line: plain where it reads back as what it is, else as JSON, which is YAML too.
fn scalar(value: &Value) -> String {
    let Value::String(text) = value else { return value.to_string() };
    let reads_back = |text: &str| {
        let read = parse_yaml(&format!("k: {text}\n")).map(|document| document.to_json());
        read.is_ok_and(|read| read["k"] == *value) && parse_yaml(&format!("{text}: 1\n")).is_ok()
    };
    if !text.contains(['\n', '#', '"', '\'']) && text.trim() == text && reads_back(text) {
        text.clone()
    } else {
        value.to_string()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const WRITTEN: &str = "\
# mine
defaults:
  concurrency: 8   # the line is fast
  mirrors:
  - http://a.example
  - http://b.example

# the work registries
registries:
    ghcr.io:
        insecure: true
    flow.example: { insecure: true, mirrors: [http://c.example] }
";

    fn path(text: &str) -> Vec<&str> {
        text.split('/').collect()
    }

    #[test]
    fn one_value_changes_and_comments_stay() {
        for (at, value, old, new) in [
            ("defaults/concurrency", json!(2), "concurrency: 8   # the", "concurrency: 2   # the"),
            ("defaults/tail", json!(51), "b.example\n\n", "b.example\n  tail: 51\n\n"),
            (
                "defaults/mirrors",
                json!(["http://d.example"]),
                "mirrors:\n  - http://a.example\n  - http://b.example\n",
                "mirrors: [http://d.example]\n",
            ),
            (
                "registries/ghcr.io/ca",
                json!("a b"),
                "insecure: true\n    flow",
                "insecure: true\n        ca: a b\n    flow",
            ),
            (
                "registries/ghcr.io/auth/type",
                json!("none"),
                "true\n    f",
                "true\n        auth:\n          type: none\n    f",
            ),
            (
                "registries/flow.example/insecure",
                json!(false),
                "flow.example: { insecure: true, mirrors: [http://c.example] }",
                "flow.example:\n      insecure: false\n      mirrors: [http://c.example]",
            ),
        ] {
            assert!(WRITTEN.contains(old), "{old}");
            assert_eq!(set(WRITTEN, &path(at), &value).unwrap(), WRITTEN.replacen(old, new, 1), "{at}");
        }
        assert_eq!(set("", &path("defaults/stats"), &json!(true)).unwrap(), "defaults:\n  stats: true\n");
        assert_eq!(set("defaults:", &path("defaults/stats"), &json!(true)).unwrap(), "defaults:\n  stats: true\n");
        let windows = "defaults:\r\n  tail: 1\r\n";
        let changed = set(windows, &path("defaults/stats"), &json!(true)).unwrap();
        assert_eq!(changed, "defaults:\r\n  tail: 1\r\n  stats: true\r\n");
        let quoted = set("", &path("a/b:5000"), &json!("yes: #no")).unwrap();
        assert_eq!(parse_yaml(&quoted).unwrap().to_json(), json!({"a": {"b:5000": "yes: #no"}}), "{quoted}");
    }

    #[test]
    fn fields_go_with_all_their_lines() {
        let gone = remove(WRITTEN, &path("defaults/mirrors")).unwrap();
        assert_eq!(gone, WRITTEN.replace("  mirrors:\n  - http://a.example\n  - http://b.example\n", ""));
        let gone = remove(WRITTEN, &path("registries/ghcr.io")).unwrap();
        assert_eq!(gone, WRITTEN.replace("    ghcr.io:\n        insecure: true\n", ""));
        assert_eq!(remove(WRITTEN, &path("registries/other")).unwrap(), WRITTEN);
        let gone = remove(WRITTEN, &path("registries/flow.example/insecure")).unwrap();
        assert_eq!(
            gone,
            WRITTEN
                .replace("{ insecure: true, mirrors: [http://c.example] }", "\n      mirrors: [http://c.example]")
                .replace("example: \n", "example:\n")
        );
    }

    #[test]
    fn what_is_not_understood_is_left_alone() {
        for text in ["{defaults: {concurrency: 1}}\n", "defaults: &d\n  a: 1\nother: *d\n", "? defaults\n: {a: 1}\n"] {
            match set(text, &path("defaults/a"), &json!(2)) {
                Ok(changed) => panic!("{text} became {changed}"),
                Err(why) => assert_eq!(why, BY_HAND),
            }
        }
        assert!(set("a: [", &path("b"), &json!(1)).unwrap_err().contains("line 1"));
    }
}
