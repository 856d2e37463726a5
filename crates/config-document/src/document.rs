//! The configuration as a tree of values, each with the place it was written at.
//!
//! YAML is read here and nowhere else; flags and environment variables become trees of the same kind. Must not know
//! which fields exist. Invariant: the input is bounded (size, depth, nodes, aliases), a key stands once in a map, and
//! every value can say where it came from.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::Spanned;

use crate::problem::{Origin, Problem};

/// Largest configuration file that is read: a thousand repositories take about a tenth of it.
pub const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// A value and where it was written.
#[derive(Clone)]
pub struct Node {
    /// Where the value was written.
    pub origin: Origin,
    /// The value.
    pub value: NodeValue,
    /// The text before `${…}` was replaced, when something was: shown in place of a value that may be a secret.
    pub written: Option<String>,
}

/// What a node holds.
#[derive(Clone)]
pub enum NodeValue {
    /// Nothing was written.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map; no key stands twice.
    Map(Vec<Entry>),
}

/// One key of a map.
#[derive(Clone)]
pub struct Entry {
    /// The key as written.
    pub key: String,
    /// Where the key was written.
    pub origin: Origin,
    /// Its value.
    pub node: Node,
}

impl Node {
    /// A text that was not read from a file.
    pub fn text(origin: Origin, text: impl Into<String>) -> Self {
        Self { origin, value: NodeValue::Text(text.into()), written: None }
    }

    /// A list that was not read from a file.
    pub fn list(origin: Origin, items: impl IntoIterator<Item = Node>) -> Self {
        Self { origin, value: NodeValue::List(items.into_iter().collect()), written: None }
    }

    /// A map with one key for each segment of the dotted `path`, ending in `leaf`.
    pub fn at_path(path: &str, leaf: Node) -> Self {
        path.rsplit('.').fold(leaf, |node, key| {
            let origin = node.origin;
            let entry = Entry { key: key.to_owned(), origin, node };
            Self { origin, value: NodeValue::Map(vec![entry]), written: None }
        })
    }

    /// The value under `key`, when this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            NodeValue::Map(entries) => entries.iter().find(|e| e.key == key),
            NodeValue::Null | NodeValue::Bool(_) | NodeValue::Number(_) | NodeValue::Text(_) | NodeValue::List(_) => {
                None
            }
        }
    }

    /// Where the field at `path` (`auth.password`, `hosts[1]`) was written, or else the nearest thing around it.
    pub fn origin_of(&self, path: &str) -> Origin {
        let mut here = self;
        let mut origin = self.origin;
        for segment in path.split(['.', '[']).filter(|s| !s.is_empty()) {
            let next = match (&here.value, segment.strip_suffix(']').and_then(|i| i.parse::<usize>().ok())) {
                (NodeValue::List(items), Some(index)) => items.get(index).map(|item| (item.origin, item)),
                _ => here.get(segment).map(|entry| (entry.origin, &entry.node)),
            };
            let Some((found, node)) = next else { break };
            (origin, here) = (found, node);
        }
        origin
    }

    /// The same as JSON, origins dropped.
    pub fn to_json(&self) -> Value {
        match &self.value {
            NodeValue::Null => Value::Null,
            NodeValue::Bool(flag) => Value::Bool(*flag),
            NodeValue::Number(number) => Value::Number(number.clone()),
            NodeValue::Text(text) => Value::String(text.clone()),
            NodeValue::List(items) => Value::Array(items.iter().map(Node::to_json).collect()),
            NodeValue::Map(entries) => {
                Value::Object(entries.iter().map(|e| (e.key.clone(), e.node.to_json())).collect::<Map<_, _>>())
            }
        }
    }
}

