//! Manifests: by digest from memory, store or upstream; by tag through `tag`.
//!
//! Must not know fills (manifests are small and whole). Invariants: bytes are kept and served exactly as upstream
//! sent them; nothing is served under a digest that it does not hash to; a manifest held for one repository is served
//! under another only after that one's upstream confirmed it.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use client::{ManifestFetch, RegistryClient};
use metadata::ManifestRow;
use oci::{Digest, ManifestError, ManifestFacts, MediaType, Reference, RepositoryName, Tag};

use super::flight::Flight;
use super::memory::CachedManifest;
use super::tag::{self, Resolved};
use super::upstreams;
use crate::access::{Principal, Right};
use crate::core::{Core, FIRST_HEADER};
use crate::error::{PullError, Subject, UpstreamSaid};
use crate::metrics::PullKind;
use crate::outcome::{Freshness, PullOutcome};
use crate::repositories::Route;
use crate::sources::{Failure, Upstream};
use crate::trace::cache_lookup;

/// An answered manifest pull.
#[derive(Clone, Debug)]
pub struct ManifestAnswer {
    /// The bytes, exactly as upstream sent them.
    pub bytes: Bytes,
    /// Their media type.
    pub media_type: MediaType,
    /// Their digest, computed.
    pub digest: Digest,
    /// How the pull was answered.
    pub outcome: PullOutcome,
    /// How long the answer may be trusted.
    pub freshness: Freshness,
    manifest: Arc<CachedManifest>,
}

impl ManifestAnswer {
    /// Something that its reader made of the manifest and wants to find again with the next answer, for as long as the
    /// manifest stays in memory; made at the first call. `None` when something of another type is there.
    pub fn beside<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> Option<&T> {
        self.manifest.beside(make)
    }
}

/// Fetches of manifests by digest.
pub(crate) struct ManifestFlight;

impl Flight for ManifestFlight {
    type Key = (Arc<str>, RepositoryName, Digest, Principal);
    type Answer = (Arc<CachedManifest>, PullOutcome);
}

/// Pulls a manifest.
pub(crate) async fn pull(core: &Arc<Core>, route: &Route, reference: &Reference) -> Result<ManifestAnswer, PullError> {
    route.admitted(Right::Pull)?;
    if let Some((_, answer)) = route.answered.as_deref().filter(|(answered, _)| answered == reference) {
        return Ok(answer.clone());
    }
    let looked_up = async {
        match reference {
            Reference::Digest(digest) => by_digest(core, route, digest).await,
            Reference::Tag(tag) => by_tag(core, route, tag).await,
        }
    };
    // One budget for the tag and its bytes together.
    let looked_up = within_first_header(route, Box::pin(cache_lookup(route.repo.key(), "manifest", looked_up)));
    let answer = looked_up.await??;
    route.repo.counters().pulled(PullKind::Manifest, answer.outcome);
    core.cache.touch(&answer.digest);
    Ok(answer)
}

async fn by_tag(core: &Arc<Core>, route: &Route, tag: &Tag) -> Result<ManifestAnswer, PullError> {
    let Resolved { digest, outcome, freshness } = tag::resolve(core, route, tag).await?;
    let (manifest, fetched) = get(core, route, &digest).await?;
    // Only the bytes were missing (evicted): the tag's own answer says more unless it was a plain hit.
    let outcome = if outcome == PullOutcome::Hit { fetched } else { outcome };
    core.memory.keep_at_hand(&(route.repo.key().clone(), route.name.clone(), tag.clone()), &manifest);
    Ok(answer(manifest, outcome, freshness))
}

async fn by_digest(core: &Arc<Core>, route: &Route, digest: &Digest) -> Result<ManifestAnswer, PullError> {
    let (manifest, outcome) = get(core, route, digest).await?;
    Ok(answer(manifest, outcome, Freshness::Immutable))
}

pub(crate) fn answer(manifest: Arc<CachedManifest>, outcome: PullOutcome, freshness: Freshness) -> ManifestAnswer {
    ManifestAnswer {
        bytes: manifest.bytes.clone(),
        media_type: manifest.media_type.clone(),
        digest: manifest.digest,
        outcome,
        freshness,
        manifest,
    }
}

/// The manifest with `digest`, from memory, store or upstream.
pub(super) async fn get(
    core: &Arc<Core>,
    route: &Route,
    digest: &Digest,
) -> Result<(Arc<CachedManifest>, PullOutcome), PullError> {
    if is_linked_in_memory(core, route, digest)
        && let Some(manifest) = core.memory.manifest(digest)
    {
        return Ok((manifest, PullOutcome::Hit));
    }
    // Not shared between principals: the answer to one caller's question is not another's.
    let key = (route.repo.key().clone(), route.name.clone(), *digest, route.principal());
    let flight = core.manifest_flights.join(key, || find(core.clone(), route.clone(), *digest));
    within_first_header(route, flight).await?
}

