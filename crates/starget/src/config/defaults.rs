//! The section `defaults`: options by the names of their flags, with `_` for `-`.
//!
//! A value is checked by the flag's own reader and becomes the flag's default, so that flags and variables win over it and
//! `--help` shows it. Must not know what any option means. Invariant: a value that is wrong has left a problem and
//! is not among the defaults.

use std::error::Error as _;
use std::path::Path;

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgAction, Command, CommandFactory};
use config_document::document::{Entry, Node, NodeValue};
use config_document::problem::Problem;
use config_document::suggest::did_you_mean;

use super::place::absolute;
use super::registries::{self, scalar};
use crate::args::Args;

/// The options that may have a default of the user's. Those that change what is trusted for all registries alike are not
/// among them: `skip_verify` is typed each time, `insecure` and `plain_http` belong to one registry.
pub(crate) const NAMES: [&str; 18] = [
    "concurrency",
    "max_retries",
    "retry_base_ms",
    "retry_max_ms",
    "requests_per_second",
    "bytes_per_second",
    "tail",
    "platform",
    "mirrors",
    "mirror_form",
    "ca",
    "allow_full_layers",
    "no_progress",
    "stats",
    "cache_dir",
    "cache_size",
    "no_cache",
    "state_dir",
];

/// Those of them that are paths.
const PATHS: [&str; 3] = ["ca", "cache_dir", "state_dir"];

/// Options with the values that the file gives them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Defaults(Vec<(&'static str, Vec<String>)>);

impl Defaults {
    /// The good values of the section.
    pub(super) fn check(node: &Node, file: &Path, problems: &mut Vec<Problem>) -> Self {
        let command = Args::command();
        let mut defaults = Vec::new();
        for entry in super::entries(node, "defaults", &NAMES, problems) {
            let path = format!("defaults.{}", entry.key);
            let Some(name) = NAMES.into_iter().find(|name| *name == entry.key) else {
                problems.push(Problem::new(entry.origin, path, "unknown field").with_hint(hint(entry)));
                continue;
            };
            match values(&argument(&command, name), &entry.node) {
                Ok(values) if values.is_empty() => {}
                Ok(values) if PATHS.contains(&name) => {
                    defaults.push((name, values.iter().map(|path| absolute(path, file)).collect()));
                }
                Ok(values) => defaults.push((name, values)),
                Err(message) => problems.push(Problem::new(entry.origin, path, message)),
            }
        }
        Self(defaults)
    }

    /// The command line with these values in place of its own defaults.
    pub(crate) fn apply(&self, command: Command) -> Command {
        self.0.iter().fold(command, |command, (name, values)| {
            command.mut_arg(*name, |argument| argument.default_values(values.clone()))
        })
    }

    /// Whether the file gives this option a value.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| *known == name)
    }
}

/// Whether an option of this name may stand in the section.
pub(super) fn is_name(word: &str) -> bool {
    NAMES.contains(&word)
}

/// The flag of this name.
pub(crate) fn argument(command: &Command, name: &str) -> Arg {
    let found = command.get_arguments().find(|argument| argument.get_id() == name);
    found.cloned().unwrap_or_else(|| Arg::new(name.to_owned()).long(name.replace('_', "-")))
}

fn hint(entry: &Entry) -> Option<String> {
    let key = entry.key.as_str();
    if registries::is_field(key) {
        return Some(format!("it belongs to one registry: registries.<host>.{key}"));
    }
    match key {
        "skip_verify" => Some("verification is switched off with --skip-verify, each time".to_owned()),
        "mirror" => Some("did you mean 'mirrors'?".to_owned()),
        _ => did_you_mean(key, NAMES),
    }
}

/// What is written, as the flag takes it.
fn values(argument: &Arg, node: &Node) -> Result<Vec<String>, String> {
    if matches!(argument.get_action(), ArgAction::SetTrue) {
        return match &node.value {
            NodeValue::Bool(on) => Ok(vec![on.to_string()]),
            NodeValue::Null => Ok(Vec::new()),
            other => Err(format!("must be true or false, not {}", other.describe())),
        };
    }
    let values = match &node.value {
        NodeValue::Null => Vec::new(),
        NodeValue::List(items) if matches!(argument.get_action(), ArgAction::Append) => {
            items.iter().map(scalar).collect::<Result<_, _>>()?
        }
        _ => vec![scalar(node)?],
    };
    if argument.get_id() == "mirrors" {
        values.iter().try_for_each(|value| registries::mirror(value).map(drop))?;
    }
    values.iter().try_for_each(|value| read(argument, value))?;
    Ok(values)
}

/// Has the flag read the value.
fn read(argument: &Arg, value: &str) -> Result<(), String> {
    let long = argument.get_long().unwrap_or_default();
    let probe =
        Command::new("probe").arg(argument.clone()).try_get_matches_from(["probe", &format!("--{long}={value}")]);
    let Err(error) = probe else { return Ok(()) };
    let words = match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(words)) if !words.is_empty() => Some(words.join(" or ")),
        _ => None,
    };
    Err(match (words, error.source()) {
        (Some(words), _) => format!("must be {words}, not '{value}'"),
        (None, Some(cause)) => format!("'{value}' is not usable: {cause}"),
        (None, None) => format!("'{value}' is not usable"),
    })
}
