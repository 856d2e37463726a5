//! The lines of a text in YAML's block style, and which of them a field has.
//!
//! Must not know values. Invariant: lines that are not named in a change stay as they are; guesses are allowed, because
//! the result is read again and compared.

use std::ops::Range;

use config_document::document::{Entry, Node, NodeValue};
use config_document::problem::Origin;

/// The lines a field has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    /// The line of its key, from 0.
    pub(super) start: usize,
    /// The first line that is not its own any more.
    pub(super) end: usize,
    /// The column of its key.
    pub(super) indent: usize,
}

/// A text as lines.
pub(super) struct Lines {
    lines: Vec<String>,
    /// What ends each of them.
    ending: &'static str,
}

impl Lines {
    pub(super) fn of(text: &str) -> Self {
        let ending = if text.contains("\r\n") { "\r\n" } else { "\n" };
        Self { lines: text.lines().map(str::to_owned).collect(), ending }
    }

    pub(super) fn text(&self) -> String {
        self.lines.iter().flat_map(|line| [line.as_str(), self.ending]).collect()
    }

    /// The lines of the field at this path, if it is there.
    pub(super) fn field(&self, document: &Node, path: &[&str]) -> Option<Field> {
        let start = line_of(find(document, path)?)?;
        let indent = indent(self.lines.get(start)?);
        let is_within = |line: &str| {
            let dash = line.trim_start().starts_with("- ") && self::indent(line) == indent;
            is_blank(line) || self::indent(line) > indent || dash
        };
        let after = self.lines[start + 1..].iter().take_while(|line| is_within(line)).count();
        let own = &self.lines[start + 1..=start + after];
        // What is said between two fields belongs to the second one.
        let trailing = own.iter().rev().take_while(|line| is_blank(line)).count();
        Some(Field { start, end: start + 1 + after - trailing, indent })
    }

    /// The column of what is in the map at this path, when it has anything on lines of its own.
    pub(super) fn indent_of_children(&self, document: &Node, path: &[&str]) -> Option<usize> {
        let parent = find(document, path)?;
        let NodeValue::Map(children) = &parent.node.value else { return None };
        let line = line_of(children.first()?).filter(|line| Some(*line) != line_of(parent))?;
        self.lines.get(line).map(|line| indent(line))
    }

    /// What stands on a line up to the colon behind the key, and the comment behind a plain value.
    pub(super) fn around_value(&self, line: usize, key: &str) -> Option<(String, Option<String>)> {
        let line = self.lines.get(line)?;
        let start = indent(line);
        let written = [key.to_owned(), format!("\"{key}\""), format!("'{key}'")];
        let length = written.iter().find(|key| line[start..].starts_with(&format!("{key}:"))).map(String::len)?;
        let (before, after) = line.split_at(start + length + 1);
        let plain = !after.contains(['"', '\'']);
        let comment = after.find(" #").filter(|_| plain).map(|at| {
            let spaces = after[..at].len() - after[..at].trim_end().len();
            after[at - spaces..].to_owned()
        });
        Some((before.to_owned(), comment))
    }

    pub(super) fn replace(&mut self, lines: Range<usize>, new: Vec<String>) {
        self.lines.splice(lines, new);
    }

    pub(super) fn append(&mut self, new: Vec<String>) {
        self.lines.extend(new);
    }
}

fn find<'n>(document: &'n Node, path: &[&str]) -> Option<&'n Entry> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(document.get(first)?, |entry, key| entry.node.get(key))
}

fn line_of(entry: &Entry) -> Option<usize> {
    match entry.origin {
        Origin::Line(line) => usize::try_from(line).ok()?.checked_sub(1),
        Origin::Env(_) | Origin::Flag(_) | Origin::Whole => None,
    }
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

fn is_blank(line: &str) -> bool {
    let text = line.trim_start();
    text.is_empty() || text.starts_with('#')
}
