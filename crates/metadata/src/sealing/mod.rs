//! Sealing: repository documents hold upstream credentials, so they lie in the database encrypted.
//!
//! AES-256-GCM with a random nonce; the repository's key is bound in as additional data, so a document cannot be moved
//! to another row. Must not know where keys come from, nor what a document says. Invariant: whatever is written is
//! sealed with the current key; a text that does not open under a known key is an error, never taken as a document.

mod key;
mod keyring;

pub use key::{InvalidSealingKey, SealingKey};
pub use keyring::SealingKeys;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// What a sealed text begins with; a JSON document cannot.
const MARK: &str = "sealed:v1:";

/// Why a stored text could not be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unopened {
    /// It is sealed with a key that is not here.
    UnknownKey(String),
    /// It was changed, or belongs to another row.
    Damaged,
}

/// How a stored text was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// With the current key.
    Current,
    /// With a former key, or in the clear by a version that did not seal.
    Outdated,
}

impl SealingKeys {
    /// Seals `text` for the row `row`.
    pub(crate) fn seal(&self, row: &str, text: &str) -> String {
        let key = self.current();
        let sealed = STANDARD_NO_PAD.encode(key.seal(&bound_to(row), text.as_bytes()));
        format!("{MARK}{}:{sealed}", key.id())
    }

    /// Opens what was stored for the row `row`. A text without our mark is from before documents were sealed.
    pub(crate) fn open(&self, row: &str, stored: &str) -> Result<(String, Kept), Unopened> {
        let Some(rest) = stored.strip_prefix(MARK) else { return Ok((stored.to_owned(), Kept::Outdated)) };
        let (id, sealed) = rest.split_once(':').ok_or(Unopened::Damaged)?;
        let key = self.find(id).ok_or_else(|| Unopened::UnknownKey(id.to_owned()))?;
        let sealed = STANDARD_NO_PAD.decode(sealed).map_err(|_| Unopened::Damaged)?;
        let text = key.open(&bound_to(row), sealed).ok_or(Unopened::Damaged)?;
        let kept = if id == self.current().id() { Kept::Current } else { Kept::Outdated };
        Ok((String::from_utf8(text).map_err(|_| Unopened::Damaged)?, kept))
    }
}

/// The additional data: which table and row a text is for.
fn bound_to(row: &str) -> String {
    format!("transship repositories {row}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> SealingKey {
        SealingKey::from_bytes(&[byte; 32])
    }

    #[test]
    fn what_is_sealed_opens_for_its_row_and_its_key_only() {
        let keys = SealingKeys::new(key(1), vec![]);
        let sealed = keys.seal("corp", "canary");
        assert!(sealed.starts_with(MARK) && !sealed.contains("canary"));
        assert_ne!(sealed, keys.seal("corp", "canary"), "a nonce is never used twice");
        assert_eq!(keys.open("corp", &sealed), Ok(("canary".to_owned(), Kept::Current)));
        assert_eq!(keys.open("other", &sealed), Err(Unopened::Damaged));
        let stranger = SealingKeys::new(key(2), vec![]);
        assert_eq!(stranger.open("corp", &sealed), Err(Unopened::UnknownKey(key(1).id().to_owned())));
        let rotated = SealingKeys::new(key(2), vec![key(1)]);
        assert_eq!(rotated.open("corp", &sealed), Ok(("canary".to_owned(), Kept::Outdated)));
        assert_eq!(keys.open("corp", "{}"), Ok(("{}".to_owned(), Kept::Outdated)));
    }

    #[test]
    fn any_changed_character_is_noticed() {
        let keys = SealingKeys::new(key(1), vec![]);
        let sealed = keys.seal("corp", "canary");
        for at in MARK.len()..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(keys.open("corp", &changed).is_err(), "character {at}");
        }
        for short in [MARK, "sealed:v1:x", "sealed:v1:x:", &sealed[..sealed.len() - 30]] {
            assert!(keys.open("corp", short).is_err(), "{short}");
        }
    }
}
