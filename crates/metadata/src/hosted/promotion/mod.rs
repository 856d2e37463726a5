//! Promotions: a manifest with everything it leads to gets a second name, in one transaction.
//!
//! Must not know bytes, nor why a promotion is allowed: the rules were looked at before. Invariants: no bytes move, rows
//! do; a promotion is whole or not there; what it added is noted, so that it can be taken back, and nothing else is.

mod copy;
mod record;
mod revert;
mod walk;

use std::str::FromStr;

use oci::{Digest, MediaType, RepoKey, RepositoryName, Tag};

pub use copy::{Copied, NewPromotion, Rehearsal};
pub use record::{PromotionFilter, PromotionRow, Waiting};
pub use revert::{RevertRefused, Reverted};

/// Which promotion. Ids sort by the time they were given out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PromotionId(String);

/// Why a text is no id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id of a promotion has 1 to 64 letters, digits and '-'")]
pub struct InvalidPromotionId;

impl PromotionId {
    /// The text in paths and documents.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PromotionId {
    type Err = InvalidPromotionId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let good = (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if good { Ok(Self(text.to_owned())) } else { Err(InvalidPromotionId) }
    }
}

impl std::fmt::Display for PromotionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// How far a promotion is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromotionState {
    /// It is at its target.
    Done,
    /// A rule is not met yet, and may be.
    Waiting,
    /// It will not be made.
    Refused,
    /// It was taken back.
    Reverted,
}

/// The word of a state that nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a promotion is done, waiting, refused or reverted")]
pub struct InvalidPromotionState;

impl PromotionState {
    /// The word in rows and documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Waiting => "waiting",
            Self::Refused => "refused",
            Self::Reverted => "reverted",
        }
    }
}

impl FromStr for PromotionState {
    type Err = InvalidPromotionState;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Done, Self::Waiting, Self::Refused, Self::Reverted];
        all.into_iter().find(|state| state.as_str() == text).ok_or(InvalidPromotionState)
    }
}

/// A tag that a promotion moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromotedTag {
    /// The tag.
    pub tag: Tag,
    /// Where it points.
    pub digest: Digest,
    /// Where it pointed.
    pub previous: Option<Digest>,
}

/// Why a promotion is not made. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PromotionRefused {
    /// The source does not have it.
    #[error("{digest} is not there to be promoted")]
    NotThere {
        /// The manifest.
        digest: Digest,
    },
    /// The source does not have all that it needs.
    #[error("{digest}, which {manifest} needs, is not at the source any more; push the image there again")]
    Incomplete {
        /// What is missing.
        digest: Digest,
        /// What lists it.
        manifest: Digest,
    },
    /// It leads to more than is looked at.
    #[error("it leads to more than {limit} manifests, which is the most that one promotion takes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// The target has the same bytes as another type.
    #[error("the target has {digest} as {stored} and cannot take it as another type")]
    OtherType {
        /// The manifest.
        digest: Digest,
        /// Its type there.
        stored: MediaType,
    },
    /// The tag at the target never moves.
    #[error("tag '{tag}' at the target is immutable and points to {current}")]
    Immutable {
        /// The tag.
        tag: Tag,
        /// Where it points.
        current: Digest,
    },
    /// The tag at the target is a channel, which leads to released versions only.
    #[error("'{tag}' at the target is a channel: it is set to a version that is there, and not promoted to")]
    Channel {
        /// The tag.
        tag: Tag,
    },
}

/// A name in a hosted repository.
type Place<'a> = (&'a RepoKey, &'a RepositoryName);
