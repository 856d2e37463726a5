//! Upload sessions' names (distribution-spec "Pushing blobs": the session id in a `Location`).
//!
//! Must not know sessions. Invariant: an id has one spelling, 36 lowercase characters as in RFC 9562, so it is safe as a
//! file name and two texts never name one session.

use std::str::FromStr;
use std::sync::Arc;

use crate::newtype::{excerpt, text_newtype};

/// The id of an upload session. Whoever makes one takes a random UUID: it must not be guessed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UploadId(Arc<str>);

/// Why text is not an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid upload id \"{value}\": expected a lowercase UUID")]
pub struct InvalidUploadId {
    value: String,
}

/// How many hexadecimal digits stand between the dashes.
const GROUPS: [usize; 5] = [8, 4, 4, 4, 12];

impl FromStr for UploadId {
    type Err = InvalidUploadId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = |group: &str| group.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let is_id = text.len() == 36 && text.split('-').map(str::len).eq(GROUPS) && text.split('-').all(digits);
        if is_id { Ok(Self(text.into())) } else { Err(InvalidUploadId { value: excerpt(text) }) }
    }
}

text_newtype!(UploadId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let id = "0b8e7c1a-0123-4567-89ab-cdef01234567";
        assert_eq!(id.parse::<UploadId>().unwrap().as_str(), id);
        for other in [
            "",
            "0b8e",
            "0B8E7C1A-0123-4567-89AB-CDEF01234567",
            "0b8e7c1a01234567 89abcdef01234567",
            "{0b8e7c1a-0123-4567-89ab-cdef0123456",
            "0b8e7c1a-0123-4567-89ab-cdef0123456g",
            "0b8e7c1-a0123-4567-89ab-cdef01234567",
            "../../etc/passwd-0000-0000-00000000000",
        ] {
            assert!(other.parse::<UploadId>().is_err(), "{other}");
        }
    }
}
