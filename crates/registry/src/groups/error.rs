//! Why a group refuses, or could not answer.
//!
//! Must not know status codes. Invariant: whoever reads the message knows which member it is about and what to do.

use std::sync::Arc;

use crate::error::PullError;

/// What was looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sought {
    /// A manifest.
    Manifest,
    /// A blob.
    Blob,
    /// The name itself.
    Name,
}

/// Why a group could not answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum GroupError {
    /// All who may be asked say that they do not have it.
    #[error("{what} is at no member of group '{group}': {asked}")]
    NobodyHas {
        /// The group.
        group: Arc<str>,
        /// What was looked for.
        sought: Sought,
        /// The same in words.
        what: Arc<str>,
        /// Who was asked.
        asked: Arc<str>,
    },
    /// A member failed, so nobody behind it was asked.
    #[error("member '{member}' of group '{group}' failed, and the members behind it do not stand in for it: {error}")]
    MemberFailed {
        /// The group.
        group: Arc<str>,
        /// The member.
        member: Arc<str>,
        /// What happened there.
        error: Box<PullError>,
    },
    /// A member is configured so that it cannot be asked.
    #[error(
        "member '{member}' of group '{group}' {why}; nothing is asked of the members behind it: correct the configuration"
    )]
    MemberUnusable {
        /// The group.
        group: Arc<str>,
        /// The member.
        member: Arc<str>,
        /// What is wrong with it.
        why: Arc<str>,
    },
    /// The group takes no pushes.
    #[error("group '{group}' takes no pushes: it has no push_to; push to one of its hosted members ({hosted})")]
    TakesNoPushes {
        /// The group.
        group: Arc<str>,
        /// The members that could be pushed to.
        hosted: Arc<str>,
    },
    /// What would be pushed could not be pulled again.
    #[error(
        "'{name}' is not pushed to member '{push_to}' of group '{group}': {why}, so that it could not be pulled here again; {hint}"
    )]
    KeptByAnother {
        /// The group.
        group: Arc<str>,
        /// The name.
        name: Arc<str>,
        /// The member that takes pushes.
        push_to: Arc<str>,
        /// Whose the name is.
        why: Arc<str>,
        /// What to do.
        hint: Arc<str>,
    },
}

impl GroupError {
    /// The failure of a member, if it is one.
    pub fn of_member(&self) -> Option<&PullError> {
        match self {
            Self::MemberFailed { error, .. } => Some(error),
            Self::NobodyHas { .. }
            | Self::MemberUnusable { .. }
            | Self::TakesNoPushes { .. }
            | Self::KeptByAnother { .. } => None,
        }
    }

    /// The member that it is about, if it is about one.
    pub fn member(&self) -> Option<&Arc<str>> {
        match self {
            Self::MemberFailed { member, .. } | Self::MemberUnusable { member, .. } => Some(member),
            Self::NobodyHas { .. } | Self::TakesNoPushes { .. } | Self::KeptByAnother { .. } => None,
        }
    }
}
