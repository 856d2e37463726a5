//! Who may push. The one place that decides it: an account system replaces this file.
//!
//! Must not know how a credential is shown. Invariants: reading is open, as it is for repositories of kind `proxy`;
//! pushing is for whoever shows the admin token, and with `push: anyone` for callers on this machine; a wrong credential
//! is refused even where none is needed.

use std::fmt;

use super::error::HostedError;
use super::repository::HostedRepository;
use super::spec::PushPolicy;

/// What a request shows of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// The admin token.
    AdminToken,
    /// Nothing, from this machine.
    NothingFromHere,
    /// Nothing, from elsewhere.
    Nothing,
    /// Something that opens nothing.
    Wrong,
}

/// Who pushes. Upload sessions belong to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pusher {
    /// Whoever holds the admin token.
    Admin,
    /// A caller who showed nothing and needs nothing.
    Anyone,
}

impl Pusher {
    /// The word in rows and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Anyone => "anyone",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::Admin, Self::Anyone].into_iter().find(|pusher| pusher.as_str() == text)
    }
}

impl fmt::Display for Pusher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Decides whether a caller may push, and as whom.
pub(crate) fn authorize_push(repo: &HostedRepository, shown: Shown) -> Result<Pusher, HostedError> {
    match (shown, repo.spec().push) {
        (Shown::AdminToken, _) => Ok(Pusher::Admin),
        (Shown::NothingFromHere, PushPolicy::Anyone) => Ok(Pusher::Anyone),
        (Shown::Wrong | Shown::Nothing | Shown::NothingFromHere, _) => {
            Err(HostedError::Unauthorized { repo_key: repo.key().clone() })
        }
    }
}
