//! Endpoints of the distribution API that this version does not have, each with an answer that says so.
//!
//! Must not know anything of content. Invariant: no endpoint pretends: an empty list where nothing was looked up would
//! be a lie.

use http::StatusCode;
use oci::ErrorCode;

use crate::respond::Failure;

/// Every write under `/v2`.
pub(crate) fn push() -> Failure {
    Failure::method_not_allowed(
        "GET, HEAD",
        "this registry is a pull-through cache and takes no pushes; pushes come with hosted repositories",
    )
}

/// `/v2/<name>/blobs/uploads/…` with a reading method.
pub(crate) fn uploads() -> Failure {
    Failure::new(
        StatusCode::NOT_FOUND,
        ErrorCode::BlobUploadUnknown,
        "no such upload; pushes come with hosted repositories",
    )
}

/// `/v2/_catalog`: a cache knows only what was pulled, which is not what upstreams have.
pub(crate) fn catalog() -> Failure {
    Failure::new(
        StatusCode::NOT_FOUND,
        ErrorCode::Unsupported,
        "a catalog is not available; GET /api/repos lists the configured repositories",
    )
}
