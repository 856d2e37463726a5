//! Repo keys: our word for the name of one configured repository (`dockerhub`), the first path segment after `/v2/`.
//!
//! Must not know what is configured. Invariant: a key is a valid first segment of a repository name and is never a
//! `RegistryHost`: it has no `.` and no `:` and is not `localhost`. So a first segment means one thing only.

use std::str::FromStr;
use std::sync::Arc;

use crate::limits::MAX_REPO_KEY_LEN;
use crate::newtype::{excerpt, text_newtype};

/// The key of a configured repository: `[a-z0-9]+([_-][a-z0-9]+)*`, at most 64 characters, none of the words the
/// server's own paths use.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoKey(Arc<str>);

/// Why text is not a repo key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid repository key \"{value}\": {reason}")]
pub struct InvalidRepoKey {
    value: String,
    reason: &'static str,
}

/// First segments that mean something else. `_catalog` cannot pass the grammar; it stands here for the reader.
const RESERVED: [&str; 8] = ["v2", "api", "token", "ui", "metrics", "healthz", "readyz", "_catalog"];

impl FromStr for RepoKey {
    type Err = InvalidRepoKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match check(text) {
            Ok(()) => Ok(Self(text.into())),
            Err(reason) => Err(InvalidRepoKey { value: excerpt(text), reason }),
        }
    }
}

text_newtype!(RepoKey);

fn check(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.len() > MAX_REPO_KEY_LEN {
        return Err("it is longer than 64 characters");
    }
    if RESERVED.contains(&text) {
        return Err("it is reserved for the server's own paths");
    }
    if text.contains(['.', ':']) || text == "localhost" {
        return Err("it would read as a registry host; use no '.' or ':', and not \"localhost\"");
    }
    if !text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-')) {
        return Err("only a-z, 0-9, '_' and '-' are allowed");
    }
    if text.split(['_', '-']).any(str::is_empty) {
        return Err("'_' and '-' must stand alone between letters or digits");
    }
    Ok(())
}
