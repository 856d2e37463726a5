//! Why a hosted repository refuses.
//!
//! Must not know status codes. Invariant: each variant is one thing a client or an operator can do something about;
//! except for `Storage` and `Damaged` nothing of ours has failed.

use std::sync::Arc;
use std::time::Duration;

use blob_store::StoreError;
use metadata::{DeleteRefused, MetadataError, PushRefused};
use oci::{Digest, ManifestError};

use super::promotion::RuleVerdict;
use crate::error::PullError;

/// Why a push, a delete or a read of a hosted repository failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum HostedError {
    /// Nothing was pushed under this name.
    #[error("nothing was pushed to '{0}' yet")]
    NameUnknown(Arc<str>),
    /// There is no such tag or manifest.
    #[error("manifest {0} is not in this repository")]
    ManifestUnknown(Arc<str>),
    /// There is no such blob.
    #[error("blob {0} is not in this repository")]
    BlobUnknown(Box<Digest>),
    /// There is no such upload, or it is not the caller's.
    #[error("no such upload; it may have ended or expired: begin a new one")]
    UploadUnknown,
    /// The chunk is not the one that comes next.
    #[error("the chunk does not follow what is here: {received} bytes were received, continue behind them")]
    OutOfOrder {
        /// Bytes received so far.
        received: u64,
    },
    /// Another request writes to the upload.
    #[error("another request is writing to this upload")]
    UploadBusy,
    /// The body is not as long as the request said.
    #[error("the request announced {announced} bytes and carried {received}; nothing of it was kept")]
    SizeInvalid {
        /// Bytes announced by `Content-Range`.
        announced: u64,
        /// Bytes that came.
        received: u64,
    },
    /// The client's body broke off. What came is kept; `received` says how much there is now.
    #[error("the body broke off after {received} bytes: {why}")]
    BodyBroke {
        /// Bytes received in all.
        received: u64,
        /// What the connection says.
        why: Arc<str>,
    },
    /// The bytes do not hash to the digest they were pushed under.
    #[error("the bytes hash to {actual}, not to {said}")]
    DigestMismatch {
        /// The digest in the request.
        said: Box<Digest>,
        /// The digest of the bytes.
        actual: Box<Digest>,
    },
    /// The manifest is not one that is taken.
    #[error("{0}")]
    ManifestInvalid(Arc<str>),
    /// The manifest lists something that is not here.
    #[error("{0}")]
    ManifestBlobUnknown(Arc<str>),
    /// The manifest or blob is larger than is taken.
    #[error("{what} is larger than {limit} bytes, which is the most that is taken")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// So much is under way that no more is taken for now.
    #[error("{what}; finish or cancel some first")]
    TooMany {
        /// What there is too much of.
        what: Arc<str>,
        /// When it is worth trying again.
        retry_after: Duration,
    },
    /// A rule forbids it.
    #[error("{0}")]
    Denied(Arc<str>),
    /// There is no such thing for the management API.
    #[error("{0}")]
    NotFound(Arc<str>),
    /// A tag did not point to anything that is here, at the time asked for.
    #[error("{0}")]
    NotThen(Arc<str>),
    /// What was asked for does not go with how things are now.
    #[error("{0}")]
    Conflict(Arc<str>),
    /// What was asked for makes no sense.
    #[error("{0}")]
    Invalid(Arc<str>),
    /// A promotion's rules are not all met.
    #[error("{}", words(.0))]
    RulesNotMet(Arc<[RuleVerdict]>),
    /// The caller must show who it is.
    #[error("pushing to '{repo_key}' needs a login: any user name, and the admin token of this server as the password")]
    Unauthorized {
        /// The repository.
        repo_key: Arc<str>,
    },
    /// The disk is full. Nothing acknowledged is lost, and the upload can go on later.
    #[error("no space left for pushes; what was received is kept: continue when there is room")]
    NoSpace,
    /// The disk is full, and the upload ended with it: what a failed sync left cannot be trusted.
    #[error("no space left for pushes; this upload is given up: begin it again when there is room")]
    NoSpaceUploadLost,
    /// The disk is so full that nothing can be deleted. Nothing was.
    #[error("no space left, not even to delete: make some room on the server's disk, then delete again")]
    NoSpaceToDelete,
    /// Stored bytes cannot be read, or are not what they were.
    #[error("the stored bytes of {0} are damaged or gone; restore them from a backup or push them again")]
    Damaged(Box<Digest>),
    /// Our own disk or database failed.
    #[error("local storage failed: {0}")]
    Storage(Arc<str>),
}

fn words(verdicts: &[RuleVerdict]) -> String {
    let failed = verdicts.iter().filter(|verdict| !verdict.passed);
    failed.map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl HostedError {
    /// The same error where it has ended the upload.
    pub(super) fn upload_lost(self) -> Self {
        if matches!(self, Self::NoSpace) { Self::NoSpaceUploadLost } else { self }
    }

    /// Wraps a failure of our own disk or database.
    pub(crate) fn storage(source: &(dyn std::error::Error + 'static)) -> Self {
        match PullError::storage(source) {
            PullError::Storage(text) => Self::Storage(text),
            other => Self::Storage(other.to_string().into()),
        }
    }
}

impl From<StoreError> for HostedError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NoSpace { .. } => Self::NoSpace,
            other => Self::storage(&other),
        }
    }
}

impl From<MetadataError> for HostedError {
    fn from(error: MetadataError) -> Self {
        match error {
            MetadataError::NoSpace { .. } => Self::NoSpace,
            other => Self::storage(&other),
        }
    }
}

impl From<PushRefused> for HostedError {
    fn from(refused: PushRefused) -> Self {
        let text: Arc<str> = refused.to_string().into();
        match refused {
            PushRefused::Missing { .. } => Self::ManifestBlobUnknown(text),
            PushRefused::WrongSize { .. } | PushRefused::WrongType { .. } | PushRefused::OtherType { .. } => {
                Self::ManifestInvalid(text)
            }
            PushRefused::Channel { .. } => {
                Self::Denied(format!("{text}; push the version's tag first, then set the channel to it").into())
            }
            PushRefused::Immutable { .. } => Self::Denied(format!("{text}; push under another tag").into()),
        }
    }
}

impl From<ManifestError> for HostedError {
    fn from(error: ManifestError) -> Self {
        match error {
            ManifestError::TooLarge { .. } => {
                Self::TooLarge { what: "the manifest", limit: oci::limits::MAX_MANIFEST_BYTES as u64 }
            }
            other => Self::ManifestInvalid(other.to_string().into()),
        }
    }
}

/// Turns a refused delete into our error; `unknown` is what it means that the thing is not there.
pub(super) fn delete_refused(refused: &DeleteRefused, unknown: HostedError) -> HostedError {
    match refused {
        DeleteRefused::NotThere => unknown,
        DeleteRefused::Immutable { .. } | DeleteRefused::TooManyHolders => {
            HostedError::Denied(format!("not deleted: {refused}").into())
        }
    }
}
