//! `auth` of one registry: which login it is, and the credential it comes to.
//!
//! Must not know when a login is wanted. Invariant: a secret is opened only for the registry it was sealed for, and only when that
//! registry is asked.

use std::path::{Path, PathBuf};

use client::{Credential, CredentialEntry, CredentialSource, CredentialStore};
use config_document::document::Entry;
use config_document::problem::Problem;

use super::Values;
use crate::config::SealingKey;
use crate::error::StargetError;

/// How to log in at one registry.
#[derive(Clone, Debug)]
pub(crate) enum Login {
    /// Not at all.
    Anonymous,
    /// With a sealed secret.
    Sealed {
        /// The registry, as the file names it.
        host: String,
        /// What kind of secret it is.
        secret: SecretKind,
        /// The sealed text.
        sealed: String,
    },
    /// As a source of `client` says.
    Source(CredentialSource),
}

/// What is sealed.
#[derive(Clone, Debug)]
pub(crate) enum SecretKind {
    /// The password of this user.
    Password(String),
    /// A token for the registry.
    Token,
    /// A refresh token.
    IdentityToken,
}

impl Login {
    /// The credentials to ask the registry with.
    pub(crate) fn store(&self, key_file: &Path) -> Result<CredentialStore, StargetError> {
        let source = match self {
            Self::Anonymous => return Ok(CredentialStore::anonymous()),
            Self::Source(source) => source.clone(),
            Self::Sealed { host, secret, sealed } => {
                let place = place(host, secret.field());
                let opened = SealingKey::load(key_file).and_then(|key| key.open(&place, sealed));
                let opened = opened.map_err(|source| StargetError::Sealed { host: host.clone(), source })?;
                CredentialSource::Fixed(match secret {
                    SecretKind::Password(username) => {
                        Credential::Basic { username: username.clone(), password: opened }
                    }
                    SecretKind::Token => Credential::Bearer(opened),
                    SecretKind::IdentityToken => Credential::IdentityToken(opened),
                })
            }
        };
        Ok(CredentialStore::new(vec![CredentialEntry { name: "config.yaml".into(), repositories: None, source }]))
    }

    /// In words, without secrets.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Anonymous => "none".to_owned(),
            Self::Sealed { secret: SecretKind::Password(username), .. } => format!("basic, as {username}"),
            Self::Sealed { secret: SecretKind::Token, .. } => "token".to_owned(),
            Self::Sealed { secret: SecretKind::IdentityToken, .. } => "identity_token".to_owned(),
            Self::Source(source) => source.kind().to_owned(),
        }
    }
}

impl SecretKind {
    /// The field the sealed text stands in.
    pub(crate) const fn field(&self) -> &'static str {
        match self {
            Self::Password(_) => "password",
            Self::Token | Self::IdentityToken => "token",
        }
    }

    /// The word in `auth.type`.
    pub(crate) const fn as_str(&self) -> &'static str {
        match self {
            Self::Password(_) => "basic",
            Self::Token => "token",
            Self::IdentityToken => "identity_token",
        }
    }
}

/// What a secret is bound to.
pub(crate) fn place(host: &str, field: &str) -> String {
    format!("registries.{host}.auth.{field}")
}

/// Reads the good values below `auth`; what is missing or contradicts itself leaves a problem.
pub(super) fn read(
    values: &Values<'_>,
    host: &str,
    entry: &Entry,
    path: &str,
    problems: &mut Vec<Problem>,
) -> Option<Login> {
    let given: Vec<&str> = values.texts.keys().filter_map(|path| path.strip_prefix("auth.")).collect();
    if given.is_empty() {
        return None;
    }
    let mut wrong = |field: &str, message: String| {
        let field = format!("auth.{field}");
        problems.push(Problem::new(entry.node.origin_of(&field), format!("{path}.{field}"), message));
        None
    };
    let Some(kind) = values.one("auth.type") else {
        return wrong("type", "required: basic, token, identity_token, helper or none".to_owned());
    };
    let allowed: &[&str] = match kind {
        "basic" => &["username", "password", "password_file"],
        "token" => &["token", "token_file"],
        "identity_token" => &["token"],
        "helper" => &["helper"],
        _ => &[],
    };
    if let Some(stray) = given.iter().find(|field| **field != "type" && !allowed.contains(field)) {
        return wrong(stray, format!("has no meaning with type {kind}"));
    }
    let login = match kind {
        "basic" => basic(values, host),
        "token" => token(values, host, SecretKind::Token),
        "identity_token" => token(values, host, SecretKind::IdentityToken),
        "helper" => values.one("auth.helper").map(|name| Login::Source(CredentialSource::Helper(name.to_owned()))),
        _ => Some(Login::Anonymous),
    };
    login.or_else(|| wrong("type", format!("{kind} needs {}; `starget config login {host}` writes them", needs(kind))))
}

fn needs(kind: &str) -> &'static str {
    match kind {
        "basic" => "`username` and one of `password` and `password_file`",
        "token" => "one of `token` and `token_file`",
        "identity_token" => "`token`",
        _ => "`helper`",
    }
}

fn basic(values: &Values<'_>, host: &str) -> Option<Login> {
    let username = values.one("auth.username")?.to_owned();
    match (values.one("auth.password"), values.one("auth.password_file")) {
        (Some(sealed), None) => Some(sealed_login(host, SecretKind::Password(username), sealed)),
        (None, Some(file)) => {
            Some(Login::Source(CredentialSource::PasswordFile { username, file: PathBuf::from(file) }))
        }
        (Some(_), Some(_)) | (None, None) => None,
    }
}

fn token(values: &Values<'_>, host: &str, secret: SecretKind) -> Option<Login> {
    match (values.one("auth.token"), values.one("auth.token_file")) {
        (Some(sealed), None) => Some(sealed_login(host, secret, sealed)),
        (None, Some(file)) => Some(Login::Source(CredentialSource::TokenFile(PathBuf::from(file)))),
        (Some(_), Some(_)) | (None, None) => None,
    }
}

fn sealed_login(host: &str, secret: SecretKind, sealed: &str) -> Login {
    Login::Sealed { host: host.to_owned(), secret, sealed: sealed.to_owned() }
}
