//! Secrets at rest: AES-256-GCM, each bound to the registry and field it belongs to.
//!
//! The key is in `secrets.key` beside the configuration, or in a variable. A copy of the configuration alone, in a backup or a
//! repository of dotfiles, gives nothing away; who can read the key's file too can read the secrets. Must not know
//! what the secrets are for. Invariants: a secret sealed for one place does not open at another; no error or `Debug` shows
//! a key or a secret.

use std::fmt;
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use client::Secret;
use oci::Digest;

use super::private_file;
use crate::error::StargetError;

/// The variable that may hold the key.
pub(crate) const KEY_VARIABLE: &str = "STARGET_SECRETS_KEY";
/// What a sealed text begins with; the number is the version of the form.
const MARK: &str = "sealed:1:";
/// Bytes of a key.
const KEY_LEN: usize = 32;
/// Characters of a key's name.
const ID_CHARS: usize = 8;

/// Why a secret cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SealError {
    /// It is no sealed text.
    #[error("is not sealed")]
    Form,
    /// There is no key.
    #[error("its key is not there: {0}")]
    NoKey(String),
    /// The key is no key.
    #[error("{0} does not hold a key (64 hexadecimal digits)")]
    BadKey(String),
    /// It was sealed with another key.
    #[error("it was sealed with the key {sealed}, and the key here is {here}")]
    OtherKey {
        /// The name of the key it was sealed with.
        sealed: String,
        /// The name of the key that is here.
        here: String,
    },
    /// It was changed, or is of another place.
    #[error("it was changed, or copied from another field")]
    Changed,
}

/// A key, with a name that does not lead back to it.
#[derive(Clone)]
pub(crate) struct SealingKey {
    id: String,
    key: std::sync::Arc<RandomizedNonceKey>,
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SealingKey({})", self.id)
    }
}

impl SealingKey {
    /// The key that is there.
    pub(crate) fn load(file: &Path) -> Result<Self, SealError> {
        if let Some(text) = std::env::var(KEY_VARIABLE).ok().filter(|text| !text.is_empty()) {
            return Self::parse(&text).ok_or_else(|| SealError::BadKey(KEY_VARIABLE.to_owned()));
        }
        Self::of_file(file)
    }

    fn of_file(file: &Path) -> Result<Self, SealError> {
        let name = file.display();
        let text = std::fs::read_to_string(file).map_err(|error| SealError::NoKey(format!("{name}: {error}")))?;
        if private_file::is_shared(file) {
            tracing::warn!(path = %name, "others can read the key of the stored passwords; chmod 600 it");
        }
        Self::parse(&text).ok_or_else(|| SealError::BadKey(name.to_string()))
    }

    /// The key that is there, or a new one.
    pub(crate) fn load_or_make(file: &Path) -> Result<Self, StargetError> {
        let unusable = |error: SealError| StargetError::Usage(format!("passwords cannot be stored: {error}"));
        match Self::load(file) {
            Err(SealError::NoKey(_)) if !file.exists() => {
                let mut bytes = [0; KEY_LEN];
                aws_lc_rs::rand::fill(&mut bytes)
                    .map_err(|_| StargetError::Usage("the system gives no random bytes".to_owned()))?;
                private_file::create(file, &format!("{}\n", hex::encode(bytes)))?;
                // Another run may have been first.
                Self::of_file(file).map_err(unusable)
            }
            key => key.map_err(unusable),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; KEY_LEN] = hex::decode(text.trim()).ok()?.try_into().ok()?;
        let named = [b"starget sealing key name\0".as_slice(), &bytes].concat();
        let id = Digest::sha256_of(&named).hex()[..ID_CHARS].to_owned();
        Some(Self { id, key: RandomizedNonceKey::new(&AES_256_GCM, &bytes).ok()?.into() })
    }

    /// Seals a secret for the place it stands at.
    pub(crate) fn seal(&self, place: &str, secret: &Secret) -> String {
        let mut sealed = secret.expose().as_bytes().to_vec();
        let aad = Aad::from(place.as_bytes());
        let nonce = self.key.seal_in_place_append_tag(aad, &mut sealed).expect("a password is below the 64 GiB limit");
        let whole = [nonce.as_ref().as_slice(), &sealed].concat();
        format!("{MARK}{}:{}", self.id, STANDARD_NO_PAD.encode(whole))
    }

    /// Opens it.
    pub(crate) fn open(&self, place: &str, text: &str) -> Result<Secret, SealError> {
        let (id, coded) = parts(text).ok_or(SealError::Form)?;
        if id != self.id {
            return Err(SealError::OtherKey { sealed: id.to_owned(), here: self.id.clone() });
        }
        let mut sealed = STANDARD_NO_PAD.decode(coded).map_err(|_| SealError::Form)?;
        let mut body = sealed.split_off(NONCE_LEN.min(sealed.len()));
        let nonce = Nonce::try_assume_unique_for_key(&sealed).map_err(|_| SealError::Form)?;
        let opened = self.key.open_in_place(nonce, Aad::from(place.as_bytes()), &mut body);
        let opened = opened.map_err(|_| SealError::Changed)?;
        std::str::from_utf8(opened).map(Secret::new).map_err(|_| SealError::Changed)
    }
}

/// Whether the text has the form of a sealed secret.
pub(super) fn is_sealed(text: &str) -> bool {
    parts(text).is_some_and(|(_, coded)| STANDARD_NO_PAD.decode(coded).is_ok_and(|bytes| bytes.len() > NONCE_LEN))
}

fn parts(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix(MARK)?.split_once(':')
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const PLACE: &str = "registries.ghcr.io.auth.password";

    #[test]
    fn what_is_sealed_opens_at_its_place_with_its_key_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("made/secrets.key");
        let key = SealingKey::load_or_make(&file).unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let sealed = key.seal(PLACE, &Secret::new("canary"));
        assert!(is_sealed(&sealed) && !sealed.contains("canary"), "{sealed}");
        assert_ne!(sealed, key.seal(PLACE, &Secret::new("canary")), "every sealing is another");
        let again = SealingKey::load_or_make(&file).unwrap();
        assert_eq!(again.open(PLACE, &sealed).unwrap().expose(), "canary");
        assert_eq!(again.open("registries.evil.example.auth.password", &sealed).unwrap_err(), SealError::Changed);
        let mut changed = sealed.clone();
        let last = if changed.pop() == Some('A') { 'Q' } else { 'A' };
        changed.push(last);
        assert!(again.open(PLACE, &changed).is_err());
        std::fs::remove_file(&file).unwrap();
        let other = SealingKey::load_or_make(&file).unwrap();
        assert!(matches!(other.open(PLACE, &sealed), Err(SealError::OtherKey { .. })));
    }

    #[test]
    fn what_is_no_key_is_told_without_being_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secrets.key");
        assert!(matches!(SealingKey::load(&file), Err(SealError::NoKey(_))));
        std::fs::write(&file, "canary").unwrap();
        let error = SealingKey::load_or_make(&file).unwrap_err().to_string();
        assert!(error.contains("secrets.key") && !error.contains("canary"), "{error}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "canary", "it is left as it was");
        for text in ["", "canary", "sealed:1:", "sealed:1:x", "sealed:1:x:!!", "sealed:1:x:AA"] {
            assert!(!is_sealed(text), "{text}");
        }
    }
}
