//! `${NAME}` and `${NAME:-default}` inside the texts of a configuration file.
//!
//! Runs after YAML is read, so a variable's value can never add keys or lines. Keys are left alone, and so is a `$`
//! that opens no brace; `$${` writes a literal `${`. Invariant: a replaced text remembers what was written, and the
//! value of a variable never stands in a message.

use super::document::{Node, NodeValue};
use super::env_vars::Environment;
use super::problem::Problem;

/// Replaces variables in every text under `node`; what cannot be replaced is added to `problems`.
pub(crate) fn interpolate(node: &mut Node, path: &str, environment: &Environment, problems: &mut Vec<Problem>) {
    match &mut node.value {
        NodeValue::Null | NodeValue::Bool(_) | NodeValue::Number(_) => {}
        NodeValue::Text(text) => match expand(text, environment) {
            Ok(None) => {}
            Ok(Some(expanded)) => node.written = Some(std::mem::replace(text, expanded)),
            Err(message) => problems.push(Problem::new(node.origin, path, message)),
        },
        NodeValue::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                interpolate(item, &format!("{path}[{index}]"), environment, problems);
            }
        }
        NodeValue::Map(entries) => {
            for entry in entries {
                let path = if path.is_empty() { entry.key.clone() } else { format!("{path}.{}", entry.key) };
                interpolate(&mut entry.node, &path, environment, problems);
            }
        }
    }
}

/// The text with its variables replaced; `None` when it holds none.
fn expand(text: &str, environment: &Environment) -> Result<Option<String>, String> {
    if !text.contains("${") {
        return Ok(None);
    }
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            expanded.push_str(&rest[..at - 1]);
            expanded.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        expanded.push_str(&rest[..at]);
        let (inside, after) =
            rest[at + 2..].split_once('}').ok_or("'${' is never closed; write $${ for a literal ${")?;
        expanded.push_str(&variable(inside, environment)?);
        rest = after;
    }
    expanded.push_str(rest);
    Ok(Some(expanded))
}

fn variable(inside: &str, environment: &Environment) -> Result<String, String> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    if !is_name(name) {
        return Err(format!("'${{{name}}}' is not a variable; write ${{NAME}} or ${{NAME:-default}}"));
    }
    match (environment.get(name), default) {
        (Some(value), _) => Ok(value.to_owned()),
        (None, Some(default)) => Ok(default.to_owned()),
        (None, None) => {
            Err(format!("the environment variable {name} is not set or empty; set it or write ${{{name}:-default}}"))
        }
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::document::parse_yaml;

    fn environment() -> Environment {
        Environment::from_pairs([("USER_NAME", "ci"), ("EMPTY", ""), ("YAML", "x: [1, 2]\ny: z")])
    }

    #[test]
    fn variables_defaults_and_escapes() {
        let table = [
            ("${USER_NAME}", Some("ci")),
            ("a-${USER_NAME}-${USER_NAME}", Some("a-ci-ci")),
            ("${MISSING:-fallback}", Some("fallback")),
            ("${MISSING:-}", Some("")),
            ("${EMPTY:-unused when empty counts as unset}", Some("unused when empty counts as unset")),
            ("$${USER_NAME}", Some("${USER_NAME}")),
            ("pa$$word$", None),
            ("$USER_NAME", None),
        ];
        for (text, expected) in table {
            assert_eq!(expand(text, &environment()).unwrap().as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_replaced_is_named_with_its_path_and_line() {
        let mut node = parse_yaml(
            "ok: ${USER_NAME}\nrepos:\n  corp:\n    auth: {password: '${CORP_PASSWORD}'}\nl: ['${', '${a b}']\n",
        )
        .unwrap();
        let mut problems = Vec::new();
        interpolate(&mut node, "", &environment(), &mut problems);
        let found: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(
            found[0].starts_with(
                "line 4: repos.corp.auth.password: the environment variable CORP_PASSWORD is not set or empty"
            ),
            "{found:?}"
        );
        assert!(found[1].starts_with("line 5: l[0]: '${' is never closed"), "{found:?}");
        assert!(found[2].starts_with("line 5: l[1]: '${a b}' is not a variable"), "{found:?}");
    }

    #[test]
    fn a_value_cannot_become_structure_and_keys_are_left_alone() {
        let mut node = parse_yaml("a: ${YAML}\n${USER_NAME}: 1\n").unwrap();
        interpolate(&mut node, "", &environment(), &mut Vec::new());
        assert_eq!(node.to_json(), serde_json::json!({"a": "x: [1, 2]\ny: z", "${USER_NAME}": 1}));
    }
}
