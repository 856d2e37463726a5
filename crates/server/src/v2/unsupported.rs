//! Endpoints of the distribution API that this version does not have, each with an answer that says so.
//!
//! Must not know anything of content. Invariant: no endpoint pretends: an empty list where nothing was looked up would
//! be a lie.

use http::StatusCode;
use oci::ErrorCode;

use crate::respond::Failure;

/// Every write to a repository that pulls from upstreams.
pub(crate) fn push(repo_key: &str) -> Failure {
    let message = format!(
        "repository '{repo_key}' is a cache in front of an upstream and takes no pushes; push to a repository of kind hosted"
    );
    Failure::method_not_allowed("GET, HEAD", &message)
}

/// A method that this endpoint of a hosted repository does not have.
pub(crate) fn method(allow: &'static str) -> Failure {
    Failure::method_not_allowed(allow, "this endpoint does not have this method")
}

/// `/v2/_catalog` where no hosted repository answers: a cache knows only what was pulled, which is not what upstreams have.
pub(crate) fn catalog() -> Failure {
    Failure::new(
        StatusCode::NOT_FOUND,
        ErrorCode::Unsupported,
        "a catalog is not available; GET /api/repos lists the configured repositories",
    )
}
