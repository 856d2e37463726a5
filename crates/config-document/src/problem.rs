//! What is wrong with a configuration, said so that a person can fix all of it in one go.
//!
//! Must not know how a problem was found. Invariant: a message never holds the value of a secret field or of an
//! interpolated variable.

use std::fmt;
use std::path::PathBuf;

/// Where a value was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A line of the configuration file, from 1.
    Line(u64),
    /// An environment variable.
    Env(&'static str),
    /// A command-line flag.
    Flag(&'static str),
    /// No single place: something is missing, or several values disagree.
    Whole,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Env(name) | Self::Flag(name) => f.write_str(name),
            Self::Whole => f.write_str("configuration"),
        }
    }
}

/// One thing wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it was written.
    pub origin: Origin,
    /// Path of the field: `repos.corp.auth.password`. Empty for the document itself.
    pub path: String,
    /// What is wrong and what to write.
    pub message: String,
    /// A guess at what was meant.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem without a hint.
    pub fn new(origin: Origin, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { origin, path: path.into(), message: message.into(), hint: None }
    }

    /// The same with a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// Everything wrong with a configuration, in the order of the file.
#[derive(Debug)]
pub struct Problems {
    file: Option<PathBuf>,
    problems: Vec<Problem>,
}

impl Problems {
    /// Sorts `problems` by place. `file` is the one that was read, if any.
    pub fn new(file: Option<PathBuf>, mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|a, b| a.origin.cmp(&b.origin).then_with(|| a.path.cmp(&b.path)));
        problems.dedup();
        Self { file, problems }
    }

    /// The problems themselves.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.problems.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.problems.len();
        let noun = if count == 1 { "problem" } else { "problems" };
        match &self.file {
            Some(file) => write!(f, "{count} {noun} in the configuration ({})", file.display())?,
            None => write!(f, "{count} {noun} in the configuration")?,
        }
        self.problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for Problems {}
