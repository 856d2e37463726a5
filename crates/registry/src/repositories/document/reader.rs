//! Reads typed values out of one object of a document and collects what is wrong.
//!
//! Must not know what the fields mean. Invariant: a value that cannot be read leaves a problem with its path.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value};

use super::fields::names_in;
use super::{FieldProblem, Provenance};
use crate::repositories::spec::parse_duration;

/// Reads fields out of one object and collects what is wrong.
pub(super) struct Reader<'a> {
    object: &'a Map<String, Value>,
    provenance: Provenance,
    problems: Vec<FieldProblem>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(object: &'a Map<String, Value>, provenance: Provenance) -> Self {
        Self { object, provenance, problems: Vec::new() }
    }

    pub(super) fn has_problems(&self) -> bool {
        !self.problems.is_empty()
    }

    pub(super) fn into_problems(self) -> Vec<FieldProblem> {
        self.problems
    }

    pub(super) fn is_absent(&self, path: &str) -> bool {
        self.object.get(path).is_none_or(Value::is_null)
    }

    /// Whether the field is there and is exactly this text.
    pub(super) fn says(&self, path: &str, word: &str) -> bool {
        self.object.get(path).and_then(Value::as_str) == Some(word)
    }

    pub(super) fn problem(&mut self, path: &str, message: impl Into<String>) {
        self.problems.push(FieldProblem { path: path.to_owned(), message: message.into() });
    }

    pub(super) fn text(&mut self, path: &str) -> Option<String> {
        match self.object.get(path) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(_) => {
                self.problem(path, "must be a string");
                None
            }
        }
    }

    pub(super) fn flag(&mut self, path: &'static str) -> Option<bool> {
        match self.object.get(path) {
            None | Some(Value::Null) => None,
            Some(Value::Bool(flag)) => Some(*flag),
            Some(_) => {
                self.problem(path, "must be true or false");
                None
            }
        }
    }

    pub(super) fn parsed<T>(&mut self, path: &'static str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text(path)?;
        parse(&text).map_err(|message| self.problem(path, message)).ok()
    }

    pub(super) fn duration(&mut self, path: &'static str, default: Duration) -> Duration {
        self.parsed(path, parse_duration).unwrap_or(default)
    }

    pub(super) fn list<T>(&mut self, path: &'static str, parse: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        let items: Vec<Value> = match self.object.get(path) {
            None | Some(Value::Null) => return Vec::new(),
            Some(Value::Array(items)) => items.clone(),
            Some(single @ Value::String(_)) => vec![single.clone()],
            Some(_) => {
                self.problem(path, "must be a list of strings");
                return Vec::new();
            }
        };
        let mut parsed = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match item.as_str().ok_or_else(|| "must be a string".to_owned()).and_then(&parse) {
                Ok(value) => parsed.push(value),
                Err(message) => self.problem(&format!("{path}[{index}]"), message),
            }
        }
        parsed
    }

    /// Path of a local file: only the operator's own file may name one, for whoever may call the API is not thereby
    /// allowed to have files of this machine read.
    pub(super) fn file(&mut self, path: &'static str) -> Option<PathBuf> {
        let text = self.text(path)?;
        match self.provenance {
            Provenance::File if text.is_empty() => self.problem(path, "must be the path of a file"),
            Provenance::File => return Some(PathBuf::from(text)),
            Provenance::Api => {
                self.problem(path, "names a local file, which is possible only in the configuration file");
            }
        }
        None
    }

    /// Whether the document came over the API.
    pub(super) fn is_of_api(&self) -> bool {
        self.provenance == Provenance::Api
    }

    /// Refuses what would run a program: over the API, that would be a way to run anything on this machine.
    pub(super) fn refuses_programs(&mut self, path: &'static str) -> bool {
        if self.is_of_api() {
            self.problem(path, "runs a program of this machine, which is possible only in the configuration file");
        }
        self.is_of_api()
    }

    /// Name or path of a program.
    pub(super) fn program(&mut self, path: &'static str) -> Option<String> {
        let text = self.text(path)?;
        if self.refuses_programs(path) {
            return None;
        }
        if text.is_empty() {
            self.problem(path, "must be the name or path of a program");
            return None;
        }
        Some(text)
    }

    /// Reads the object at `name`, whose fields stand in the table as `name.field`.
    pub(super) fn section<T>(&mut self, name: &'static str, read: impl FnOnce(&mut Reader<'a>) -> T) -> Option<T> {
        let object = match self.object.get(name) {
            None | Some(Value::Null) => return None,
            Some(Value::Object(object)) => object,
            Some(_) => {
                self.problem(name, format!("must be an object with {}", names_in(name).join(", ")));
                return None;
            }
        };
        let mut inner = Reader::new(object, self.provenance);
        inner.unknown_fields(name);
        let value = read(&mut inner);
        let inner = inner.problems.into_iter();
        self.problems.extend(inner.map(|p| FieldProblem { path: format!("{name}.{}", p.path), ..p }));
        Some(value)
    }

    /// Reads an object that is an item of the list at `path`, as in `upstreams[1]`; `known` are its fields.
    pub(super) fn item<T>(
        &mut self,
        path: &str,
        object: &'a Map<String, Value>,
        known: &[&str],
        read: impl FnOnce(&mut Reader<'a>) -> T,
    ) -> T {
        let mut inner = Reader::new(object, self.provenance);
        inner.refuse_others(known);
        let value = read(&mut inner);
        let inner = inner.problems.into_iter();
        self.problems.extend(inner.map(|p| FieldProblem { path: format!("{path}.{}", p.path), ..p }));
        value
    }

    /// The object at `path`, whose keys are not fields; `message` when it is something else.
    pub(super) fn object_at(&mut self, path: &'static str, message: &str) -> Option<&'a Map<String, Value>> {
        match self.object.get(path) {
            None | Some(Value::Null) => None,
            Some(Value::Object(object)) => Some(object),
            Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
                self.problem(path, message);
                None
            }
        }
    }

    /// The value at `path` as written.
    pub(super) fn value(&self, path: &str) -> &'a Value {
        self.object.get(path).unwrap_or(&Value::Null)
    }

    /// Reports the fields that the table does not have under `section`.
    pub(super) fn unknown_fields(&mut self, section: &str) {
        let mut known = names_in(section);
        if section.is_empty() {
            known.insert(0, "key");
        }
        self.refuse_others(&known);
    }

    fn refuse_others(&mut self, known: &[&str]) {
        let strangers: Vec<String> =
            self.object.keys().filter(|name| !known.contains(&name.as_str())).cloned().collect();
        for name in strangers {
            self.problem(&name, format!("unknown field; known are {}", known.join(", ")));
        }
    }
}
