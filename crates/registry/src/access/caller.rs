//! What a caller shows, and the principal that is remembered instead of it.
//!
//! Must not know requests or upstream answers. Invariants: the secret prints nowhere; a fingerprint tells nothing of the
//! secret without this process's key, and differs between upstreams.

use std::fmt;

use aws_lc_rs::hmac;
use client::{Credential, Secret};

/// A caller's own account at the upstream: user name and password or access token.
#[derive(Clone)]
pub struct CallerCredential {
    username: Secret,
    password: Secret,
}

impl CallerCredential {
    /// Takes what the caller sent.
    pub fn new(username: &str, password: &str) -> Self {
        Self { username: Secret::new(username), password: Secret::new(password) }
    }

    /// As the client library takes it.
    pub(super) fn to_client(&self) -> Credential {
        Credential::Basic { username: self.username.expose().to_owned(), password: self.password.clone() }
    }
}

impl fmt::Debug for CallerCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallerCredential(…)")
    }
}

/// A keyed hash of upstream, user name and secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

/// Whose rights a pull uses. Shows as the first eight hex digits of the fingerprint, which change with each start.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Principal {
    /// The repository's own credential, for all callers alike.
    Repository,
    /// A caller who showed nothing.
    Anonymous,
    /// A caller with an account.
    Known(Fingerprint),
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repository => f.write_str("repository"),
            Self::Anonymous => f.write_str("anonymous"),
            Self::Known(Fingerprint(bytes)) => bytes[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}")),
        }
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Makes fingerprints for one upstream, with a key that lives as long as the process holds it and is stored nowhere.
pub(super) struct Fingerprints {
    key: hmac::Key,
    upstream: Box<str>,
}

impl Fingerprints {
    pub(super) fn new(upstream: &str) -> Result<Self, String> {
        let random = aws_lc_rs::rand::SystemRandom::new();
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &random).map_err(|_| "the system has no random numbers")?;
        Ok(Self { key, upstream: upstream.into() })
    }

    pub(super) fn principal(&self, caller: Option<&CallerCredential>) -> Principal {
        let Some(caller) = caller else { return Principal::Anonymous };
        let mut hash = hmac::Context::with_key(&self.key);
        for part in [&*self.upstream, caller.username.expose(), caller.password.expose()] {
            // With its length before it, no part can pretend to be the end of another.
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let tag = hash.sign();
        Principal::Known(Fingerprint(tag.as_ref().try_into().expect("HMAC-SHA256 gives 32 bytes")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn principals_differ_by_every_part_and_by_nothing_else() {
        let here = Fingerprints::new("https://a.example").unwrap();
        let of = |user: &str, pass: &str| here.principal(Some(&CallerCredential::new(user, pass)));
        assert_eq!(of("ann", "x"), of("ann", "x"));
        let all = [
            of("ann", "x"),
            of("ann", "y"),
            of("bob", "x"),
            of("annx", ""),
            of("", "annx"),
            of("a", "nnx"),
            here.principal(None),
            Principal::Repository,
            Fingerprints::new("https://a.example").unwrap().principal(Some(&CallerCredential::new("ann", "x"))),
        ];
        let distinct: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }

    #[test]
    fn nothing_shows_the_secret_or_the_name() {
        let caller = CallerCredential::new("canary-user", "canary-secret");
        let principal = Fingerprints::new("https://a.example").unwrap().principal(Some(&caller));
        let shown = format!("{caller:?} {caller:#?} {principal} {principal:?}");
        assert!(!shown.contains("canary"), "{shown}");
        assert_eq!(principal.to_string().len(), 8);
    }
}
