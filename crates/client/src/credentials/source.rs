//! The kinds of sources a credential can have, and who obtains for each.
//!
//! Must not know who asks or how long an answer is kept (that is `keeper`). Invariants: obtaining is bounded in time and
//! size; a reason for failure names the file or program and quotes nothing of its content.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use super::azure::{self, AzureLogin};
use super::docker_config::{self, Match};
use super::ecr::{self, EcrLogin};
use super::exec::{self, ExecHelper};
use super::google::{self, GoogleLogin};
use super::ground::Ground;
use super::{file, helper};
use crate::basic::Credential;

/// What is said to live shorter is used this long nevertheless, so that no source is asked for every request.
const SHORTEST: Duration = Duration::from_secs(5);

/// Longest time anything is used without being asked for again.
const LONGEST: Duration = Duration::from_hours(12);

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
    /// Docker's `config.json`, with the helpers it names.
    DockerConfig(PathBuf),
    /// A credential helper by docker's protocol: a path, or what stands behind `docker-credential-`.
    Helper(String),
    /// A program that prints a credential.
    Exec(ExecHelper),
    /// Amazon's registries.
    Ecr(Box<EcrLogin>),
    /// Google's registries.
    Google(Box<GoogleLogin>),
    /// Azure's registries.
    Azure(Box<AzureLogin>),
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
    /// Good for `lifetime` from when it was asked for; renewed after four fifths of that. What ends at once is used once.
    pub(super) fn from(asked_at: Instant, lifetime: Duration) -> Self {
        let lifetime = lifetime.clamp(SHORTEST, LONGEST);
        Self::Until { refresh_at: asked_at + lifetime * 4 / 5, expires_at: asked_at + lifetime }
    }

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
            Self::DockerConfig(_) => "docker_config",
            Self::Helper(_) => "helper",
            Self::Exec(_) => "exec",
            Self::Ecr(_) => "ecr",
            Self::Google(_) => "google",
            Self::Azure(_) => "azure",
        }
    }

    /// What several credentials of one source are told apart by; empty for most, which have one for an upstream.
    pub(super) async fn place(&self, ground: &Ground, repository: Option<&str>) -> Result<String, String> {
        match self {
            Self::DockerConfig(path) => match docker_config::look_up(path, ground, repository).await? {
                Match::Entry(key, _) => Ok(key),
                Match::Helper { name, .. } => Ok(format!("helper {name}")),
                Match::Nothing => Ok(String::new()),
            },
            Self::Fixed(_)
            | Self::PasswordFile { .. }
            | Self::TokenFile(_)
            | Self::Helper(_)
            | Self::Exec(_)
            | Self::Ecr(_)
            | Self::Google(_)
            | Self::Azure(_) => Ok(String::new()),
        }
    }

    /// Gets the credential. The error is a reason in words.
    pub(super) async fn obtain(&self, ground: &Ground, repository: Option<&str>) -> Result<Obtained, String> {
        match self {
            Self::Fixed(credential) => Ok(Obtained { credential: Some(credential.clone()), lasts: Lasts::Always }),
            Self::PasswordFile { username, file } => {
                let password = file::secret(file).await?;
                Ok(file::looked_at(Credential::Basic { username: username.clone(), password }))
            }
            Self::TokenFile(file) => Ok(file::looked_at(Credential::Bearer(file::secret(file).await?))),
            Self::DockerConfig(path) => match docker_config::look_up(path, ground, repository).await? {
                Match::Entry(_, credential) => Ok(file::looked_at(credential)),
                Match::Helper { name, server } => helper::obtain(&name, &server).await,
                Match::Nothing => Ok(Obtained { credential: None, lasts: file::looked_now() }),
            },
            Self::Helper(name) => helper::obtain(name, &docker_config::server(ground)).await,
            Self::Exec(helper) => exec::obtain(helper, ground.authority()).await,
            Self::Ecr(login) => ecr::obtain(login, ground).await,
            Self::Google(login) => google::obtain(login, ground).await,
            Self::Azure(login) => azure::obtain(login, ground).await,
        }
    }
}
