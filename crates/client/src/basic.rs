//! Credentials, and the `Authorization` values made of them (RFC 7617 for Basic, RFC 6750 for Bearer).
//!
//! Must not know when they are sent or to whom. Invariant: a header value made here is marked sensitive, so HTTP
//! libraries neither print it nor put it into compression tables.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use oci::Digest;

use crate::secret::Secret;

/// What an upstream was configured with.
#[derive(Clone, Debug)]
pub enum Credential {
    /// User name and password (or access token); sent as Basic to the upstream or to its token server.
    Basic {
        /// The user name.
        username: String,
        /// The password.
        password: Secret,
    },
    /// A token that is sent to the upstream as it is.
    Bearer(Secret),
    /// A refresh token (docker calls it identity token): the token server gives tokens for it, nobody else sees it.
    IdentityToken(Secret),
}

/// Tells credentials apart in cache keys without keeping them there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum CredentialId {
    Anonymous,
    Known(Digest),
}

impl CredentialId {
    pub(crate) fn of(credential: Option<&Credential>) -> Self {
        match credential {
            None => Self::Anonymous,
            Some(Credential::Basic { username, password }) => {
                Self::Known(Digest::sha256_of(format!("basic\0{username}\0{}", password.expose()).as_bytes()))
            }
            Some(Credential::Bearer(token)) => {
                Self::Known(Digest::sha256_of(format!("bearer\0{}", token.expose()).as_bytes()))
            }
            Some(Credential::IdentityToken(token)) => {
                Self::Known(Digest::sha256_of(format!("identity\0{}", token.expose()).as_bytes()))
            }
        }
    }
}

impl Credential {
    /// The text that must not turn up in messages.
    pub(crate) fn secret(&self) -> &Secret {
        match self {
            Self::Basic { password, .. } => password,
            Self::Bearer(token) | Self::IdentityToken(token) => token,
        }
    }

    /// The same in every form it is sent in: somebody may say our own header back to us.
    pub(crate) fn secrets(&self) -> Vec<Secret> {
        let encoded = match self {
            Self::Basic { username, password } => Some(Secret::new(pair(username, password))),
            Self::Bearer(_) | Self::IdentityToken(_) => None,
        };
        encoded.into_iter().chain([self.secret().clone()]).collect()
    }
}

fn pair(username: &str, password: &Secret) -> String {
    STANDARD.encode(format!("{username}:{}", password.expose()))
}

/// `Basic <base64 of user:password>`.
pub(crate) fn basic_header(username: &str, password: &Secret) -> HeaderValue {
    let mut value =
        HeaderValue::from_str(&format!("Basic {}", pair(username, password))).expect("base64 is printable ASCII");
    value.set_sensitive(true);
    value
}

/// `Bearer <token>`; `None` when the token has characters that no header can carry.
pub(crate) fn bearer_header(token: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose())).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::{Credential, CredentialId, basic_header, bearer_header};
    use crate::secret::Secret;

    #[test]
    fn headers_are_as_the_rfcs_say_and_sensitive() {
        let basic = basic_header("Aladdin", &Secret::new("open sesame"));
        assert_eq!(basic, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert!(basic.is_sensitive());
        let bearer = bearer_header(&Secret::new("abc")).unwrap();
        assert_eq!(bearer, "Bearer abc");
        assert!(bearer.is_sensitive());
        assert!(bearer_header(&Secret::new("a\r\nX-Evil: 1")).is_none());
    }

    #[test]
    fn ids_differ_by_every_part_and_show_none() {
        let basic =
            |user: &str, pass: &'static str| Credential::Basic { username: user.into(), password: Secret::new(pass) };
        let ids = [
            CredentialId::of(None),
            CredentialId::of(Some(&basic("a", "canary"))),
            CredentialId::of(Some(&basic("b", "canary"))),
            CredentialId::of(Some(&basic("a", "other"))),
            CredentialId::of(Some(&Credential::Bearer(Secret::new("canary")))),
            CredentialId::of(Some(&Credential::IdentityToken(Secret::new("canary")))),
        ];
        let distinct: std::collections::HashSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len());
        assert!(!format!("{ids:?}").contains("canary"));
    }
}
