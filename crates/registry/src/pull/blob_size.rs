//! How large a blob is, without its bytes: from the store, from a manifest, or from upstream, which is asked once for all.
//!
//! Must not know fills. Invariants: an authoritative 404 is remembered for a moment; that the named upstream answers for a blob
//! is noted as a link.

use std::sync::Arc;

use client::RegistryClient;
use oci::{Digest, Reference, RepositoryName};

use super::blob::stored;
use super::flight::Flight;
use super::foreign;
use super::manifest::{is_linked, link, within_first_header};
use super::upstreams;
use crate::access::{Principal, Right};
use crate::core::Core;
use crate::error::{PullError, Subject};
use crate::metrics::PullKind;
use crate::outcome::PullOutcome;
use crate::repositories::Route;
use crate::sources::{Failure, Role};

/// Facts of a blob, without its bytes.
#[derive(Clone, Copy, Debug)]
pub struct BlobFacts {
    /// Its size in bytes.
    pub size: u64,
    /// How the question was answered.
    pub outcome: PullOutcome,
}

/// Tells a blob's size without fetching it. One that is not here is asked for upstream even when a manifest has told its
/// size: a manifest lists what its author says, which may be elsewhere (layers with URLs of their own) or nowhere, and a
/// HEAD says that the bytes can be had.
pub(crate) async fn stat(core: &Arc<Core>, route: &Route, digest: &Digest) -> Result<BlobFacts, PullError> {
    route.admitted(Right::Pull)?;
    let facts = match stat_here(core, route, digest).await {
        Err(absent @ PullError::BlobUnknown { .. }) => {
            let foreign = within_first_header(route, Box::pin(foreign::stat(core, route, digest))).await??;
            BlobFacts { size: foreign.ok_or(absent)?, outcome: PullOutcome::Miss }
        }
        told => told?,
    };
    route.repo.counters().pulled(PullKind::Blob, facts.outcome);
    Ok(facts)
}

/// Whether the blob can be had: as [`stat`], but nobody is answered by it.
pub(crate) async fn find_blob(core: &Arc<Core>, route: &Route, digest: &Digest) -> Result<(), PullError> {
    route.admitted(Right::Pull)?;
    match stat_here(core, route, digest).await {
        Err(absent @ PullError::BlobUnknown { .. }) => {
            let foreign = within_first_header(route, Box::pin(foreign::stat(core, route, digest))).await??;
            foreign.map(drop).ok_or(absent)
        }
        told => told.map(drop),
    }
}

async fn stat_here(core: &Arc<Core>, route: &Route, digest: &Digest) -> Result<BlobFacts, PullError> {
    if let Some((lease, outcome)) = stored(core, route, digest).await? {
        return Ok(BlobFacts { size: lease.handle().size(), outcome });
    }
    let size = within_first_header(route, size_upstream(core, route, digest)).await??;
    Ok(BlobFacts { size, outcome: PullOutcome::Miss })
}

/// Questions for a blob's size.
pub(crate) struct SizeFlight;

impl Flight for SizeFlight {
    type Key = (Arc<str>, RepositoryName, Digest, Principal);
    type Answer = u64;
}

/// Asks upstream for the size, once for all who want to know it now; an authoritative 404 is remembered.
pub(super) async fn size_upstream(core: &Arc<Core>, route: &Route, digest: &Digest) -> Result<u64, PullError> {
    known_absent(core, route, digest)?;
    let key = (route.repo.key().clone(), route.name.clone(), *digest, route.principal());
    core.size_flights.join(key, || ask_size(core.clone(), route.clone(), *digest)).await
}

/// Who is not known to have the blob is asked first; that the named upstream has it is noted as a link.
async fn ask_size(core: Arc<Core>, route: Route, digest: Digest) -> Result<u64, PullError> {
    let head = |client: RegistryClient, name| async move { client.head_blob(&name, &digest).await };
    let linked = is_linked(&core, &route, &digest).await?;
    let asked = if linked {
        upstreams::ask_any(&route, "blob head", &digest, head).await
    } else {
        upstreams::ask_named(&core, &route, "blob head", Some(digest), head).await
    };
    let failed = |failure: Failure| upstreams::failed(&route, &Subject::Blob(digest), &failure);
    let answered = asked.map_err(|failure| note_absent(&core, &route, &digest, failed(failure)))?;
    if !linked && answered.by.role() == Role::Named {
        link(&core, &route, &digest).await;
    }
    let size = answered.value.size.ok_or_else(|| PullError::UpstreamFailed {
        said: super::manifest::said(&route, "does not tell the size of a blob"),
    })?;
    // Before the flight ends: whoever comes after it finds this.
    core.memory.keep_size(&route, &digest, size);
    Ok(size)
}

/// Asks upstream whether this name has the blob. Its answer, or that of a mirror that stands in for it, is noted as a link.
pub(super) async fn confirm(core: &Arc<Core>, route: &Route, digest: &Digest) -> Result<(), PullError> {
    size_upstream(core, route, digest).await?;
    if !is_linked(core, route, digest).await? {
        link(core, route, digest).await;
    }
    Ok(())
}

pub(super) fn known_absent(core: &Core, route: &Route, digest: &Digest) -> Result<(), PullError> {
    let absent = core.memory.absent(route, &Reference::Digest(*digest));
    match absent {
        Some(error @ PullError::BlobUnknown { .. }) => Err(error),
        _ => Ok(()),
    }
}

pub(super) fn note_absent(core: &Core, route: &Route, digest: &Digest, error: PullError) -> PullError {
    if matches!(error, PullError::BlobUnknown { .. }) {
        core.memory.keep_absent(route, &Reference::Digest(*digest), &error);
    }
    error
}

/// The size that a manifest pulled under this name told.
pub(super) async fn known_size(core: &Core, route: &Route, digest: &Digest) -> Result<Option<u64>, PullError> {
    let listed = core.metadata.find_listed(&route.repo.spec().key, &route.name, digest).await;
    Ok(listed.map_err(|e| PullError::storage(&e))?.map(|row| row.size))
}
