//! Where the bytes of a pushed blob come from.
//!
//! Must not know registries. Invariant: what fails at the source is told apart from what fails at the registry.

use futures_util::future::BoxFuture;

use crate::error::{ClientError, SharedError};
use crate::payload::OutgoingBytes;

/// The bytes of a blob from some offset to its end.
pub type BlobStream = OutgoingBytes;

/// A blob that can be read from any offset, again and again: an upload that broke off goes on where the registry says.
pub trait BlobSource: Send + Sync {
    /// Its bytes from `offset` to its end.
    fn open(&self, offset: u64) -> BoxFuture<'_, Result<BlobStream, SharedError>>;
}

/// Why a blob could not be pushed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum UploadError {
    /// The registry, or the way to it.
    #[error(transparent)]
    Registry(#[from] ClientError),
    /// The bytes could not be had, or were not those of the digest.
    #[error("{0}")]
    Source(SharedError),
}
