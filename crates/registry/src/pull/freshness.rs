//! When a tag may be trusted, and when a stale one may stand in (RFC 9111 section 4.2.4; docs/decisions on tags).
//!
//! Pure. Invariant: an authoritative 404 is never papered over, and an age is never negative.

use std::sync::Arc;
use std::time::Duration;

use crate::error::PullError;
use crate::repositories::RepositorySpec;

/// Says why a tag confirmed `age` ago may be served although the check failed with `error`; `None`: it may not.
pub(super) fn stale_reason(error: &PullError, age: Duration, spec: &RepositorySpec) -> Option<Arc<str>> {
    let window = match error {
        PullError::RateLimited { .. }
        | PullError::UpstreamFailed { .. }
        | PullError::UpstreamUnreachable { .. }
        | PullError::UpstreamTimeout { .. }
        | PullError::UpstreamResting { .. }
        | PullError::EgressRefused { .. }
        | PullError::Corrupt { .. }
        | PullError::ManifestInvalid { .. }
        | PullError::Storage(_)
        | PullError::ShuttingDown => spec.stale_if_error,
        PullError::Denied { .. } => spec.stale_if_denied,
        // Whose rights are not known gets nothing, however old the copy.
        PullError::Unauthorized { .. }
        | PullError::AccessUndecided { .. }
        | PullError::NameInvalid(_)
        | PullError::NameUnknown(_)
        | PullError::ManifestUnknown { .. }
        | PullError::BlobUnknown { .. }
        | PullError::Unsupported(_)
        | PullError::Group(_)
        | PullError::Hosted(_) => return None,
    };
    let limit = spec.tag_ttl.saturating_add(window);
    (age <= limit && !window.is_zero()).then(|| error.to_string().into())
}

/// How long a tag rests after a failed check before upstream is asked again.
pub(super) fn rest_after(error: &PullError) -> Duration {
    let most = Duration::from_hours(1);
    let usual = Duration::from_secs(5);
    if let PullError::RateLimited { retry_after, .. } = error {
        return retry_after.unwrap_or(Duration::from_secs(30)).min(most);
    }
    if let PullError::UpstreamResting { retry_after, .. } = error {
        return (*retry_after).clamp(Duration::from_secs(1), usual);
    }
    usual
}
