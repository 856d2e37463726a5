//! What can go wrong between us and an upstream.
//!
//! Must not know what the caller does about it. Invariants: errors are cheap to clone, because the followers of one
//! shared call all get the same; none carries a URL with its query or a credential.

use std::sync::Arc;
use std::time::Duration;

use oci::Digest;

/// A source kept behind a clonable error.
pub type SharedError = Arc<dyn std::error::Error + Send + Sync + 'static>;

/// What an upstream answered instead of what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamAnswer {
    /// The status.
    pub status: u16,
    /// The upstream's own words: the first 512 characters, without control characters.
    pub message: Option<String>,
}

/// Which wait ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeoutPhase {
    /// Setting up the connection.
    Connect,
    /// Waiting for the head of the answer.
    FirstByte,
    /// Waiting for more of the body.
    Idle,
}

/// Why a call to an upstream failed. Every variant names the upstream (its `host[:port]`).
#[derive(Clone, Debug, thiserror::Error)]
pub enum ClientError {
    /// The upstream itself, not a host it redirected to, says that there is no such thing.
    #[error("{upstream} has no such content{}", spoken(answer))]
    NotFound {
        /// Who was asked.
        upstream: Arc<str>,
        /// What it answered.
        answer: UpstreamAnswer,
    },
    /// The upstream or its token server wants a (better) credential: 401 after all we could do.
    #[error("{upstream} wants a valid login{}", spoken(answer))]
    Unauthorized {
        /// Who was asked.
        upstream: Arc<str>,
        /// What it answered.
        answer: UpstreamAnswer,
    },
    /// The upstream or its token server knows us and says no: 403.
    #[error("{upstream} denied access{}", spoken(answer))]
    Denied {
        /// Who was asked.
        upstream: Arc<str>,
        /// What it answered.
        answer: UpstreamAnswer,
    },
    /// 429, and the wait it asks for is longer than a request can wait.
    #[error("{upstream} limits our request rate{}", spoken(answer))]
    RateLimited {
        /// Who was asked.
        upstream: Arc<str>,
        /// What it answered.
        answer: UpstreamAnswer,
        /// How long it asks us to stay away; at most one hour.
        retry_after: Option<Duration>,
    },
    /// Any other status that is no success, or any refusal of a host the upstream redirected to.
    #[error("{upstream} answered {}{}", answer.status, spoken(answer))]
    UpstreamStatus {
        /// Who was asked.
        upstream: Arc<str>,
        /// What it answered.
        answer: UpstreamAnswer,
        /// How long it asks us to stay away; at most one hour.
        retry_after: Option<Duration>,
    },
    /// A wait ran out.
    #[error("{upstream} did not answer in time ({})", phase.as_str())]
    Timeout {
        /// Who was asked.
        upstream: Arc<str>,
        /// Which wait.
        phase: TimeoutPhase,
    },
    /// No connection: name resolution, TCP or TLS.
    #[error("cannot connect to {upstream}: {what}")]
    Unreachable {
        /// Who was asked.
        upstream: Arc<str>,
        /// The whole chain of causes in one line.
        what: String,
        /// The first of them.
        source: SharedError,
    },
    /// The connection broke before the answer was complete.
    #[error("the connection to {upstream} broke after {received} bytes of the body: {what}")]
    Interrupted {
        /// Who was asked.
        upstream: Arc<str>,
        /// How many bytes of the body had come.
        received: u64,
        /// What happened.
        what: String,
        /// The transport's error, when it noticed.
        source: Option<SharedError>,
    },
    /// The answer breaks HTTP or the distribution spec.
    #[error("{upstream} sent a wrong answer: {what}")]
    Protocol {
        /// Who was asked.
        upstream: Arc<str>,
        /// What is wrong with it.
        what: String,
    },
    /// The bytes are not those of the digest asked for, or announced.
    #[error("{upstream} sent bytes that hash to {actual}, not to {expected}")]
    DigestMismatch {
        /// Who was asked.
        upstream: Arc<str>,
        /// The digest asked for, or the one in `Docker-Content-Digest`.
        expected: Digest,
        /// The digest of the bytes.
        actual: Digest,
    },
    /// Our own rules: an address, a token realm or a redirect that we do not go to.
    #[error("refused on the way to {upstream}: {what}")]
    Refused {
        /// Who was asked.
        upstream: Arc<str>,
        /// What was refused, and what to do when it is wanted.
        what: String,
    },
    /// A manifest, tag list or token answer beyond its limit.
    #[error("{upstream} sent more than {limit} bytes of {what}")]
    TooLarge {
        /// Who was asked.
        upstream: Arc<str>,
        /// Of what.
        what: &'static str,
        /// The limit in bytes.
        limit: usize,
    },
    /// The configured credential cannot be had: a file, a helper program or a cloud service fails. Nothing was sent.
    #[error("the credential '{name}' for {upstream} cannot be had: {what}")]
    CredentialUnavailable {
        /// Whose credential.
        upstream: Arc<str>,
        /// Its name in the configuration.
        name: Arc<str>,
        /// Why, and what to do.
        what: String,
    },
    /// Not asked: too many of the host's last exchanges failed, and its circuit breaker is open.
    #[error("{upstream} is not asked for now: too many of its last exchanges failed")]
    CircuitOpen {
        /// The `host[:port]` that failed; a host the upstream redirects to counts for itself.
        upstream: Arc<str>,
        /// When it will be asked again.
        retry_after: Duration,
    },
    /// Not asked: one of our own limits is used up. Says nothing of the upstream.
    #[error("{upstream} is not asked for now: our own limit {limit} is used up")]
    OwnLimit {
        /// Who would have been asked.
        upstream: Arc<str>,
        /// The name of the limit in the configuration.
        limit: &'static str,
        /// When a turn may be free.
        retry_after: Duration,
    },
    /// The configuration of the upstream cannot work. Only from `RegistryClient::new`.
    #[error("upstream {upstream} cannot be set up: {what}")]
    Setup {
        /// Which one.
        upstream: Arc<str>,
        /// What is wrong.
        what: String,
    },
}

