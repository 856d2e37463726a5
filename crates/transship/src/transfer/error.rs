//! Why a transfer ends without success, and the exit code of each reason.
//!
//! Must not know commands. Invariants: the codes are those of `starget`; no message carries a credential.

use client::{ClientError, SharedError, UploadError};
use image_archive::ArchiveError;

/// Why a transfer ends without success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Anything without a code of its own: a file that cannot be written, a push that the registry refuses.
    Other,
    /// The command line is wrong.
    Usage,
    /// There is no such image, file or repository.
    NotFound,
    /// The registry wants a login, or another one, or says no to this one.
    Auth,
    /// Content is not what its digest says.
    Verification,
    /// Some images failed; the others are done.
    SomeFailed,
    /// The registry could not be reached, or did not answer as one.
    Network,
}

impl Reason {
    /// The exit code. 7 is starget's alone.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Other => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Auth => 4,
            Self::Verification => 5,
            Self::SomeFailed => 6,
            Self::Network => 8,
        }
    }

    /// One word, for JSON.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Other => "other",
            Self::Usage => "usage",
            Self::NotFound => "not_found",
            Self::Auth => "auth",
            Self::Verification => "verification",
            Self::SomeFailed => "some_failed",
            Self::Network => "network",
        }
    }
}

/// A reason in words.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{what}")]
pub(crate) struct TransferError {
    pub(crate) reason: Reason,
    pub(crate) what: String,
}

impl TransferError {
    pub(crate) fn new(reason: Reason, what: impl Into<String>) -> Self {
        Self { reason, what: what.into() }
    }

    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::new(Reason::Usage, what)
    }

    /// The same, saying of what.
    pub(crate) fn of(self, what: impl std::fmt::Display) -> Self {
        Self { what: format!("{what}: {}", self.what), ..self }
    }

    /// As it travels through a stream of bytes.
    pub(crate) fn shared(self) -> SharedError {
        std::sync::Arc::new(self)
    }
}

impl From<ClientError> for TransferError {
    fn from(error: ClientError) -> Self {
        let reason = match &error {
            ClientError::NotFound { .. } => Reason::NotFound,
            ClientError::Unauthorized { .. }
            | ClientError::Denied { .. }
            | ClientError::CredentialUnavailable { .. } => Reason::Auth,
            ClientError::DigestMismatch { .. } => Reason::Verification,
            ClientError::Setup { .. } => Reason::Usage,
            ClientError::UpstreamStatus { answer, .. } if (400..500).contains(&answer.status) => Reason::Other,
            ClientError::UpstreamStatus { .. }
            | ClientError::RateLimited { .. }
            | ClientError::Timeout { .. }
            | ClientError::Unreachable { .. }
            | ClientError::Interrupted { .. }
            | ClientError::Protocol { .. }
            | ClientError::Refused { .. }
            | ClientError::TooLarge { .. }
            | ClientError::CircuitOpen { .. }
            | ClientError::OwnLimit { .. } => Reason::Network,
        };
        let hint = match error {
            ClientError::Unauthorized { .. } => "; log in with `docker login`, or give --username and --password-stdin",
            _ => "",
        };
        Self::new(reason, format!("{error}{hint}"))
    }
}

impl From<ArchiveError> for TransferError {
    fn from(error: ArchiveError) -> Self {
        let reason = match () {
            () if error.is_wrong_content() => Reason::Verification,
            () if error.is_missing() => Reason::NotFound,
            () => Reason::Other,
        };
        Self::new(reason, error.to_string())
    }
}

impl From<UploadError> for TransferError {
    fn from(error: UploadError) -> Self {
        match error {
            UploadError::Registry(error) => error.into(),
            UploadError::Source(error) => error.into(),
        }
    }
}

impl From<SharedError> for TransferError {
    fn from(error: SharedError) -> Self {
        match error.downcast_ref::<Self>() {
            Some(own) => own.clone(),
            None => Self::new(Reason::Other, error.to_string()),
        }
    }
}
