//! One key: 32 random bytes and a name that tells it from others.
//!
//! Must not know what it seals. Invariant: no `Debug`, `Display` or error shows a key; the name is a hash that does not
//! lead back to it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use oci::Digest;

/// Bytes of a key.
const KEY_LEN: usize = 32;

/// Characters of a key's name.
const ID_CHARS: usize = 12;

/// A key for sealing. Cheap to clone.
#[derive(Clone)]
pub struct SealingKey {
    id: Arc<str>,
    key: Arc<RandomizedNonceKey>,
}

/// Why a text is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key is 64 hexadecimal digits; make one with: openssl rand -hex 32")]
pub struct InvalidSealingKey;

impl SealingKey {
    /// The key made of these bytes.
    #[expect(clippy::missing_panics_doc, reason = "a key of the right length is never refused")]
    pub fn from_bytes(bytes: &[u8; KEY_LEN]) -> Self {
        let key = RandomizedNonceKey::new(&AES_256_GCM, bytes).expect("AES-256 takes 32 bytes");
        let mut named = b"transship sealing key name\0".to_vec();
        named.extend_from_slice(bytes);
        let id = Digest::sha256_of(&named).hex()[..ID_CHARS].into();
        Self { id, key: Arc::new(key) }
    }

    /// Its name: shown in errors, stored beside what it seals.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Nonce, ciphertext and tag in one.
    pub(super) fn seal(&self, bound_to: &str, text: &[u8]) -> Vec<u8> {
        let mut sealed = text.to_vec();
        let aad = Aad::from(bound_to.as_bytes());
        let nonce = self.key.seal_in_place_append_tag(aad, &mut sealed).expect("a document is below the 64 GiB limit");
        let mut whole = nonce.as_ref().to_vec();
        whole.append(&mut sealed);
        whole
    }

    /// The text, when the key and `bound_to` are those it was sealed with and no bit has changed.
    pub(super) fn open(&self, bound_to: &str, mut sealed: Vec<u8>) -> Option<Vec<u8>> {
        if sealed.len() < NONCE_LEN {
            return None;
        }
        let mut text = sealed.split_off(NONCE_LEN);
        let nonce = Nonce::try_assume_unique_for_key(&sealed).ok()?;
        let length = self.key.open_in_place(nonce, Aad::from(bound_to.as_bytes()), &mut text).ok()?.len();
        text.truncate(length);
        Some(text)
    }
}

/// Reads a key as it stands in key files and environment variables.
impl FromStr for SealingKey {
    type Err = InvalidSealingKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = hex::decode(text.trim()).map_err(|_| InvalidSealingKey)?;
        Ok(Self::from_bytes(bytes.as_slice().try_into().map_err(|_| InvalidSealingKey)?))
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SealingKey({})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sixty_four_hexadecimal_digits_are_a_key() {
        let text = "0123456789abcdef".repeat(4);
        let key: SealingKey = format!(" {text}\n").parse().unwrap();
        assert!(!format!("{key:?}").contains("0123456789abcdef"));
        for wrong in ["", "00", &text[..63], &format!("{text}00"), &text.replace('a', "g")] {
            assert!(wrong.parse::<SealingKey>().is_err());
        }
    }
}