impl ClientError {
    /// Whether the same call may succeed a moment later: no answer, a broken one, 408, 425, 429, 500, 502, 503, 504.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::RateLimited { .. }
            | Self::Timeout { .. }
            | Self::Unreachable { .. }
            | Self::Interrupted { .. }
            | Self::CircuitOpen { .. }
            | Self::OwnLimit { .. } => true,
            Self::UpstreamStatus { answer, .. } => matches!(answer.status, 408 | 425 | 500 | 502 | 503 | 504),
            Self::NotFound { .. }
            | Self::Unauthorized { .. }
            | Self::Denied { .. }
            | Self::Protocol { .. }
            | Self::DigestMismatch { .. }
            | Self::Refused { .. }
            | Self::TooLarge { .. }
            | Self::CredentialUnavailable { .. }
            | Self::Setup { .. } => false,
        }
    }

    /// The status the upstream answered with, when that is what failed the call.
    pub fn upstream_status(&self) -> Option<u16> {
        self.answer().map(|answer| answer.status)
    }

    /// The upstream's own words, when it had any.
    pub fn upstream_message(&self) -> Option<&str> {
        self.answer().and_then(|answer| answer.message.as_deref())
    }

    /// How long the upstream asks us to stay away, or our own rules do.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } | Self::UpstreamStatus { retry_after, .. } => *retry_after,
            Self::CircuitOpen { retry_after, .. } | Self::OwnLimit { retry_after, .. } => Some(*retry_after),
            Self::NotFound { .. }
            | Self::Unauthorized { .. }
            | Self::Denied { .. }
            | Self::Timeout { .. }
            | Self::Unreachable { .. }
            | Self::Interrupted { .. }
            | Self::Protocol { .. }
            | Self::DigestMismatch { .. }
            | Self::Refused { .. }
            | Self::TooLarge { .. }
            | Self::CredentialUnavailable { .. }
            | Self::Setup { .. } => None,
        }
    }

    /// The upstream's `host[:port]`.
    pub fn upstream(&self) -> &str {
        match self {
            Self::NotFound { upstream, .. }
            | Self::Unauthorized { upstream, .. }
            | Self::Denied { upstream, .. }
            | Self::RateLimited { upstream, .. }
            | Self::UpstreamStatus { upstream, .. }
            | Self::Timeout { upstream, .. }
            | Self::Unreachable { upstream, .. }
            | Self::Interrupted { upstream, .. }
            | Self::Protocol { upstream, .. }
            | Self::DigestMismatch { upstream, .. }
            | Self::Refused { upstream, .. }
            | Self::TooLarge { upstream, .. }
            | Self::CredentialUnavailable { upstream, .. }
            | Self::CircuitOpen { upstream, .. }
            | Self::OwnLimit { upstream, .. }
            | Self::Setup { upstream, .. } => upstream,
        }
    }

    fn answer(&self) -> Option<&UpstreamAnswer> {
        match self {
            Self::NotFound { answer, .. }
            | Self::Unauthorized { answer, .. }
            | Self::Denied { answer, .. }
            | Self::RateLimited { answer, .. }
            | Self::UpstreamStatus { answer, .. } => Some(answer),
            Self::Timeout { .. }
            | Self::Unreachable { .. }
            | Self::Interrupted { .. }
            | Self::Protocol { .. }
            | Self::DigestMismatch { .. }
            | Self::Refused { .. }
            | Self::TooLarge { .. }
            | Self::CredentialUnavailable { .. }
            | Self::CircuitOpen { .. }
            | Self::OwnLimit { .. }
            | Self::Setup { .. } => None,
        }
    }
}

impl TimeoutPhase {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "while connecting",
            Self::FirstByte => "while waiting for the answer",
            Self::Idle => "while waiting for more of the body",
        }
    }
}

fn spoken(answer: &UpstreamAnswer) -> String {
    answer.message.as_ref().map(|message| format!(" (\"{message}\")")).unwrap_or_default()
}

/// All causes of an error in one line; the texts of some repeat the next one's, which is then left out.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        next = cause.source();
    }
    text
}
