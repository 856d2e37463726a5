//! A group as resolved and checked.
//!
//! Must not know JSON (that is `repositories::document`), nor whether its members are there (that is
//! `repositories::memberships`). Invariant: every member that a rule names is one of `members`.

use std::net::SocketAddr;
use std::time::Duration;

use oci::{RegistryHost, RepoKey};
use serde_json::Value;

use super::rules::NameRules;

/// What happens to a name that a member has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NameKeeping {
    /// It keeps it: nobody else is asked for anything under that name.
    #[default]
    Kept,
    /// Each tag is the first member's that has it, whatever the others have under the name.
    Merged,
}

impl NameKeeping {
    /// Reads `kept` or `merged`.
    ///
    /// # Errors
    /// Says what is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "kept" => Ok(Self::Kept),
            "merged" => Ok(Self::Merged),
            other => Err(format!("'{other}' is not what happens to names; write kept or merged")),
        }
    }

    /// The word in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Merged => "merged",
        }
    }
}

/// One group.
#[derive(Clone, Debug)]
pub struct GroupSpec {
    /// Its key: the first path segment that addresses it.
    pub key: RepoKey,
    /// Its members in their order.
    pub members: Vec<RepoKey>,
    /// The member that takes pushes, as an index of `members`.
    pub push_to: Option<usize>,
    /// What happens to a name that a member has.
    pub names: NameKeeping,
    /// How long a name that a cache keeps is not looked for at the caches before it.
    pub name_ttl: Duration,
    /// Which members are asked for which names.
    pub rules: NameRules,
    /// Host names that address it alone.
    pub hosts: Vec<RegistryHost>,
    /// Listeners that address it alone.
    pub listen: Vec<SocketAddr>,
    /// The document as written: what is stored.
    pub document: Value,
}
