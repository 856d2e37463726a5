//! `promote` at the top of the file, or in the repository that is pushed to: the entries find their targets.
//!
//! What is promoted to a repository is that repository's own, read by the registry; here it may stand wherever it reads
//! best. Must not know rules. Invariants: an entry is in exactly one place afterwards; its lines stay those of where it
//! was written; one whose target is not in the file is a problem.

use super::document::{Entry, Node, NodeValue};
use super::problem::{Origin, Problem};
use super::suggest::did_you_mean;

/// An entry on its way to its target.
struct Moving {
    to: String,
    path: String,
    node: Node,
}

/// Moves every entry that says `to` into the `promote` of that repository.
pub(super) fn place(document: &mut Node, problems: &mut Vec<Problem>) {
    let mut moving = at_the_top(document, problems);
    let NodeValue::Map(sections) = &mut document.value else { return };
    let Some(NodeValue::Map(repos)) = sections.iter_mut().find(|e| e.key == "repos").map(|e| &mut e.node.value) else {
        problems.extend(moving.iter().map(|entry| unknown(entry, &[])));
        return;
    };
    for repo in repos.iter_mut() {
        moving.extend(at_the_source(repo));
    }
    let keys: Vec<String> = repos.iter().map(|repo| repo.key.clone()).collect();
    for entry in moving {
        match repos.iter_mut().find(|repo| repo.key == entry.to) {
            Some(repo) => append(repo, entry.node),
            None => problems.push(unknown(&entry, &keys)),
        }
    }
}

/// Takes `promote` off the top of the document.
fn at_the_top(document: &mut Node, problems: &mut Vec<Problem>) -> Vec<Moving> {
    let NodeValue::Map(sections) = &mut document.value else { return Vec::new() };
    let Some(at) = sections.iter().position(|entry| entry.key == "promote") else { return Vec::new() };
    let section = sections.remove(at);
    let mut moving = Vec::new();
    for (index, node) in items(section.node).into_iter().enumerate() {
        let path = format!("promote[{index}]");
        match text(&node, "to") {
            Some(to) => moving.push(Moving { to, path, node }),
            None => problems.push(Problem::new(
                node.origin,
                format!("{path}.to"),
                "required: the key of the repository that it goes to",
            )),
        }
    }
    moving
}

/// Takes entries that go elsewhere out of a repository; where they come from goes without saying.
fn at_the_source(repo: &mut Entry) -> Vec<Moving> {
    let key = repo.key.clone();
    let NodeValue::Map(fields) = &mut repo.node.value else { return Vec::new() };
    let Some(at) = fields.iter().position(|field| field.key == "promote") else { return Vec::new() };
    let goes = |node: &Node| {
        let from = text(node, "from");
        text(node, "to").filter(|to| *to != key && from.is_none_or(|from| from == key))
    };
    let origin = fields[at].origin;
    let (mut stay, mut moving) = (Vec::new(), Vec::new());
    let field = fields.remove(at);
    for (index, mut node) in items(field.node.clone()).into_iter().enumerate() {
        let Some(to) = goes(&node) else {
            stay.push(node);
            continue;
        };
        if let (None, NodeValue::Map(entries)) = (text(&node, "from"), &mut node.value) {
            entries.push(Entry { key: "from".into(), origin, node: Node::text(origin, &key) });
        }
        moving.push(Moving { to, path: format!("repos.{key}.promote[{index}]"), node });
    }
    if moving.is_empty() {
        fields.insert(at, field);
    } else if !stay.is_empty() {
        fields.insert(at, Entry { node: Node::list(origin, stay), ..field });
    }
    moving
}

/// A list's nodes, or the one that stands alone.
fn items(node: Node) -> Vec<Node> {
    match node.value {
        NodeValue::List(items) => items,
        NodeValue::Null => Vec::new(),
        NodeValue::Bool(_) | NodeValue::Number(_) | NodeValue::Text(_) | NodeValue::Map(_) => vec![node],
    }
}

