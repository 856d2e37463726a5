//! Why a pull failed, in words a caller can act on.
//!
//! Every variant says whose fault it is: the client's, the upstream's or ours. This file must not know status
//! codes; the server maps variants to statuses in one place. Invariant: an error is cheap to clone, because every
//! follower of one shared fill or revalidation gets the same one.

use std::sync::Arc;
use std::time::Duration;

use client::ClientError;
use oci::Digest;
use serde_json::{Value, json};

use crate::groups::GroupError;
use crate::hosted::HostedError;

/// What an upstream answered, for the error's `detail`.
#[derive(Clone, Debug)]
pub struct UpstreamSaid {
    /// The key of the repository that was asked.
    pub repo_key: Arc<str>,
    /// The upstream's address, without credentials.
    pub upstream: Arc<str>,
    /// The status it answered, when it answered at all.
    pub status: Option<u16>,
    /// Its own words, or ours for what went wrong on the way.
    pub message: Arc<str>,
}

impl UpstreamSaid {
    /// The status, or what was said in its place.
    fn status_or_words(&self) -> String {
        self.status.map_or_else(|| self.message.to_string(), |status| status.to_string())
    }

    /// Renders the object for the error's `detail` field.
    pub fn detail(&self) -> Value {
        json!({
            "repo_key": &*self.repo_key,
            "upstream": &*self.upstream,
            "upstream_status": self.status,
            "upstream_message": &*self.message,
        })
    }
}

/// Why a pull could not be answered.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PullError {
    /// The name breaks the grammar of the distribution spec.
    #[error("invalid repository name: {0}")]
    NameInvalid(Arc<str>),
    /// No configured repository answers to this address.
    #[error("{0}")]
    NameUnknown(Arc<str>),
    /// Upstream says that it has no such manifest (or tag, or repository).
    #[error("{what} not found at upstream {}", said.upstream)]
    ManifestUnknown {
        /// The reference asked for.
        what: Arc<str>,
        /// What upstream answered.
        said: UpstreamSaid,
    },
    /// Upstream says that it has no such blob.
    #[error("blob {digest} not found at upstream {}", said.upstream)]
    BlobUnknown {
        /// The blob asked for.
        digest: Box<Digest>,
        /// What upstream answered.
        said: UpstreamSaid,
    },
    /// Upstream refused us: our credentials are missing, wrong or not enough.
    #[error("upstream {} refused access ({}); check the credentials of repository '{}'", said.upstream, said.message, said.repo_key)]
    Denied {
        /// What upstream answered.
        said: UpstreamSaid,
    },
    /// The caller's own account at upstream, or having none, is not enough; or there is no such thing. Upstream's answers
    /// are not told apart, because that would tell which names exist.
    #[error("not found at upstream {upstream}, or not for you; log in with your own account of {upstream}")]
    Unauthorized {
        /// The key of the repository that was asked.
        repo_key: Arc<str>,
        /// The upstream's address.
        upstream: Arc<str>,
    },
    /// Upstream cannot be asked whether the caller may pull, and no earlier answer stands.
    #[error("upstream {} cannot be asked for your rights ({}); try again later", said.upstream, said.message)]
    AccessUndecided {
        /// What happened.
        said: UpstreamSaid,
    },
    /// Upstream limits our request rate.
    #[error("upstream {} limits requests ({}); nothing cached can stand in", said.upstream, said.status_or_words())]
    RateLimited {
        /// How long upstream asked us to wait.
        retry_after: Option<Duration>,
        /// What upstream answered.
        said: UpstreamSaid,
    },
    /// Upstream answered with an error or nonsense.
    #[error("upstream {} failed: {}", said.upstream, said.message)]
    UpstreamFailed {
        /// What upstream answered.
        said: UpstreamSaid,
    },
    /// Upstream could not be reached (DNS, connect, TLS).
    #[error("upstream {} cannot be reached: {}", said.upstream, said.message)]
    UpstreamUnreachable {
        /// What happened.
        said: UpstreamSaid,
    },
    /// Upstream did not answer in time.
    #[error("upstream {} did not answer in time: {}", said.upstream, said.message)]
    UpstreamTimeout {
        /// What happened.
        said: UpstreamSaid,
    },
    /// Upstream is not asked: its circuit breaker is open, or a limit of ours is used up.
    #[error("upstream {} is not asked for now ({}); nothing cached can stand in", said.upstream, said.message)]
    UpstreamResting {
        /// When it is worth asking us again.
        retry_after: Duration,
        /// Why it is not asked.
        said: UpstreamSaid,
    },
    /// Our own rules stopped the exchange: a private address, a foreign token realm, a bad redirect.
    #[error("refused to follow upstream {}: {}", said.upstream, said.message)]
    EgressRefused {
        /// What was refused and why.
        said: UpstreamSaid,
    },
    /// The bytes upstream sent do not hash to the digest.
    #[error("upstream {} sent bytes that hash to {actual}, not to {expected}; nothing was kept", said.upstream)]
    Corrupt {
        /// The digest asked for.
        expected: Box<Digest>,
        /// The digest of what came.
        actual: Box<Digest>,
        /// Who sent it.
        said: UpstreamSaid,
    },
    /// Upstream's manifest is not one (bad JSON, ambiguous, over a limit).
    #[error("upstream {} sent an invalid manifest: {}", said.upstream, said.message)]
    ManifestInvalid {
        /// What is wrong.
        said: UpstreamSaid,
    },
    /// The thing asked for exists but is not supported here.
    #[error("{0}")]
    Unsupported(Arc<str>),
    /// A hosted repository refused; no upstream has a say in it.
    #[error(transparent)]
    Hosted(#[from] HostedError),
    /// A group could not answer.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// Our own store or database failed.
    #[error("local storage failed: {0}")]
    Storage(Arc<str>),
    /// The process is shutting down.
    #[error("shutting down; try again at another replica or in a moment")]
    ShuttingDown,
}

