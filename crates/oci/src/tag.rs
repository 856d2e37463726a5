//! Tags (distribution-spec "Pulling manifests", `<reference>` as a tag).
//!
//! Must not know what a tag points to. Invariant: a `Tag` matches `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`, so it is never
//! a digest (no colon) nor `.` or `..`.

use std::str::FromStr;
use std::sync::Arc;

use crate::limits::MAX_TAG_LEN;
use crate::newtype::{excerpt, text_newtype};

/// A tag: `1.27-alpine`. Ordered by bytes, as `tags/list` must be.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(Arc<str>);

/// Why text is not a tag.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid tag \"{value}\": {reason}")]
pub struct InvalidTag {
    value: String,
    reason: &'static str,
}

impl FromStr for Tag {
    type Err = InvalidTag;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match check(text) {
            Ok(()) => Ok(Self(text.into())),
            Err(reason) => Err(InvalidTag { value: excerpt(text), reason }),
        }
    }
}

text_newtype!(Tag);

fn check(text: &str) -> Result<(), &'static str> {
    if text.len() > MAX_TAG_LEN {
        return Err("it is longer than 128 characters");
    }
    let first = text.bytes().next().ok_or("it is empty")?;
    if !(first.is_ascii_alphanumeric() || first == b'_') {
        return Err("it must start with a letter, a digit or '_'");
    }
    if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')) {
        return Err("only letters, digits, '.', '_' and '-' are allowed");
    }
    Ok(())
}