fn text(node: &Node, key: &str) -> Option<String> {
    match &node.get(key)?.node.value {
        NodeValue::Text(text) => Some(text.clone()),
        NodeValue::Null | NodeValue::Bool(_) | NodeValue::Number(_) | NodeValue::List(_) | NodeValue::Map(_) => None,
    }
}

/// Adds an entry to a repository's `promote`.
fn append(repo: &mut Entry, node: Node) {
    let NodeValue::Map(fields) = &mut repo.node.value else { return };
    let Some(field) = fields.iter_mut().find(|field| field.key == "promote") else {
        let origin = node.origin;
        fields.push(Entry { key: "promote".into(), origin, node: Node::list(origin, [node]) });
        return;
    };
    let origin = field.origin;
    let mut all = items(std::mem::replace(&mut field.node, Node::list(origin, [])));
    all.push(node);
    field.node = Node::list(origin, all);
}

fn unknown(entry: &Moving, keys: &[String]) -> Problem {
    let origin: Origin = entry.node.origin_of("to");
    let message = format!("'{}' is no repository of this file", entry.to);
    let hint = did_you_mean(&entry.to, keys.iter().map(String::as_str));
    Problem::new(origin, format!("{}.to", entry.path), message).with_hint(hint)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::document::parse_yaml;
    use super::*;

    fn placed(text: &str) -> (serde_json::Value, Vec<String>) {
        let (mut document, mut problems) = (parse_yaml(text).unwrap(), Vec::new());
        place(&mut document, &mut problems);
        (document.to_json(), problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn wherever_an_entry_stands_it_ends_at_its_target() {
        let at_target = json!({ "repos": {
            "dev": { "kind": "hosted" },
            "prod": { "kind": "hosted", "promote": [{ "from": "dev", "to": "prod", "when": "v*" }] },
        } });
        let top =
            "promote: { from: dev, to: prod, when: 'v*' }\nrepos: { dev: { kind: hosted }, prod: { kind: hosted } }";
        let listed =
            "promote: [{ from: dev, to: prod, when: 'v*' }]\nrepos: { dev: { kind: hosted }, prod: { kind: hosted } }";
        for text in [top, listed] {
            assert_eq!(placed(text), (at_target.clone(), vec![]), "{text}");
        }
        let source =
            "repos: { dev: { kind: hosted, promote: { to: prod } }, prod: { kind: hosted, promote: [{ from: qa }] } }";
        let (document, problems) = placed(source);
        assert_eq!(problems, [] as [String; 0]);
        assert_eq!(document["repos"]["dev"], json!({ "kind": "hosted" }));
        assert_eq!(document["repos"]["prod"]["promote"], json!([{ "from": "qa" }, { "to": "prod", "from": "dev" }]));
    }

    #[test]
    fn what_says_nothing_of_elsewhere_stays_as_it_is() {
        for text in
            ["repos: { prod: { promote: { from: dev } } }", "repos: { prod: { promote: [{ from: dev, to: prod }] } }"]
        {
            let before = parse_yaml(text).unwrap().to_json();
            assert_eq!(placed(text), (before, vec![]), "{text}");
        }
    }

    #[test]
    fn a_target_that_is_not_there_is_a_problem_with_its_line() {
        let (_, problems) =
            placed("repos:\n  prod: { kind: hosted }\npromote:\n  - { from: dev, to: prd }\n  - { from: dev }");
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(
            problems
                .iter()
                .any(|p| p.contains("promote[0].to") && p.contains("'prd' is no repository") && p.contains("prod")),
            "{problems:?}"
        );
        assert!(problems.iter().any(|p| p.contains("promote[1].to") && p.contains("required")), "{problems:?}");
        assert_eq!(placed("promote: { from: a, to: b }").1.len(), 1);
    }
}
