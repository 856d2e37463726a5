//! The statuses of groups' refusals: a part of `respond`.
//!
//! Must not know endpoints. Invariants: a member's failure has the status that it has without a group; only what all
//! members said no to is a 404.

use http::StatusCode;
use oci::ErrorCode;
use registry::{GroupError, Sought};
use serde_json::{Value, json};

/// What each refusal is answered with.
pub(super) fn status_of(error: &GroupError) -> (StatusCode, ErrorCode) {
    match error {
        GroupError::NobodyHas { sought, .. } => {
            let code = match sought {
                Sought::Manifest => ErrorCode::ManifestUnknown,
                Sought::Blob => ErrorCode::BlobUnknown,
                Sought::Name => ErrorCode::NameUnknown,
            };
            (StatusCode::NOT_FOUND, code)
        }
        GroupError::MemberFailed { error, .. } => super::status_of(error),
        GroupError::MemberUnusable { .. } => (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unknown),
        GroupError::TakesNoPushes { .. } => (StatusCode::METHOD_NOT_ALLOWED, ErrorCode::Unsupported),
        GroupError::KeptByAnother { .. } => (StatusCode::FORBIDDEN, ErrorCode::Denied),
    }
}

/// Adds the group, and the member that it is about.
pub(super) fn detail(error: &GroupError, mut detail: Value) -> Value {
    let group = match error {
        GroupError::NobodyHas { group, .. }
        | GroupError::MemberFailed { group, .. }
        | GroupError::MemberUnusable { group, .. }
        | GroupError::TakesNoPushes { group, .. }
        | GroupError::KeptByAnother { group, .. } => group,
    };
    if detail.is_null() {
        detail = json!({});
    }
    detail["group"] = Value::from(&**group);
    if let Some(member) = error.member() {
        detail["member"] = Value::from(&**member);
    }
    detail
}