impl NodeValue {
    /// What this is, in words for a message. Never the value itself, which may be a secret.
    pub const fn describe(&self) -> &'static str {
        match self {
            Self::Null => "empty",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

/// Reads YAML.
///
/// # Errors
/// The one thing that keeps this from being YAML, with its line. The file's text is not quoted: it may hold secrets.
pub fn parse_yaml(text: &str) -> Result<Node, Problem> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 32,
            max_nodes: 200_000,
            max_aliases: 1_000,
            max_anchors: 1_000,
            max_documents: 1,
            max_total_scalar_bytes: 8 * 1024 * 1024,
        },
        strict_booleans: true,
        with_snippet: false,
        duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::Error,
    };
    match serde_saphyr::from_str_with_options::<Option<Spanned<Parsed>>>(text, options) {
        Ok(Some(root)) => Ok(node(root)),
        Ok(None) => Ok(Node { origin: Origin::Line(1), value: NodeValue::Map(Vec::new()), written: None }),
        Err(error) => {
            let line = error.location().map_or(1, |l| l.line());
            Err(Problem::new(Origin::Line(line), "", format!("is not valid YAML: {}", error.without_snippet())))
        }
    }
}

/// What the deserialiser sees: a node whose own place is in the `Spanned` around it.
struct Parsed(NodeValue);

fn node(spanned: Spanned<Parsed>) -> Node {
    Node { origin: Origin::Line(spanned.referenced.line()), value: spanned.value.0, written: None }
}

impl<'de> Deserialize<'de> for Parsed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ParsedVisitor).map(Parsed)
    }
}

struct ParsedVisitor;

impl<'de> Visitor<'de> for ParsedVisitor {
    type Value = NodeValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<NodeValue, E> {
        Ok(NodeValue::Null)
    }

    fn visit_none<E>(self) -> Result<NodeValue, E> {
        Ok(NodeValue::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<NodeValue, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<NodeValue, E> {
        Ok(NodeValue::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<NodeValue, E> {
        Ok(NodeValue::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<NodeValue, E> {
        Ok(NodeValue::Number(number.into()))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<NodeValue, E> {
        Number::from_f64(number).map(NodeValue::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, text: &str) -> Result<NodeValue, E> {
        Ok(NodeValue::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<NodeValue, E> {
        Ok(NodeValue::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<NodeValue, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Spanned<Parsed>>()? {
            list.push(node(item));
        }
        Ok(NodeValue::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<NodeValue, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, value)) = map.next_entry::<Spanned<String>, Spanned<Parsed>>()? {
            entries.push(Entry { origin: Origin::Line(key.referenced.line()), key: key.value, node: node(value) });
        }
        Ok(NodeValue::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_lines_and_types() {
        let node = parse_yaml("a: 1\nb:\n  c: [x, 'true', true]\n  d: 2.5\n\ne:\n").unwrap();
        assert_eq!(node.to_json(), serde_json::json!({"a": 1, "b": {"c": ["x", "true", true], "d": 2.5}, "e": null}));
        assert_eq!(node.origin_of("b.d"), Origin::Line(4));
        assert_eq!(node.origin_of("b.c[2]"), Origin::Line(3));
        assert_eq!(node.origin_of("b.missing"), Origin::Line(2), "the nearest thing around it");
    }

    #[test]
    fn empty_files_and_files_of_comments_are_an_empty_map() {
        for text in ["", "\n\n", "# nothing yet\n"] {
            assert_eq!(parse_yaml(text).unwrap().to_json(), serde_json::json!({}), "{text:?}");
        }
    }

    #[test]
    fn broken_yaml_names_the_line_and_quotes_nothing() {
        for text in ["a: 1\npassword: hunter2: x\n", "a: [hunter2\n", "a: 1\na: hunter2\n", "a: 1\n--- \nb: hunter2\n"]
        {
            let problem = parse_yaml(text).err().unwrap_or_else(|| panic!("accepted {text:?}"));
            assert!(matches!(problem.origin, Origin::Line(1..=3)), "{problem:?}");
            assert!(!problem.message.contains("hunter2"), "{problem:?}");
        }
    }

    #[test]
    fn bombs_are_refused() {
        let deep = "[".repeat(5_000);
        let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for i in 1..9 {
            let previous = vec![format!("*a{}", i - 1); 10].join(", ");
            laughs = format!("{laughs}a{i}: &a{i} [{previous}]\n");
        }
        for text in [deep, laughs] {
            assert!(parse_yaml(&text).is_err());
        }
    }
}
