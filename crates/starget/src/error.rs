//! Everything that can go wrong, as one type, and the exit code of each.
//!
//! Must not know how errors are shown (`report`). Invariants: an error says what failed in words a person can act on and
//! keeps its cause; the exit code follows from the variant alone; none carries a credential.

use std::path::PathBuf;

use client::ClientError;
use config_document::problem::Problems;
use estargz::NotLazy;
use oci::Digest;

use crate::config::SealError;

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
    /// All of them, by their codes.
    pub(crate) const ALL: [Self; 8] = [
        Self::Other,
        Self::Usage,
        Self::NotFound,
        Self::Auth,
        Self::Verification,
        Self::SomeFailed,
        Self::NotLazy,
        Self::Network,
    ];

    /// What it means, for the help and the documentation.
    pub(crate) const fn meaning(self) -> &'static str {
        match self {
            Self::Other => "anything else: a file that cannot be written, a layer that breaks its format",
            Self::Usage => "the command line or the configuration is wrong",
            Self::NotFound => "there is no such image, layer, path or field",
            Self::Auth => "the registry wants a login, or another one",
            Self::Verification => "content is not what its digest says",
            Self::SomeFailed => "some files failed; the others are there",
            Self::NotLazy => "a layer cannot be read in parts",
            Self::Network => "the registry could not be reached, or did not answer as one",
        }
    }

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
    /// The configuration file is wrong.
    #[error("{0}")]
    Config(Problems),
    /// A field of the configuration has no value.
    #[error("{field} is not set")]
    NotSet {
        /// Its path.
        field: String,
    },
    /// A stored password cannot be used.
    #[error("the login stored for {host} cannot be used")]
    Sealed {
        /// The registry it is for.
        host: String,
        /// Why not.
        source: SealError,
    },
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
    /// The image has nothing at this path.
    #[error("{image} has no {path}")]
    NoPath {
        /// As it was asked for.
        image: String,
        /// What was looked for.
        path: String,
        /// Where the way there ends, when it is not that nothing is there.
        source: Option<Box<estargz::Error>>,
    },
    /// A layer cannot be read in parts.
    #[error(
        "the layer {layer} cannot be read in parts: {why}; with --allow-full-layers it is read whole ({size} bytes)"
    )]
    NotLazy {
        /// The layer.
        layer: Box<Digest>,
        /// Of the whole layer, in bytes.
        size: u64,
        /// Why.
        why: NotLazy,
    },
    /// The registry sends whole layers when parts are asked for.
    #[error(
        "{registry} answers the whole layer {layer} when a part is asked for, so nothing can be read from it in parts"
    )]
    NoRanges {
        /// Who was asked.
        registry: String,
        /// The layer.
        layer: Box<Digest>,
    },
    /// A layer is not as its format says, or not what its digests say.
    #[error("layer {layer}")]
    Layer {
        /// The layer.
        layer: Box<Digest>,
        /// What is wrong.
        source: Box<estargz::Error>,
    },
    /// A layer that was read whole is another one.
    #[error("the layer {expected} does not match its digest: found {found}")]
    WrongLayer {
        /// The digest in the manifest.
        expected: Box<Digest>,
        /// Of what came.
        found: Box<Digest>,
    },
    /// Something in the way of a file that is to be written.
    #[error("cannot write {path}: {why}")]
    InTheWay {
        /// Below the folder that is written to.
        path: String,
        /// What is there.
        why: String,
    },
    /// What another file failed of that was on its way in the same request.
    #[error("{what}")]
    Shared {
        /// Why that one failed.
        what: String,
        /// The reason of that.
        reason: ExitReason,
    },
    /// Some files failed; each was reported.
    #[error("{failed} of {total} files failed{}", first.as_ref().map(|first| format!("; the first: {first}")).unwrap_or_default())]
    SomeFailed {
        /// How many.
        failed: usize,
        /// Of how many.
        total: usize,
        /// What decides the exit code.
        reason: ExitReason,
        /// Why the first one failed.
        first: Option<String>,
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
    /// Whether nobody reads standard output any more.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Stream { source, .. } if source.kind() == std::io::ErrorKind::BrokenPipe)
    }

    /// The reason that decides the exit code.
    pub(crate) fn reason(&self) -> ExitReason {
        match self {
            Self::Usage(_) | Self::Config(_) => ExitReason::Usage,
            Self::Sealed { .. } => ExitReason::Auth,
            Self::NotSet { .. }
            | Self::NoImage { .. }
            | Self::NoPlatform { .. }
            | Self::NoLayer { .. }
            | Self::NoPath { .. } => ExitReason::NotFound,
            Self::BadManifest { .. } | Self::NoRanges { .. } => ExitReason::Network,
            Self::Registry { source, .. } => of_client(source),
            Self::NotLazy { .. } => ExitReason::NotLazy,
            Self::Layer { source, .. } => of_layer(source),
            Self::WrongLayer { .. } => ExitReason::Verification,
            Self::SomeFailed { reason, .. } | Self::Shared { reason, .. } => *reason,
            Self::InTheWay { .. } | Self::Io { .. } | Self::Stream { .. } => ExitReason::Other,
        }
    }

    /// Facts for programs: names and values.
    pub(crate) fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Usage(_) | Self::Stream { .. } | Self::Shared { .. } => Vec::new(),
            Self::Config(problems) => {
                let places = problems.iter().map(|problem| format!("{}: {}", problem.origin, problem.path));
                vec![("fields", places.collect::<Vec<_>>().join(", "))]
            }
            Self::NotSet { field } => vec![("field", field.clone())],
            Self::Sealed { host, .. } => vec![("registry", host.clone())],
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
            Self::InTheWay { path, .. } => vec![("path", path.clone())],
            Self::NoPath { image, path, .. } => vec![("image", image.clone()), ("path", path.clone())],
            Self::NotLazy { layer, size, why } => {
                vec![("layer", layer.to_string()), ("size", size.to_string()), ("why", why.to_string())]
            }
            Self::NoRanges { registry, layer } => vec![("registry", registry.clone()), ("layer", layer.to_string())],
            Self::Layer { layer, source } => layer_details(layer, source),
            Self::WrongLayer { expected, found } => {
                vec![("layer", expected.to_string()), ("expected", expected.to_string()), ("found", found.to_string())]
            }
            Self::SomeFailed { failed, total, .. } => {
                vec![("failed", failed.to_string()), ("total", total.to_string())]
            }
        }
    }
}

/// What is wrong with a layer, as a reason.
fn of_layer(error: &estargz::Error) -> ExitReason {
    match error {
        estargz::Error::Verification(_) | estargz::Error::NoTocDigest { .. } | estargz::Error::Unverifiable { .. } => {
            ExitReason::Verification
        }
        estargz::Error::NotFound { .. } | estargz::Error::NotADirectory { .. } | estargz::Error::NotAFile { .. } => {
            ExitReason::NotFound
        }
        estargz::Error::NotLazy { .. } => ExitReason::NotLazy,
        _ => ExitReason::Other,
    }
}

fn layer_details(layer: &Digest, error: &estargz::Error) -> Vec<(&'static str, String)> {
    let mut details = vec![("layer", layer.to_string())];
    if let estargz::Error::Verification(mismatch) = error {
        details.extend(mismatch.path.iter().map(|path| ("path", path.clone())));
        details.push(("offset", mismatch.offset.to_string()));
        details.push(("expected", mismatch.expected.to_string()));
        details.push(("found", mismatch.found.to_string()));
    }
    details
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
