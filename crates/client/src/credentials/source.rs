//! The kinds of sources a credential can have, and who obtains for each.
//!
//! Must not know who asks or how long an answer is kept (that is `keeper`). Invariants: obtaining is bounded in time and
//! size; a reason for failure names the file or program and quotes nothing of its content.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use super::file;
use crate::basic::Credential;

/// Where a credential comes from.
#[derive(Clone, Debug)]
pub enum CredentialSource {
    /// It is the configuration's own.
    Fixed(Credential),
    /// The password stands in a file, which is read at use and again when it changes.
    PasswordFile {
        /// The user name.
        username: String,
        /// The file; line ends around the password are cut.
        file: PathBuf,
    },
    /// A token for the upstream itself stands in a file, which is read at use and again when it changes.
    TokenFile(PathBuf),
}

/// What a source had.
#[derive(Debug)]
pub(super) struct Obtained {
    /// `None`: the source works and has nothing for this upstream.
    pub(super) credential: Option<Credential>,
    pub(super) lasts: Lasts,
}

/// How long an answer of a source is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lasts {
    /// For ever.
    Always,
    /// Asked for again from `refresh_at`; worthless from `expires_at`.
    Until { refresh_at: Instant, expires_at: Instant },
}

impl Lasts {
    /// Looked at again after `pause`, and not used without that look.
    pub(super) fn look_again_after(pause: Duration) -> Self {
        let at = Instant::now() + pause;
        Self::Until { refresh_at: at, expires_at: at }
    }
}

impl CredentialSource {
    /// One word for people.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Fixed(Credential::Basic { .. }) => "password",
            Self::Fixed(Credential::Bearer(_)) => "token",
            Self::Fixed(Credential::IdentityToken(_)) => "identity_token",
            Self::PasswordFile { .. } => "password_file",
            Self::TokenFile(_) => "token_file",
        }
    }

    /// Gets the credential. The error is a reason in words.
    pub(super) async fn obtain(&self) -> Result<Obtained, String> {
        match self {
            Self::Fixed(credential) => Ok(Obtained { credential: Some(credential.clone()), lasts: Lasts::Always }),
            Self::PasswordFile { username, file } => {
                let password = file::secret(file).await?;
                Ok(file::looked_at(Credential::Basic { username: username.clone(), password }))
            }
            Self::TokenFile(file) => Ok(file::looked_at(Credential::Bearer(file::secret(file).await?))),
        }
    }
}
