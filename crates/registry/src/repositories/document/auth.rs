//! `auth`: what we log in with upstream.
//!
//! Must not know handshakes. Invariant: no message holds a secret.

use client::{Credential, Secret};

use super::reader::Reader;

impl Reader<'_> {
    pub(super) fn auth(&mut self) -> Option<Credential> {
        if self.is_passthrough() {
            return None;
        }
        self.section("auth", |auth| {
            let (username, password) = (auth.text("username"), auth.text("password"));
            if username.as_deref().is_none_or(str::is_empty) {
                auth.problem("username", "required when auth is given");
            }
            if password.is_none() {
                auth.problem("password", "required when auth is given");
            }
            Some(Credential::Basic { username: username?, password: Secret::new(password?) })
        })
        .flatten()
    }
}
