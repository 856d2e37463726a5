//! The configuration file: what holds when neither a flag nor a variable says otherwise, and what is known of registries.
//!
//! ```text
//! file ─ parse ─ check ─┬─ defaults ──▶ become the defaults of the flags of the same name
//!                       └─ registries ▶ asked by `settings` for each place that is contacted
//! ```
//!
//! Must not know commands. Invariants: every wrong field is reported at once, with its line; a secret stands in the file
//! sealed, or not at all.

mod change;
mod defaults;
mod field_path;
mod place;
mod private_file;
mod reference;
mod registries;
mod sealing;

use std::path::{Path, PathBuf};

use config_document::document::{Entry, MAX_FILE_BYTES, Node, NodeValue, parse_yaml};
use config_document::problem::{Origin, Problem, Problems};
use config_document::suggest::did_you_mean;

pub(crate) use change::{remove, set};
pub(crate) use defaults::Defaults;
pub(crate) use field_path::{FieldPath, built_in, registry_key};
pub(crate) use place::{Place, Why};
pub(crate) use private_file::publish;
pub(crate) use reference::reference;
pub(crate) use registries::{Login, Registries, SecretKind, host as registry_host, secret_place};
pub(crate) use sealing::{SealError, SealingKey};

/// The sections of the file.
const SECTIONS: [&str; 2] = ["defaults", "registries"];

/// What the file says.
#[derive(Debug, Default)]
pub(crate) struct Config {
    /// For flags that are not given.
    pub(crate) defaults: Defaults,
    /// For the places that are contacted.
    pub(crate) registries: Registries,
}

impl Config {
    /// Reads the file at this place; one that is not there says nothing.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(crate) fn load(place: &Place) -> Result<Self, Problems> {
        let Some(text) = read(place)? else { return Ok(Self::default()) };
        Self::parse(&text, place.file())
    }

    /// Reads its text. `file` is where the text is from.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(crate) fn parse(text: &str, file: &Path) -> Result<Self, Problems> {
        let all = |problems| Problems::new(Some(file.to_owned()), problems);
        let document = parse_yaml(text).map_err(|problem| all(vec![problem]))?;
        let mut problems = Vec::new();
        let config = check(&document, file, &mut problems);
        if problems.is_empty() { Ok(config) } else { Err(all(problems)) }
    }
}

/// The file's text; `None` when there is no file and none was named.
pub(crate) fn read(place: &Place) -> Result<Option<String>, Problems> {
    let file = place.file();
    let problem = |what: String| {
        let file: PathBuf = file.to_owned();
        Problems::new(Some(file), vec![Problem::new(Origin::Whole, "", what)])
    };
    let metadata = match std::fs::metadata(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && place.why != Why::Named => return Ok(None),
        Err(error) => return Err(problem(format!("cannot be read: {error}"))),
        Ok(metadata) => metadata,
    };
    if metadata.len() > MAX_FILE_BYTES {
        return Err(problem(format!("is larger than {MAX_FILE_BYTES} bytes")));
    }
    std::fs::read_to_string(file).map(Some).map_err(|error| problem(format!("cannot be read: {error}")))
}

fn check(document: &Node, file: &Path, problems: &mut Vec<Problem>) -> Config {
    let mut config = Config::default();
    for entry in entries(document, "", &SECTIONS, problems) {
        match entry.key.as_str() {
            "defaults" => config.defaults = Defaults::check(&entry.node, file, problems),
            "registries" => config.registries = Registries::check(&entry.node, file, problems),
            unknown => {
                let hint = if defaults::is_name(unknown) {
                    Some(format!("it belongs under `defaults`: defaults.{unknown}"))
                } else {
                    did_you_mean(unknown, SECTIONS)
                };
                problems.push(Problem::new(entry.origin, unknown, "unknown field").with_hint(hint));
            }
        }
    }
    config
}

/// The entries of a map; what is no map leaves a problem.
fn entries<'n>(node: &'n Node, path: &str, expected: &[&str], problems: &mut Vec<Problem>) -> &'n [Entry] {
    match &node.value {
        NodeValue::Map(entries) => entries,
        NodeValue::Null => &[],
        other @ (NodeValue::Bool(_) | NodeValue::Number(_) | NodeValue::Text(_) | NodeValue::List(_)) => {
            let names = expected.join(", ");
            let message = format!("must be a map ({names}), not {}", other.describe());
            problems.push(Problem::new(node.origin, path, message));
            &[]
        }
    }
}

#[cfg(test)]
mod tests;
