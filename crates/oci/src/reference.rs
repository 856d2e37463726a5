//! References: how a manifest is asked for, by tag or by digest (distribution-spec "Pulling manifests").
//!
//! Must not know how a reference is resolved. Invariant: text with a colon is a digest or nothing, text without one is a
//! tag or nothing, so no text reads as both.

use std::fmt;
use std::str::FromStr;

use crate::digest::{Digest, InvalidDigest};
use crate::newtype::serde_as_text;
use crate::tag::{InvalidTag, Tag};

/// A tag or a digest.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference {
    /// A name that can move.
    Tag(Tag),
    /// The name of exactly these bytes.
    Digest(Digest),
}

/// Why text is not a reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReference {
    /// It has a colon but is not a digest.
    #[error(transparent)]
    Digest(#[from] InvalidDigest),
    /// It has no colon but is not a tag.
    #[error(transparent)]
    Tag(#[from] InvalidTag),
}

impl Reference {
    /// The digest, when asked by digest.
    pub fn digest(&self) -> Option<&Digest> {
        match self {
            Self::Digest(digest) => Some(digest),
            Self::Tag(_) => None,
        }
    }

    /// The tag, when asked by tag.
    pub fn tag(&self) -> Option<&Tag> {
        match self {
            Self::Tag(tag) => Some(tag),
            Self::Digest(_) => None,
        }
    }
}

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains(':') { Ok(Self::Digest(text.parse()?)) } else { Ok(Self::Tag(text.parse()?)) }
    }
}

impl From<Tag> for Reference {
    fn from(tag: Tag) -> Self {
        Self::Tag(tag)
    }
}

impl From<Digest> for Reference {
    fn from(digest: Digest) -> Self {
        Self::Digest(digest)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => fmt::Display::fmt(tag, formatter),
            Self::Digest(digest) => fmt::Display::fmt(digest, formatter),
        }
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

serde_as_text!(Reference);
