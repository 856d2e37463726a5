//! Token scopes: what a bearer token is asked for (distribution "Token Scope Documentation").
//!
//! Must not know tokens or who may have them. Invariant: a scope names one repository and at least one action, each
//! once and in a fixed order, so equal scopes have equal text (token caches use it as a key).

use std::fmt;
use std::str::FromStr;

use crate::limits::MAX_SCOPE_BYTES;
use crate::newtype::{excerpt, serde_as_text};
use crate::repository::RepositoryName;

/// What may be done with a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Read.
    Pull,
    /// Write.
    Push,
    /// Delete.
    Delete,
}

impl Action {
    /// The word in a scope.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Delete => "delete",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Pull, Self::Push, Self::Delete].into_iter().find(|action| action.as_str() == name)
    }
}

/// `repository:<name>:<action>[,<action>]`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    repository: RepositoryName,
    actions: Vec<Action>,
}

/// Why text is not a scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid scope \"{value}\": {reason}")]
pub struct InvalidScope {
    value: String,
    reason: &'static str,
}

impl Scope {
    /// The scope of reading one repository.
    pub fn pull(repository: RepositoryName) -> Self {
        Self { repository, actions: vec![Action::Pull] }
    }

    /// The repository it is about.
    pub fn repository(&self) -> &RepositoryName {
        &self.repository
    }

    /// The actions, sorted, each once.
    pub fn actions(&self) -> &[Action] {
        &self.actions
    }
}

impl FromStr for Scope {
    type Err = InvalidScope;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).map_err(|reason| InvalidScope { value: excerpt(text), reason })
    }
}

fn parse(text: &str) -> Result<Scope, &'static str> {
    const EXPECTED: &str = "expected repository:<name>:<actions>";
    if text.len() > MAX_SCOPE_BYTES {
        return Err("it is longer than 1 KiB");
    }
    let (name, actions) = text.strip_prefix("repository:").and_then(|rest| rest.rsplit_once(':')).ok_or(EXPECTED)?;
    let repository = name.parse().map_err(|_| "the repository name is invalid")?;
    let mut actions: Vec<Action> =
        actions.split(',').map(Action::from_name).collect::<Option<_>>().ok_or("unknown action")?;
    actions.sort_unstable();
    actions.dedup();
    Ok(Scope { repository, actions })
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "repository:{}:", self.repository)?;
        for (index, action) in self.actions.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(formatter, "{comma}{}", action.as_str())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

serde_as_text!(Scope);
