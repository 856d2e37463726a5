//! Everything that can go wrong, as one type, and the exit code of each.
//!
//! Must not know how errors are shown (`report`). Invariants: an error says what failed in words a person can act on and
//! keeps its cause; the exit code follows from the variant alone; none carries a credential.

use std::path::PathBuf;

use client::ClientError;
use oci::Digest;

/// Why the program ends without success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExitReason {
    /// Anything that has no code of its own: files that cannot be written, a layer that breaks its format.
    Other,
    /// The command line or the configuration is wrong.
    Usage,
    /// There is no such image, layer or path.
    NotFound,
    /// The registry wants another login.
    Auth,
    /// Content is not what its digest says.
    Verification,
    /// Some files could not be fetched.
    SomeFailed,
    /// A layer cannot be read in parts.
    NotLazy,
    /// The registry could not be reached, or did not answer as one.
    Network,
}

impl ExitReason {
    /// The exit code.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Other => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Auth => 4,
            Self::Verification => 5,
            Self::SomeFailed => 6,
            Self::NotLazy => 7,
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
            Self::NotLazy => "not_lazy",
            Self::Network => "network",
        }
    }
}

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StargetError {
    /// The command line or the configuration is wrong.
    #[error("{0}")]
    Usage(String),
    /// The registry does not have the image.
    #[error("there is no image {image}")]
    NoImage {
        /// As it was asked for.
        image: String,
        /// What the registry said.
        source: Box<ClientError>,
    },
    /// The image has nothing for this platform.
    #[error("{image} has no image for {wanted}; it has {}", offered.join(", "))]
    NoPlatform {
        /// As it was asked for.
        image: String,
        /// The platform.
        wanted: String,
        /// What there is.
        offered: Vec<String>,
    },
    /// The image has no such layer.
    #[error("{image} has no layer {digest}; `starget info` lists its layers")]
    NoLayer {
        /// As it was asked for.
        image: String,
        /// The layer.
        digest: String,
    },
    /// A manifest that cannot be used.
    #[error("the manifest {digest} cannot be used: {what}")]
    BadManifest {
        /// Of the manifest.
        digest: Box<Digest>,
        /// Why not.
        what: String,
    },
    /// A call to the registry failed.
    #[error("cannot {doing}")]
    Registry {
        /// What was being done.
        doing: String,
        /// Why it failed.
        source: Box<ClientError>,
    },
    /// A local file or folder.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// Standard output or input.
    #[error("cannot {doing}")]
    Stream {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
}

impl StargetError {
    /// The reason that decides the exit code.
    pub(crate) fn reason(&self) -> ExitReason {
        match self {
            Self::Usage(_) => ExitReason::Usage,
            Self::NoImage { .. } | Self::NoPlatform { .. } | Self::NoLayer { .. } => ExitReason::NotFound,
            Self::BadManifest { .. } => ExitReason::Network,
            Self::Registry { source, .. } => of_client(source),
            Self::Io { .. } | Self::Stream { .. } => ExitReason::Other,
        }
    }

    /// Facts for programs: names and values.
    pub(crate) fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Usage(_) | Self::Stream { .. } => Vec::new(),
            Self::NoImage { image, source } => {
                vec![("image", image.clone()), ("registry", source.upstream().to_owned())]
            }
            Self::NoPlatform { image, wanted, offered } => {
                vec![("image", image.clone()), ("platform", wanted.clone()), ("offered", offered.join(","))]
            }
            Self::NoLayer { image, digest } => vec![("image", image.clone()), ("layer", digest.clone())],
            Self::BadManifest { digest, .. } => vec![("manifest", digest.to_string())],
            Self::Registry { source, .. } => {
                let mut details = vec![("registry", source.upstream().to_owned())];
                details.extend(source.upstream_status().map(|status| ("status", status.to_string())));
                details
            }
            Self::Io { path, .. } => vec![("path", path.display().to_string())],
        }
    }
}

/// What a failed call means for the one who typed the command.
pub(crate) fn of_client(error: &ClientError) -> ExitReason {
    match error {
        ClientError::NotFound { .. } => ExitReason::NotFound,
        ClientError::Unauthorized { .. } | ClientError::Denied { .. } | ClientError::CredentialUnavailable { .. } => {
            ExitReason::Auth
        }
        ClientError::DigestMismatch { .. } => ExitReason::Verification,
        ClientError::Setup { .. } => ExitReason::Usage,
        ClientError::RateLimited { .. }
        | ClientError::UpstreamStatus { .. }
        | ClientError::Timeout { .. }
        | ClientError::Unreachable { .. }
        | ClientError::Interrupted { .. }
        | ClientError::Protocol { .. }
        | ClientError::Refused { .. }
        | ClientError::TooLarge { .. }
        | ClientError::CircuitOpen { .. }
        | ClientError::OwnLimit { .. } => ExitReason::Network,
    }
}
