//! Asks one member whether it has something.
//!
//! Must not know the other members. Invariants: what a cache is asked goes through its own verbs, with its freshness and
//! its rules for failing upstreams; a member has said no only when its upstream has, or what was pushed to it is not there.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use oci::{Digest, Reference, RepositoryName};

use super::repository::{GroupRoute, Member};
use super::walk::Said;
use crate::access::Action;
use crate::core::Core;
use crate::error::PullError;
use crate::hosted::{HostedError, HostedRoute, Place};
use crate::pull::{self, Flight};
use crate::repositories::Route;

type Told = Said<Place, PullError>;

/// Whether an error is a member's own "no".
pub(super) fn is_absence(error: &PullError) -> bool {
    match error {
        PullError::ManifestUnknown { .. }
        | PullError::BlobUnknown { .. }
        | PullError::Hosted(
            HostedError::ManifestUnknown(_) | HostedError::BlobUnknown(_) | HostedError::NameUnknown(_),
        ) => true,
        PullError::NameInvalid(_)
        | PullError::NameUnknown(_)
        | PullError::Denied { .. }
        | PullError::Unauthorized { .. }
        | PullError::AccessUndecided { .. }
        | PullError::RateLimited { .. }
        | PullError::UpstreamFailed { .. }
        | PullError::UpstreamUnreachable { .. }
        | PullError::UpstreamTimeout { .. }
        | PullError::UpstreamResting { .. }
        | PullError::EgressRefused { .. }
        | PullError::Corrupt { .. }
        | PullError::ManifestInvalid { .. }
        | PullError::Unsupported(_)
        | PullError::Hosted(_)
        | PullError::Group(_)
        | PullError::Storage(_)
        | PullError::ShuttingDown => false,
    }
}

/// Asks a cache for a thing; when it is not there, for the name. `unclear` is what it means that it does not tell then.
pub(super) fn of_name<'a>(
    core: &'a Arc<Core>,
    route: Route,
    action: &'a Action,
    unclear: Unclear,
) -> BoxFuture<'a, Told> {
    // A type of its own: that of a whole exchange with an upstream would go through all that leads here.
    Box::pin(thing_then_name(core, route, action, unclear))
}

async fn thing_then_name(core: &Arc<Core>, route: Route, action: &Action, unclear: Unclear) -> Told {
    match action {
        Action::Manifest(_) | Action::Blob(_) => {}
        Action::Tags | Action::Referrers(_) => {
            return match has_name(core, &route, Unclear::Fails).await {
                Ok(true) => Said::Has(Place::Proxy(route)),
                Ok(false) => Said::Absent,
                Err(error) => Said::Failed(error),
            };
        }
    }
    match of_thing(core, route.clone(), action).await {
        Said::Absent => match has_name(core, &route, unclear).await {
            Ok(true) => Said::KeepsName,
            Ok(false) => Said::Absent,
            Err(error) => Said::Failed(error),
        },
        told => told,
    }
}

/// Asks a cache for a thing.
pub(super) fn of_thing<'a>(core: &'a Arc<Core>, route: Route, action: &'a Action) -> BoxFuture<'a, Told> {
    Box::pin(thing(core, route, action))
}

async fn thing(core: &Arc<Core>, mut route: Route, action: &Action) -> Told {
    let told = match action {
        Action::Manifest(reference) => match pull::pull_manifest(core, &route, reference).await {
            Ok(answer) => {
                route.answered = Some(Arc::new((reference.clone(), answer)));
                Ok(())
            }
            Err(error) => Err(error),
        },
        Action::Blob(digest) => pull::find_blob(core, &route, digest).await,
        Action::Tags | Action::Referrers(_) => Ok(()),
    };
    match told {
        Ok(()) => Said::Has(Place::Proxy(route)),
        Err(error) if is_absence(&error) => Said::Absent,
        Err(error) => Said::Failed(error),
    }
}

/// Asks a hosted repository for a thing.
pub(super) async fn of_hosted(core: &Core, route: HostedRoute, action: &Action) -> Told {
    let (repo, name) = (&route.repo.spec().key, &route.name);
    let has = match action {
        Action::Manifest(Reference::Tag(tag)) => {
            core.metadata.find_hosted_tag(repo, name, tag).await.map(|row| row.is_some())
        }
        Action::Manifest(Reference::Digest(digest)) => {
            core.metadata.find_hosted_manifest(repo, name, digest).await.map(|row| row.is_some())
        }
        Action::Blob(digest) => core.metadata.find_hosted_blob(repo, name, digest).await.map(|row| row.is_some()),
        Action::Tags | Action::Referrers(_) => core.metadata.has_hosted_manifests(repo, name).await,
    };
    match has {
        Ok(true) => Said::Has(Place::Hosted(route)),
        Ok(false) => Said::Absent,
        Err(error) => Said::Failed(PullError::storage(&error)),
    }
}