fn is_linked_in_memory(core: &Core, route: &Route, digest: &Digest) -> bool {
    core.memory.is_linked(&(route.repo.key().clone(), route.name.clone(), *digest))
}

/// Cuts waiting short so that the client has an answer in time; what is awaited goes on.
pub(super) async fn within_first_header<T>(route: &Route, wait: impl Future<Output = T>) -> Result<T, PullError> {
    within(route, FIRST_HEADER, wait).await
}

/// The same with a part of that time.
pub(super) async fn within<T>(route: &Route, budget: Duration, wait: impl Future<Output = T>) -> Result<T, PullError> {
    tokio::time::timeout(budget, wait).await.map_err(|_| PullError::UpstreamTimeout {
        said: said(route, format!("no answer within {} s", budget.as_secs())),
    })
}

pub(super) fn said(route: &Route, message: impl Into<Arc<str>>) -> UpstreamSaid {
    UpstreamSaid {
        repo_key: route.repo.key().clone(),
        upstream: route.repo.upstream().clone(),
        status: None,
        message: message.into(),
    }
}

/// Looks in the store, then asks upstream.
async fn find(core: Arc<Core>, route: Route, digest: Digest) -> Result<(Arc<CachedManifest>, PullOutcome), PullError> {
    let linked = is_linked(&core, &route, &digest).await?;
    if let Some(manifest) = load(&core, &digest).await? {
        if !linked {
            confirm(&core, &route, &digest).await?;
        }
        keep_link(&core, &route, &digest);
        core.memory.keep_manifest(manifest.clone());
        return Ok((manifest, if linked { PullOutcome::Hit } else { PullOutcome::Revalidated }));
    }
    let reference = Reference::Digest(digest);
    if let Some(error) = core.memory.absent(&route, &reference) {
        return Err(error);
    }
    // What the repository is known to have may come from anybody; else the named upstream is asked for it first.
    let from = if linked { Whom::Anybody(digest) } else { Whom::Named(Some(digest)) };
    let fetched = fetch(&core, &route, &reference, None, from).await?;
    fetched
        .manifest
        .map(|m| (m, PullOutcome::Miss))
        .ok_or_else(|| PullError::UpstreamFailed { said: said(&route, "answered 304 to an unconditional request") })
}

/// Whether this repository is known to have `digest`.
pub(crate) async fn is_linked(core: &Core, route: &Route, digest: &Digest) -> Result<bool, PullError> {
    if is_linked_in_memory(core, route, digest) {
        return Ok(true);
    }
    let key = &route.repo.spec().key;
    let linked = core.metadata.is_linked(key, &route.name, digest).await.map_err(|e| PullError::storage(&e))?;
    if linked {
        keep_link(core, route, digest);
    }
    Ok(linked)
}

fn keep_link(core: &Core, route: &Route, digest: &Digest) {
    core.memory.keep_link((route.repo.key().clone(), route.name.clone(), *digest));
}

/// Notes that this repository has `digest`. A database that takes no rows does not stop the pull.
pub(super) async fn link(core: &Core, route: &Route, digest: &Digest) {
    if let Err(error) = core.metadata.link(&route.repo.spec().key, &route.name, digest).await {
        tracing::error!(%digest, %error, "a link could not be recorded; a restart asks upstream again");
    }
    keep_link(core, route, digest);
}

/// Asks this repository's named upstream whether it has a manifest that we hold for another repository.
async fn confirm(core: &Core, route: &Route, digest: &Digest) -> Result<(), PullError> {
    let reference = &Reference::Digest(*digest);
    let head = |client: RegistryClient, name| async move { client.head_manifest(&name, reference).await };
    upstreams::ask_named(core, route, "manifest head", Some(*digest), head)
        .await
        .map_err(|failure| client_error(core, route, reference, &failure))?;
    link(core, route, digest).await;
    Ok(())
}

