//! What a route carries of the decision about its caller.
//!
//! Must not make the decision. Invariants: a route to a repository with `auth: passthrough` starts unchecked, and an
//! unchecked route gets nothing: an endpoint that forgets to authorise answers with a refusal; a grant asks upstream
//! with its caller's credential and no other.

use std::fmt;
use std::sync::Arc;

use client::RegistryClient;
use oci::RepositoryName;

use super::caller::Principal;
use super::table::{Access, Right};
use crate::error::PullError;

/// Whether, and as whom, a pull may go on.
#[derive(Clone, Debug)]
pub(crate) enum Admission {
    /// The repository has one credential (or none) for all callers.
    Open,
    /// Nobody has decided yet.
    Unchecked,
    /// Upstream lets this caller pull.
    Granted(Grant),
}

/// A decision in a caller's favour.
#[derive(Clone)]
pub(crate) struct Grant {
    pub(super) access: Arc<Access>,
    pub(super) principal: Principal,
    pub(super) right: Right,
    pub(super) client: RegistryClient,
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant").field("principal", &self.principal).field("right", &self.right).finish_non_exhaustive()
    }
}

impl Admission {
    /// Whose rights are used.
    pub(crate) fn principal(&self) -> Principal {
        match self {
            Self::Open => Principal::Repository,
            Self::Unchecked => Principal::Anonymous,
            Self::Granted(grant) => grant.principal,
        }
    }

    /// Whether callers have rights of their own here.
    pub(crate) fn is_per_caller(&self) -> bool {
        match self {
            Self::Open => false,
            Self::Unchecked | Self::Granted(_) => true,
        }
    }

    /// Whether the decision covers `right`.
    pub(crate) fn covers(&self, right: Right) -> bool {
        match self {
            Self::Open => true,
            Self::Unchecked => false,
            Self::Granted(grant) => grant.right == right,
        }
    }

    /// The client to ask upstream with; `own` is the repository's.
    pub(crate) fn client<'a>(&'a self, own: &'a RegistryClient) -> &'a RegistryClient {
        match self {
            // Verbs refuse an unchecked route before they ask; the repository's own client has no credential either.
            Self::Open | Self::Unchecked => own,
            Self::Granted(grant) => &grant.client,
        }
    }

    /// Draws the consequences of what upstream answered: a refusal ends the grant at once, whatever it was for.
    pub(crate) fn judge(&self, name: &RepositoryName, error: PullError) -> PullError {
        let Self::Granted(grant) = self else { return error };
        match error {
            PullError::Denied { said } => {
                grant.access.withdraw(grant.principal, name);
                PullError::unauthorized(&said.repo_key, &said.upstream)
            }
            PullError::ManifestUnknown { .. } | PullError::BlobUnknown { .. } => {
                grant.access.withdraw(grant.principal, name);
                error
            }
            other => other,
        }
    }
}