impl PullError {
    /// Wraps a failure of our own disk or database.
    pub(crate) fn storage(source: &(dyn std::error::Error + 'static)) -> Self {
        let mut text = source.to_string();
        let mut next = source.source();
        while let Some(cause) = next {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            next = cause.source();
        }
        Self::Storage(text.into())
    }

    /// The one answer to whoever may not pull.
    pub(crate) fn unauthorized(repo_key: &Arc<str>, upstream: &Arc<str>) -> Self {
        Self::Unauthorized { repo_key: repo_key.clone(), upstream: upstream.clone() }
    }

    /// What upstream said, where an upstream was asked.
    pub fn said(&self) -> Option<&UpstreamSaid> {
        match self {
            Self::ManifestUnknown { said, .. }
            | Self::BlobUnknown { said, .. }
            | Self::Denied { said }
            | Self::AccessUndecided { said }
            | Self::RateLimited { said, .. }
            | Self::UpstreamFailed { said }
            | Self::UpstreamUnreachable { said }
            | Self::UpstreamTimeout { said }
            | Self::UpstreamResting { said, .. }
            | Self::EgressRefused { said }
            | Self::Corrupt { said, .. }
            | Self::ManifestInvalid { said } => Some(said),
            Self::NameInvalid(_)
            | Self::NameUnknown(_)
            | Self::Unauthorized { .. }
            | Self::Unsupported(_)
            | Self::Hosted(_)
            | Self::Storage(_)
            | Self::ShuttingDown => None,
            Self::Group(error) => error.of_member().and_then(Self::said),
        }
    }

    /// Adds what the mirrors said, so that the message names everybody who was asked.
    #[must_use]
    pub(crate) fn with_mirrors(mut self, told: &[String]) -> Self {
        if let Some(said) = self.said_mut().filter(|_| !told.is_empty()) {
            said.message = format!("{}; mirrors failed too: {}", said.message, told.join("; ")).into();
        }
        self
    }

    /// Says that it is about a layer outside of the upstream.
    #[must_use]
    pub(crate) fn about_foreign_layer(mut self, host: &str) -> Self {
        if let Some(said) = self.said_mut() {
            said.message = format!("it does not have the layer itself; the address at {host}: {}", said.message).into();
        }
        self
    }

    fn said_mut(&mut self) -> Option<&mut UpstreamSaid> {
        match self {
            Self::ManifestUnknown { said, .. }
            | Self::BlobUnknown { said, .. }
            | Self::Denied { said }
            | Self::AccessUndecided { said }
            | Self::RateLimited { said, .. }
            | Self::UpstreamFailed { said }
            | Self::UpstreamUnreachable { said }
            | Self::UpstreamTimeout { said }
            | Self::UpstreamResting { said, .. }
            | Self::EgressRefused { said }
            | Self::Corrupt { said, .. }
            | Self::ManifestInvalid { said } => Some(said),
            Self::NameInvalid(_)
            | Self::NameUnknown(_)
            | Self::Unauthorized { .. }
            | Self::Unsupported(_)
            | Self::Hosted(_)
            | Self::Group(_)
            | Self::Storage(_)
            | Self::ShuttingDown => None,
        }
    }

    /// The object for the error body's `detail`: who was asked and what it answered.
    pub fn detail(&self) -> Value {
        self.said().map_or(Value::Null, UpstreamSaid::detail)
    }
}

/// Who was asked for what: turns a client's error into ours.
#[derive(Clone, Debug)]
pub(crate) enum Subject {
    /// A manifest, by tag or digest.
    Manifest(Arc<str>),
    /// A blob.
    Blob(Digest),
}

/// Turns the client library's error into a pull error about `subject`.
pub(crate) fn from_client(
    repo_key: &Arc<str>,
    upstream: &Arc<str>,
    subject: &Subject,
    error: &ClientError,
) -> PullError {
    let message = error.upstream_message().map_or_else(|| error.to_string(), str::to_owned);
    let said = UpstreamSaid {
        repo_key: repo_key.clone(),
        upstream: upstream.clone(),
        status: error.upstream_status(),
        message: message.into(),
    };
    match error {
        ClientError::NotFound { .. } => match subject {
            Subject::Manifest(what) => PullError::ManifestUnknown { what: what.clone(), said },
            Subject::Blob(digest) => PullError::BlobUnknown { digest: Box::new(*digest), said },
        },
        ClientError::Unauthorized { .. } | ClientError::Denied { .. } => PullError::Denied { said },
        ClientError::RateLimited { retry_after, .. } => PullError::RateLimited { retry_after: *retry_after, said },
        ClientError::CircuitOpen { retry_after, .. } | ClientError::OwnLimit { retry_after, .. } => {
            PullError::UpstreamResting { retry_after: *retry_after, said }
        }
        ClientError::Timeout { .. } => PullError::UpstreamTimeout { said },
        ClientError::Unreachable { .. } => PullError::UpstreamUnreachable { said },
        ClientError::Refused { .. } => PullError::EgressRefused { said },
        ClientError::DigestMismatch { expected, actual, .. } => {
            PullError::Corrupt { expected: Box::new(*expected), actual: Box::new(*actual), said }
        }
        ClientError::UpstreamStatus { .. }
        | ClientError::Interrupted { .. }
        | ClientError::Protocol { .. }
        | ClientError::TooLarge { .. }
        | ClientError::CredentialUnavailable { .. }
        | ClientError::Setup { .. } => PullError::UpstreamFailed { said },
    }
}