/// Reads a stored manifest; drops it when it is damaged.
async fn load(core: &Core, digest: &Digest) -> Result<Option<Arc<CachedManifest>>, PullError> {
    let Some(row) = core.metadata.find_manifest(digest).await.map_err(|e| PullError::storage(&e))? else {
        return Ok(None);
    };
    let Some(lease) = core.cache.open_blob(digest).await? else { return Ok(None) };
    let size = lease.handle().size();
    let mut bytes = BytesMut::with_capacity(size as usize);
    while (bytes.len() as u64) < size {
        let (at, left) = (bytes.len() as u64, size as usize - bytes.len());
        let piece = lease.handle().read_at(at, left, core.cache.buffers()).await.map_err(|e| PullError::storage(&e))?;
        if piece.is_empty() {
            break;
        }
        bytes.extend_from_slice(&piece);
    }
    let bytes = bytes.freeze();
    if Digest::of(digest.algorithm(), &bytes) == *digest {
        return Ok(Some(Arc::new(CachedManifest::new(bytes, row.media_type, *digest))));
    }
    tracing::error!(%digest, "a stored manifest does not hash to its digest; it is dropped and fetched again");
    core.metrics.integrity_failures.inc();
    drop(lease);
    core.cache.discard(digest).await?;
    Ok(None)
}

/// Whom to ask for a manifest.
pub(super) enum Whom {
    /// The named upstream; a mirror only while it fails, or when its bytes do not hash to this digest.
    Named(Option<Digest>),
    /// Anybody: the repository is known to have this digest.
    Anybody(Digest),
    /// Who has just answered a question about it.
    This(Arc<Upstream>),
}

/// A manifest that was asked for.
pub(super) struct Fetched {
    /// `None`: it is still the one that is known.
    pub(super) manifest: Option<Arc<CachedManifest>>,
    /// Whose answer it is.
    pub(super) by: Arc<Upstream>,
}

/// Fetches a manifest and keeps it, unless its upstream says that it is still the one with `known`.
pub(super) async fn fetch(
    core: &Core,
    route: &Route,
    reference: &Reference,
    known: Option<&Digest>,
    from: Whom,
) -> Result<Fetched, PullError> {
    let get = |client: RegistryClient, name| async move { client.get_manifest(&name, reference, known).await };
    let answered = match from {
        Whom::Named(digest) => upstreams::ask_named(core, route, "manifest", digest, get)
            .await
            .map(|answered| (answered.value, answered.by)),
        Whom::Anybody(digest) => {
            upstreams::ask_any(route, "manifest", &digest, get).await.map(|answered| (answered.value, answered.by))
        }
        Whom::This(upstream) => {
            upstreams::ask_one(route, "manifest", &upstream, get).await.map(|value| (value, upstream))
        }
    };
    let (value, by) = answered.map_err(|failure| client_error(core, route, reference, &failure))?;
    let manifest = match value {
        ManifestFetch::NotModified => None,
        ManifestFetch::Fetched { bytes, digest, media_type } => {
            Some(keep(core, route, CachedManifest::new(bytes, media_type, digest)).await?)
        }
    };
    Ok(Fetched { manifest, by })
}

/// Turns a failure into our error and remembers an authoritative 404.
pub(super) fn client_error(core: &Core, route: &Route, reference: &Reference, failure: &Failure) -> PullError {
    let error = upstreams::failed(route, &Subject::Manifest(reference.to_string().into()), failure);
    if matches!(error, PullError::ManifestUnknown { .. }) {
        core.memory.keep_absent(route, reference, &error);
    }
    error
}

/// Checks a fetched manifest and keeps its bytes, its facts and its link to this repository.
async fn keep(core: &Core, route: &Route, manifest: CachedManifest) -> Result<Arc<CachedManifest>, PullError> {
    let facts = ManifestFacts::parse(&manifest.bytes, Some(&manifest.media_type)).map_err(|error| match error {
        ManifestError::Schema1 => PullError::Unsupported(
            format!(
                "{} is a Docker schema 1 manifest, which is not supported; ask its owner to push a current one",
                manifest.digest
            )
            .into(),
        ),
        other => PullError::ManifestInvalid { said: said(route, other.to_string()) },
    })?;
    core.cache.put_small(&manifest.digest, manifest.bytes.clone()).await?;
    let row = ManifestRow {
        digest: manifest.digest,
        media_type: manifest.media_type.clone(),
        size: manifest.bytes.len() as u64,
    };
    if let Err(error) = core.metadata.put_manifest(&route.repo.spec().key, &route.name, &row, &facts).await {
        tracing::error!(digest = %row.digest, %error, "a manifest could not be recorded; it is served from memory until a restart");
    }
    let manifest = Arc::new(manifest);
    core.memory.keep_manifest(manifest.clone());
    keep_link(core, route, &manifest.digest);
    Ok(manifest)
}

/// Time since an instant, and what is left of `ttl`.
pub(super) fn fresh(age: Duration, ttl: Duration) -> Freshness {
    Freshness::Fresh { age, remaining: ttl.saturating_sub(age) }
}
