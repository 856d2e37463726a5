//! Who refers to a manifest, as it was pushed.
//!
//! Must not know HTTP. Invariant: a page is bounded in entries and in bytes: annotations are copied, and may be large.

use oci::limits::MAX_MANIFEST_BYTES;
use oci::{Digest, Referrer};

use super::error::HostedError;
use super::repository::HostedRoute;
use super::tags::page;
use crate::core::Core;
use crate::error::PullError;
use crate::metrics::PullKind;
use crate::outcome::PullOutcome;

/// What part of a list is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReferrersQuery<'a> {
    /// Only those of this artifact type.
    pub artifact_type: Option<&'a str>,
    /// At most so many.
    pub n: Option<u32>,
    /// Only those behind this digest.
    pub last: Option<&'a str>,
}

/// A page of referrers.
#[derive(Clone, Debug)]
pub struct ReferrersPage {
    /// They, in the order of their digests.
    pub listed: Vec<Referrer>,
    /// Where the next page starts, if there is one.
    pub next: Option<String>,
}

/// Lists the manifests that name `subject`.
pub(crate) async fn list(
    core: &Core,
    route: &HostedRoute,
    subject: &Digest,
    query: ReferrersQuery<'_>,
) -> Result<ReferrersPage, PullError> {
    let (place, metadata) = (route.place(), &core.hosted.metadata);
    let limit = page(query.n.map(|n| n.max(1)));
    let after = (query.last.unwrap_or_default(), limit + 1);
    let found = metadata.list_hosted_referrers(place, subject, query.artifact_type, after).await;
    let found = found.map_err(HostedError::from)?;
    let (mut listed, mut bytes, mut next) = (Vec::new(), 0, None);
    for one in &found {
        if listed.len() == limit as usize {
            next = listed.last().map(|last: &Referrer| last.digest.to_string());
            break;
        }
        let text = metadata.hosted_referrer(place.0, place.1, &one.digest).await.map_err(HostedError::from)?;
        // Deleted between the two questions.
        let Some(text) = text else { continue };
        if !listed.is_empty() && bytes + text.len() > MAX_MANIFEST_BYTES {
            next = listed.last().map(|last| last.digest.to_string());
            break;
        }
        bytes += text.len();
        listed.push(serde_json::from_str(&text).map_err(|error| HostedError::storage(&error))?);
    }
    route.repo.counters().pulled(PullKind::Referrers, PullOutcome::Hit);
    Ok(ReferrersPage { listed, next })
}
