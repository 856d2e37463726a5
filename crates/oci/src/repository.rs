//! Repository names (distribution-spec "Pulling manifests", `<name>`).
//!
//! Must not know repo keys or hosts: a name is what follows them. Invariant: a `RepositoryName` matches
//! `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*` and has at most 255 characters, so it
//! has no empty, `.` or `..` segment and needs no percent-encoding.

use std::str::FromStr;
use std::sync::Arc;

use crate::limits::MAX_NAME_LEN;
use crate::newtype::{excerpt, text_newtype};

/// The name of a repository within a registry: `library/debian`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepositoryName(Arc<str>);

/// Why text is not a repository name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid repository name \"{value}\": {reason}")]
pub struct InvalidRepositoryName {
    value: String,
    reason: &'static str,
}

impl FromStr for RepositoryName {
    type Err = InvalidRepositoryName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match check(text) {
            Ok(()) => Ok(Self(text.into())),
            Err(reason) => Err(InvalidRepositoryName { value: excerpt(text), reason }),
        }
    }
}

impl RepositoryName {
    /// The path segments, at least one.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }
}

text_newtype!(RepositoryName);

fn check(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.len() > MAX_NAME_LEN {
        return Err("it is longer than 255 characters");
    }
    text.split('/').try_for_each(check_segment)
}

/// What the characters read so far end with; a segment may end only after a letter or digit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    Alphanumeric,
    Dot,
    Underscore,
    TwoUnderscores,
    Dashes,
}

fn check_segment(segment: &str) -> Result<(), &'static str> {
    const SEPARATORS: &str = "separators are one '.', one or two '_', or any number of '-', between letters or digits";
    let mut state = State::Start;
    for byte in segment.bytes() {
        state = match (state, byte) {
            (_, b'a'..=b'z' | b'0'..=b'9') => State::Alphanumeric,
            (State::Alphanumeric, b'.') => State::Dot,
            (State::Alphanumeric, b'_') => State::Underscore,
            (State::Underscore, b'_') => State::TwoUnderscores,
            (State::Alphanumeric | State::Dashes, b'-') => State::Dashes,
            (_, b'.' | b'_' | b'-') => return Err(SEPARATORS),
            _ => return Err("only a-z, 0-9, '.', '_', '-' and '/' are allowed"),
        };
    }
    match state {
        State::Alphanumeric => Ok(()),
        State::Start => Err("it has an empty path segment"),
        State::Dot | State::Underscore | State::TwoUnderscores | State::Dashes => Err(SEPARATORS),
    }
}
