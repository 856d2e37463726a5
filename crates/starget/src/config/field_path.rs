//! The path of a field as people type it: `defaults.concurrency` (or `concurrency`), `registries.ghcr.io.insecure`.
//!
//! Must not know the file's text. Invariant: a path that was read names a field that may be there.

use config_document::document::{Node, NodeValue};
use config_document::suggest::did_you_mean;
use serde_json::Value;

use super::defaults::{self, NAMES};
use super::registries::{self, FIELDS, Kind};

/// One field of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FieldPath {
    /// `defaults.<name>`.
    Default(&'static str),
    /// `registries.<host>.<field>`.
    Registry {
        /// The registry, by its common name.
        host: String,
        /// The field below it.
        field: &'static str,
    },
}

impl FieldPath {
    /// All paths there are, with these registries.
    pub(crate) fn all(hosts: &[String]) -> Vec<String> {
        let fields =
            |host: &String| FIELDS.iter().map(|field| format!("registries.{host}.{}", field.path)).collect::<Vec<_>>();
        NAMES.iter().map(|name| (*name).to_owned()).chain(hosts.iter().flat_map(fields)).collect()
    }

    /// Reads what was typed.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let name = text.strip_prefix("defaults.").unwrap_or(text);
        if let Some(name) = NAMES.into_iter().find(|known| *known == name) {
            return Ok(Self::Default(name));
        }
        if let Some((host, field)) = registries::split(text) {
            return Ok(Self::Registry { host: registries::host(&host)?, field: field.path });
        }
        let hint = if text.starts_with("registries.") {
            let fields: Vec<&str> = FIELDS.iter().map(|field| field.path).collect();
            format!("behind the host stands one of {}", fields.join(", "))
        } else {
            did_you_mean(name, NAMES).unwrap_or_else(|| "`starget config reference` lists all of them".to_owned())
        };
        Err(format!("there is no field '{text}'; {hint}"))
    }

    /// The keys that lead to it in a document, where a registry may stand under another of its names.
    pub(crate) fn keys(&self, document: &Node) -> Vec<String> {
        match self {
            Self::Default(name) => vec!["defaults".to_owned(), (*name).to_owned()],
            Self::Registry { host, field } => {
                let key = registry_key(document, host);
                let parts = field.split('.').map(str::to_owned);
                ["registries".to_owned(), key].into_iter().chain(parts).collect()
            }
        }
    }

    /// Whether a secret stands in it.
    pub(crate) fn is_secret(&self) -> bool {
        self.kind() == Some(Kind::Sealed)
    }

    /// The words as the file has them: numbers and switches are no texts.
    pub(crate) fn value(&self, words: &[String]) -> Value {
        let is_list = self.kind() == Some(Kind::Urls) || matches!(self, Self::Default("mirrors"));
        match words {
            [word] if !is_list => of_word(word, self.kind()),
            words => words.iter().map(|word| Value::from(word.as_str())).collect(),
        }
    }

    fn kind(&self) -> Option<Kind> {
        let Self::Registry { field, .. } = self else { return None };
        FIELDS.iter().find(|known| known.path == *field).map(|known| known.kind)
    }
}

impl std::fmt::Display for FieldPath {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default(name) => write!(formatter, "defaults.{name}"),
            Self::Registry { host, field } => write!(formatter, "registries.{host}.{field}"),
        }
    }
}

/// The key under which a registry stands in the document, or its name when it does not.
pub(crate) fn registry_key(document: &Node, host: &str) -> String {
    let written = document.get("registries").and_then(|entry| match &entry.node.value {
        NodeValue::Map(entries) => {
            entries.iter().map(|entry| &entry.key).find(|key| registries::host(key).as_deref() == Ok(host))
        }
        _ => None,
    });
    written.cloned().unwrap_or_else(|| host.to_owned())
}

fn of_word(word: &str, kind: Option<Kind>) -> Value {
    let is_text = matches!(kind, Some(Kind::Text | Kind::Path | Kind::Choice(_)));
    match word {
        _ if is_text => Value::from(word),
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => word.parse::<u64>().map_or_else(|_| Value::from(word), Value::from),
    }
}

/// What a default is without the file, as far as the flag has one.
pub(crate) fn built_in(name: &str) -> Option<String> {
    let command = <crate::args::Args as clap::CommandFactory>::command();
    let argument = defaults::argument(&command, name);
    let values: Vec<String> =
        argument.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
    let is_switch = matches!(argument.get_action(), clap::ArgAction::SetTrue);
    match values.is_empty() {
        true if is_switch => Some("false".to_owned()),
        true => None,
        false => Some(values.join(",")),
    }
}
