//! The statuses of hosted repositories' refusals: a part of `respond`.
//!
//! Must not know endpoints. Invariant: the table is complete; 5xx is for what failed on our side, and a full disk is a 507
//! of its own, because an operator can do something about it.

use std::time::Duration;

use http::{HeaderValue, StatusCode};
use oci::{ErrorCode, ErrorEntry};
use registry::{HostedError, RuleVerdict};
use serde_json::json;

/// What each refusal is answered with.
pub(super) fn status_of(error: &HostedError) -> (StatusCode, ErrorCode) {
    match error {
        HostedError::NameUnknown(_) | HostedError::NotFound(_) => (StatusCode::NOT_FOUND, ErrorCode::NameUnknown),
        HostedError::ManifestUnknown(_) | HostedError::NotThen(_) => {
            (StatusCode::NOT_FOUND, ErrorCode::ManifestUnknown)
        }
        HostedError::BlobUnknown(_) => (StatusCode::NOT_FOUND, ErrorCode::BlobUnknown),
        HostedError::UploadUnknown => (StatusCode::NOT_FOUND, ErrorCode::BlobUploadUnknown),
        HostedError::OutOfOrder { .. } => (StatusCode::RANGE_NOT_SATISFIABLE, ErrorCode::BlobUploadInvalid),
        HostedError::UploadBusy => (StatusCode::CONFLICT, ErrorCode::BlobUploadInvalid),
        HostedError::SizeInvalid { .. } => (StatusCode::BAD_REQUEST, ErrorCode::SizeInvalid),
        HostedError::BodyBroke { .. } => (StatusCode::BAD_REQUEST, ErrorCode::BlobUploadInvalid),
        HostedError::DigestMismatch { .. } => (StatusCode::BAD_REQUEST, ErrorCode::DigestInvalid),
        HostedError::ManifestInvalid(_) => (StatusCode::BAD_REQUEST, ErrorCode::ManifestInvalid),
        HostedError::ManifestBlobUnknown(_) => (StatusCode::BAD_REQUEST, ErrorCode::ManifestBlobUnknown),
        HostedError::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::SizeInvalid),
        HostedError::TooMany { .. } => (StatusCode::TOO_MANY_REQUESTS, ErrorCode::TooManyRequests),
        HostedError::Denied(_) | HostedError::RulesNotMet(_) => (StatusCode::FORBIDDEN, ErrorCode::Denied),
        HostedError::Conflict(_) => (StatusCode::CONFLICT, ErrorCode::Denied),
        HostedError::Invalid(_) => (StatusCode::BAD_REQUEST, ErrorCode::Unsupported),
        HostedError::Unauthorized { .. } => (StatusCode::UNAUTHORIZED, ErrorCode::Unauthorized),
        HostedError::NoSpace | HostedError::NoSpaceUploadLost | HostedError::NoSpaceToDelete => {
            (StatusCode::INSUFFICIENT_STORAGE, ErrorCode::Unknown)
        }
        HostedError::Damaged(_) | HostedError::Storage(_) => (StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::Unknown),
    }
}

pub(super) fn retry_after(error: &HostedError) -> Option<Duration> {
    match error {
        HostedError::TooMany { retry_after, .. } => Some(*retry_after),
        HostedError::UploadBusy => Some(Duration::from_secs(1)),
        HostedError::NameUnknown(_)
        | HostedError::ManifestUnknown(_)
        | HostedError::BlobUnknown(_)
        | HostedError::UploadUnknown
        | HostedError::OutOfOrder { .. }
        | HostedError::SizeInvalid { .. }
        | HostedError::BodyBroke { .. }
        | HostedError::DigestMismatch { .. }
        | HostedError::ManifestInvalid(_)
        | HostedError::ManifestBlobUnknown(_)
        | HostedError::TooLarge { .. }
        | HostedError::Denied(_)
        | HostedError::NotFound(_)
        | HostedError::NotThen(_)
        | HostedError::Conflict(_)
        | HostedError::Invalid(_)
        | HostedError::RulesNotMet(_)
        | HostedError::Unauthorized { .. }
        | HostedError::NoSpace
        | HostedError::NoSpaceUploadLost
        | HostedError::NoSpaceToDelete
        | HostedError::Damaged(_)
        | HostedError::Storage(_) => None,
    }
}

/// The errors of a promotion that was refused: one for each rule that is not met.
pub(super) fn entries_of(error: &HostedError) -> Option<Vec<ErrorEntry>> {
    let HostedError::RulesNotMet(verdicts) = error else { return None };
    let entry = |verdict: &RuleVerdict| ErrorEntry {
        code: ErrorCode::Denied,
        message: verdict.to_string(),
        detail: json!({ "rule": verdict.rule, "evidence": verdict.evidence, "advice": verdict.advice }),
    };
    Some(verdicts.iter().filter(|verdict| !verdict.passed).map(entry).collect())
}

/// Where an upload goes on, for a chunk that came out of order.
pub(super) fn range_of(error: &HostedError) -> Option<HeaderValue> {
    match error {
        HostedError::OutOfOrder { received } | HostedError::BodyBroke { received, .. } => {
            Some(received_range(*received))
        }
        _ => None,
    }
}

/// `Range` of an upload: the first and the last byte that are here. Of none it is `0-0`, as there is no other way to say
/// it; a client that goes on behind it is told so by the next 416.
pub(crate) fn received_range(received: u64) -> HeaderValue {
    let value = HeaderValue::try_from(format!("0-{}", received.saturating_sub(1)));
    value.unwrap_or(HeaderValue::from_static("0-0"))
}
