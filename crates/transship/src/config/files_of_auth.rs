//! The files that a repository's `auth` names are there and can be read: said at start, not at the first pull.
//!
//! Must not know what is in them. Invariant: nothing of a file's content is kept or quoted.

use std::path::Path;

use registry::FieldProblem;
use serde_json::Value;

/// Fields below `auth` that name files.
const FILES: [&str; 4] = ["password_file", "token_file", "docker_config", "google.key_file"];

/// What is wrong with the files of a repository's document.
pub(super) fn check(document: &Value) -> Vec<FieldProblem> {
    let mut problems = Vec::new();
    match document.get("auth") {
        Some(Value::Array(list)) => {
            for (index, entry) in list.iter().enumerate() {
                check_entry(&format!("auth[{index}]"), entry, &mut problems);
            }
        }
        Some(entry) => check_entry("auth", entry, &mut problems),
        None => {}
    }
    problems
}

fn check_entry(path: &str, entry: &Value, problems: &mut Vec<FieldProblem>) {
    for field in FILES {
        let pointer = format!("/{}", field.replace('.', "/"));
        let Some(file) = entry.pointer(&pointer).and_then(Value::as_str) else { continue };
        if let Err(message) = readable(Path::new(file)) {
            problems.push(FieldProblem { path: format!("{path}.{field}"), message });
        }
    }
}

fn readable(file: &Path) -> Result<(), String> {
    let content = std::fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    if content.trim_ascii().is_empty() {
        return Err(format!("{} is empty", file.display()));
    }
    Ok(())
}