/// Asks a hosted repository for a thing; when it is not there, for the name. The look for a keeper has seen those behind a
/// cache that nobody had asked yet no more than that cache.
pub(super) async fn of_hosted_name(core: &Core, route: HostedRoute, action: &Action) -> Told {
    match of_hosted(core, route.clone(), action).await {
        Said::Absent => match of_hosted(core, route, &Action::Tags).await {
            Said::Has(_) => Said::KeepsName,
            told => told,
        },
        told => told,
    }
}

/// Whether it is known here, without asking anybody, that a member has a digest under the name.
pub(super) async fn is_known(
    core: &Core,
    route: &GroupRoute,
    index: usize,
    digest: &Digest,
) -> Result<bool, PullError> {
    match &route.repo.members()[index] {
        Member::Hosted(repo) => {
            let (key, name) = (&repo.spec().key, &route.name);
            let manifest = core.metadata.find_hosted_manifest(key, name, digest).await;
            if manifest.map_err(|error| PullError::storage(&error))?.is_some() {
                return Ok(true);
            }
            let blob = core.metadata.find_hosted_blob(key, name, digest).await;
            Ok(blob.map_err(|error| PullError::storage(&error))?.is_some())
        }
        Member::Proxy(repo) => pull::is_linked(core, &route.at_proxy(repo), digest).await,
        Member::Unusable(_) => Ok(false),
    }
}

/// The first member that is known here to have what a reference leads to; nothing is noted.
pub(crate) async fn peek_known(
    core: &Core,
    route: &GroupRoute,
    candidates: &[usize],
    reference: &Reference,
) -> Result<Option<usize>, PullError> {
    for index in candidates {
        let known = match (reference, &route.repo.members()[*index]) {
            (Reference::Digest(digest), _) => is_known(core, route, *index, digest).await?,
            (Reference::Tag(_), Member::Hosted(repo)) => {
                let told = of_hosted(core, route.at_hosted(repo), &Action::Manifest(reference.clone())).await;
                matches!(told, Said::Has(_))
            }
            // Whether a cache still has a tag, a pull asks; those before it hide it while they have not been asked.
            (Reference::Tag(tag), Member::Proxy(repo)) => {
                let name = repo.canonical_name(route.name.clone());
                let row = core.metadata.find_tag(&repo.spec().key, &name, tag).await;
                row.map_err(|error| PullError::storage(&error))?.is_some()
            }
            (Reference::Tag(_), Member::Unusable(_)) => return Ok(None),
        };
        if known {
            return Ok(Some(*index));
        }
        if matches!((reference, &route.repo.members()[*index]), (Reference::Tag(_), Member::Proxy(_))) {
            return Ok(None);
        }
    }
    Ok(None)
}

/// What it means that an upstream does not tell its tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unclear {
    /// It has just said that it does not have the thing, and that has to do where it has no lists at all.
    MeansNo,
    /// The same, and nobody is behind it who could be asked in its place: that has to do whatever it says to lists.
    ConcernsNobody,
    /// Nothing is known.
    Fails,
}

/// Questions whether an upstream has a name.
pub(crate) struct NameFlight;

impl Flight for NameFlight {
    type Key = (Arc<str>, RepositoryName);
    type Answer = bool;
}

/// Whether an upstream has any tag of the name. What was pulled from it says so without a question.
pub(super) async fn has_name(core: &Arc<Core>, route: &Route, unclear: Unclear) -> Result<bool, PullError> {
    let known = core.metadata.has_known_name(&route.repo.spec().key, &route.name).await;
    if known.map_err(|error| PullError::storage(&error))? {
        return Ok(true);
    }
    if core.groups.is_without(route.repo.key(), &route.name) {
        return Ok(false);
    }
    let key = (route.repo.key().clone(), route.name.clone());
    let (asking, asked) = (core.clone(), route.clone());
    let flight = core.name_flights.join(key, || async move { pull::has_tags(&asking, &asked).await });
    let has = match flight.await {
        Ok(has) => has,
        Err(error) if is_absence(&error) => false,
        Err(error) if unclear.allows(&error) => {
            tracing::debug!(repo_key = %route.repo.key(), name = %route.name, %error, "the upstream does not tell its tags; it is taken not to have the name");
            // Its word about a tag is none about the name: nothing is noted.
            return Ok(false);
        }
        Err(error) => return Err(error),
    };
    if !has {
        core.groups.note_without(route.repo.key(), &route.name);
    }
    Ok(has)
}

impl Unclear {
    /// Whether an upstream that answers a question for its tags so is taken not to have the name.
    fn allows(self, error: &PullError) -> bool {
        match self {
            Self::Fails => false,
            Self::MeansNo => has_no_lists(error),
            Self::ConcernsNobody => has_no_lists(error) || refuses(error),
        }
    }
}

/// Whether an upstream knows no lists of tags. One that refuses this list (401, 403, another 4xx) may well have the name: its
/// login has expired, or has no right to lists.
fn has_no_lists(error: &PullError) -> bool {
    matches!(error, PullError::UpstreamFailed { said } if matches!(said.status, Some(404 | 405 | 501)))
}

fn refuses(error: &PullError) -> bool {
    match error {
        PullError::Denied { .. } => true,
        PullError::UpstreamFailed { said } => said.status.is_some_and(|status| (400..500).contains(&status)),
        _ => false,
    }
}
