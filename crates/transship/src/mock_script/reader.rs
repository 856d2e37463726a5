//! Reads typed values out of one object of a script and collects what is wrong.
//!
//! Must not know what the fields mean. Invariant: a value that cannot be read leaves a problem with its path.

use std::time::Duration;

use serde_json::Value;

use crate::config::suggest::did_you_mean;

/// Path, message, hint.
pub(super) type Found = (String, String, Option<String>);

/// One value of the script and where it stands.
pub(super) struct Reader<'a> {
    value: &'a Value,
    path: String,
    problems: &'a mut Vec<Found>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(value: &'a Value, path: impl Into<String>, problems: &'a mut Vec<Found>) -> Self {
        Self { value, path: path.into(), problems }
    }

    fn below(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    pub(super) fn problem(&mut self, name: &str, message: impl Into<String>) {
        let path = self.below(name);
        self.problems.push((path, message.into(), None));
    }

    /// A word that is none of the known ones.
    pub(super) fn strange<'k>(&mut self, name: &str, word: &str, known: impl Iterator<Item = &'k str> + Clone) {
        let (path, hint) = (self.below(name), did_you_mean(word, known.clone()));
        let known = known.collect::<Vec<_>>().join(", ");
        self.problems.push((path, format!("'{word}' is not known; known are {known}"), hint));
    }

    /// Reports the fields that are not `known`.
    pub(super) fn only(&mut self, known: &[&str]) {
        let Some(object) = self.value.as_object() else {
            let path = self.path.clone();
            self.problems.push((path, format!("must be a map with {}", known.join(", ")), None));
            return;
        };
        for name in object.keys().filter(|name| !known.contains(&name.as_str())) {
            self.strange(name, name, known.iter().copied());
        }
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.value.as_object().into_iter().flat_map(serde_json::Map::keys).cloned().collect()
    }

    pub(super) fn get(&self, name: &str) -> &'a Value {
        self.value.get(name).unwrap_or(&Value::Null)
    }

    /// The text of a field that may also be something else.
    pub(super) fn text_of(&self, name: &str) -> Option<String> {
        self.get(name).as_str().map(str::to_owned)
    }

    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        match self.get(name) {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                self.problem(name, "must be a text");
                None
            }
        }
    }

    pub(super) fn parsed<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text(name)?;
        parse(&text).map_err(|message| self.problem(name, message)).ok()
    }

    pub(super) fn duration(&mut self, name: &str) -> Option<Duration> {
        self.parsed(name, registry::parse_duration)
    }

    pub(super) fn number(&mut self, name: &str) -> Option<u64> {
        match self.get(name) {
            Value::Null => None,
            value => value.as_u64().or_else(|| {
                self.problem(name, "must be a whole number");
                None
            }),
        }
    }

    /// A number from 0 to 1.
    pub(super) fn part(&mut self, name: &str) -> Option<f64> {
        match self.get(name) {
            Value::Null => None,
            value => value.as_f64().filter(|part| (0.0..=1.0).contains(part)).or_else(|| {
                self.problem(name, "must be a number from 0 to 1");
                None
            }),
        }
    }

    pub(super) fn section<T>(&mut self, name: &str, read: impl FnOnce(&mut Reader<'_>) -> T) -> Option<T> {
        let (value, path) = (self.get(name), self.below(name));
        (!value.is_null()).then(|| read(&mut Reader { value, path, problems: &mut *self.problems }))
    }

    pub(super) fn each<T>(&mut self, name: &str, read: impl Fn(&mut Reader<'_>) -> T) -> Vec<T> {
        let path = self.below(name);
        match self.get(name) {
            Value::Null => Vec::new(),
            Value::Array(items) => items
                .iter()
                .enumerate()
                .map(|(at, value)| {
                    read(&mut Reader { value, path: format!("{path}[{at}]"), problems: &mut *self.problems })
                })
                .collect(),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                self.problem(name, "must be a list");
                Vec::new()
            }
        }
    }
}
