//! Response bodies. One wrapper a file, each a plain `http_body::Body`.
//!
//! Must not know endpoints. Invariant: a body either gives exactly the bytes its size hint promised or ends with an
//! error; hyper then cuts the connection, so that no client takes a part for the whole.

pub(crate) mod blob;
pub(crate) mod multipart;
pub(crate) mod outgoing;
pub(crate) mod reply;

pub(crate) use reply::Content;
pub use reply::ReplyBody;

use registry::PullError;

/// Why a body was cut.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The blob's bytes could not be had, or were wrong.
    #[error(transparent)]
    Pull(Box<PullError>),
    /// The stream ended before its promised length.
    #[error("the body ended {missing} bytes early")]
    Short {
        /// Bytes that did not come.
        missing: u64,
    },
    /// The stream went on past its promised length.
    #[error("the body went on past its length")]
    Long,
    /// A management answer's body failed.
    #[error(transparent)]
    Other(#[from] axum::Error),
}
