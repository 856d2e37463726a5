//! Blobs: whole or in ranges, from the store, from a growing object, or past the cache.
//!
//! Must not know how fills work inside. Invariants: a blob is served through a repository that links to it (a link
//! that is not known is confirmed upstream first); an upstream's refusal becomes an answer, not a cut connection,
//! because headers wait for the first byte.

use std::sync::Arc;
use std::time::Duration;

use oci::{ByteRange, Digest, RangeHeader, ResolvedRange};

use super::blob_size::{confirm, known_absent, known_size, note_absent, size_upstream};
use super::foreign;
use super::manifest::{is_linked, within_first_header};
use crate::access::Right;
use crate::core::{Core, FIRST_HEADER};
use crate::counters::Counters;
use crate::error::PullError;
use crate::fill::{
    Account, Arrival, Attached, BlobSource, BlobStream, Demand, Edge, HostedBlob, Joined, NotGrowing, Origin,
};
use crate::metrics::PullKind;
use crate::outcome::PullOutcome;
use crate::repositories::Route;
use crate::trace::cache_lookup;

/// Whole blobs up to this size are awaited before the answer starts, so that a bad one is an error and not a cut.
const AWAITED_BYTES: u64 = 256 << 10;
/// How long such a small blob is awaited.
const AWAITED_FOR: Duration = Duration::from_secs(10);

/// Refused fills of other callers that one pull sits through before it gives up.
const MAX_STRANGERS: u32 = 3;

/// A blob that can be read.
pub struct OpenBlob {
    core: Arc<Core>,
    digest: Digest,
    size: u64,
    outcome: PullOutcome,
    source: BlobSource,
    counters: Arc<Counters>,
}

impl OpenBlob {
    /// A blob that was pushed here.
    pub(crate) fn hosted(core: &Arc<Core>, blob: HostedBlob, size: u64, counters: Arc<Counters>) -> Self {
        let (digest, source) = (blob.digest, BlobSource::Hosted(Arc::new(blob)));
        Self { core: core.clone(), digest, size, outcome: PullOutcome::Hit, source, counters }
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// How the pull is answered.
    pub fn outcome(&self) -> PullOutcome {
        self.outcome
    }

    /// Streams one range. May be called for several.
    pub fn read(&self, range: ByteRange) -> BlobStream {
        let account = Account { counters: self.counters.clone(), outcome: self.outcome };
        BlobStream::open(&self.source, &self.digest, &self.core.cache, self.size, range, account)
    }
}

/// What a request asks of a blob.
struct Asked<'a> {
    /// `None`: all of it.
    ranges: Option<&'a RangeHeader>,
    /// Until it has joined a fill.
    arrival: Option<Arrival>,
}

impl Asked<'_> {
    /// Nobody needs to wait for this request any more.
    fn arrived(&self) {
        if let Some(arrival) = &self.arrival {
            arrival.end();
        }
    }
}

/// Opens a blob, or the ranges of it that are asked for.
pub(crate) async fn open(
    core: &Arc<Core>,
    route: &Route,
    digest: &Digest,
    ranges: Option<&RangeHeader>,
) -> Result<OpenBlob, PullError> {
    route.admitted(Right::Pull)?;
    let asked = Asked { ranges, arrival: ranges.map(|_| core.fills.arrive(digest)) };
    let (size, outcome, source) =
        within_first_header(route, cache_lookup(route.repo.key(), "blob", find(core, route, digest, &asked))).await??;
    route.repo.counters().pulled(PullKind::Blob, outcome);
    Ok(OpenBlob { core: core.clone(), digest: *digest, size, outcome, source, counters: route.repo.counters().clone() })
}

/// From the store or the upstream; what that one does not have, from where its manifest says it is.
async fn find(core: &Arc<Core>, route: &Route, digest: &Digest, asked: &Asked<'_>) -> Result<Opened, PullError> {
    match find_here(core, route, digest, asked).await {
        // Boxed: rare, and large.
        Err(absent @ PullError::BlobUnknown { .. }) => match Box::pin(foreign::origin(core, route, digest)).await? {
            Some(origin) => Box::pin(fetch_foreign(core, route, &origin, asked)).await,
            None => Err(absent),
        },
        found => found,
    }
}

/// From a fill out of the layer's own address.
async fn fetch_foreign(
    core: &Arc<Core>,
    route: &Route,
    origin: &Origin,
    asked: &Asked<'_>,
) -> Result<Opened, PullError> {
    match grown(core, route, origin, asked).await {
        Ok(opened) => Ok(opened),
        Err(NotGrowing::Stored | NotGrowing::NoRoom) => past_the_cache(core, route, origin).await,
        Err(NotGrowing::Failed(error) | NotGrowing::OfAnother(error)) => Err(error),
    }
}

/// From the store, or from a fill. A fill that finds the blob stored meanwhile sends us back to the store.
async fn find_here(core: &Arc<Core>, route: &Route, digest: &Digest, asked: &Asked<'_>) -> Result<Opened, PullError> {
    let mut strangers = 0;
    loop {
        if let Some((lease, outcome)) = stored(core, route, digest).await? {
            return Ok((lease.handle().size(), outcome, BlobSource::Stored(Arc::new(lease))));
        }
        match not_stored(core, route, digest, asked).await {
            Ok(opened) => return Ok(opened),
            Err(NotGrowing::Stored) => {}
            Err(NotGrowing::NoRoom) => {
                return past_the_cache(core, route, &origin(core, route, digest).await?).await;
            }
            // The fill was another caller's, with another account; ours may do better.
            Err(NotGrowing::OfAnother(error)) if strangers < MAX_STRANGERS => {
                strangers += 1;
                tracing::debug!(%digest, %error, "another caller's fill was refused; asking for this one");
            }
            Err(NotGrowing::Failed(error) | NotGrowing::OfAnother(error)) => {
                return Err(note_absent(core, route, digest, error));
            }
        }
    }
}

/// The stored blob, once this repository is known to have it.
pub(super) async fn stored(
    core: &Arc<Core>,
    route: &Route,
    digest: &Digest,
) -> Result<Option<(crate::cache::Lease, PullOutcome)>, PullError> {
    let linked = is_linked(core, route, digest).await?;
    let Some(lease) = core.cache.open_blob(digest).await? else { return Ok(None) };
    if linked {
        return Ok(Some((lease, PullOutcome::Hit)));
    }
    within_first_header(route, confirm(core, route, digest)).await??;
    Ok(Some((lease, PullOutcome::Revalidated)))
}

type Opened = (u64, PullOutcome, BlobSource);

/// Joins or starts a fill.
async fn not_stored(core: &Arc<Core>, route: &Route, digest: &Digest, asked: &Asked<'_>) -> Result<Opened, NotGrowing> {
    let origin = origin(core, route, digest).await?;
    known_absent(core, route, digest)?;
    grown(core, route, &origin, asked).await
}

async fn grown(core: &Arc<Core>, route: &Route, origin: &Origin, asked: &Asked<'_>) -> Result<Opened, NotGrowing> {
    let Some(header) = asked.ranges else { return whole(core, route, origin).await };
    let size = size_for_ranges(core, route, origin).await?;
    match header.resolve(size) {
        ResolvedRange::Full => whole(core, route, origin).await,
        ResolvedRange::Unsatisfiable => Ok((size, PullOutcome::Miss, BlobSource::Bypass(origin.clone()))),
        ResolvedRange::Single(range) if range.start == 0 && range.end == size => whole(core, route, origin).await,
        ResolvedRange::Single(range) => parts(core, route, origin, size, &[range], asked).await,
        ResolvedRange::Multiple(ranges) => parts(core, route, origin, size, &ranges, asked).await,
    }
}

/// The size that ranges are resolved against.
async fn size_for_ranges(core: &Arc<Core>, route: &Route, origin: &Origin) -> Result<u64, PullError> {
    let digest = &origin.digest;
    if let Some(foreign) = &origin.foreign {
        return Ok(foreign.size);
    }
    if let Some(size) = core.fills.size(origin).or_else(|| core.memory.size(route, digest)) {
        return Ok(size);
    }
    if let Some(size) = known_size(core, route, digest).await? {
        return Ok(size);
    }
    // Again: of many parts that come side by side, the first may have been told while this one looked elsewhere.
    match core.memory.size(route, digest) {
        Some(size) => Ok(size),
        None => size_upstream(core, route, digest).await,
    }
}

pub(super) async fn origin(core: &Core, route: &Route, digest: &Digest) -> Result<Origin, PullError> {
    let edge = if is_linked(core, route, digest).await? { Edge::Confirmed } else { Edge::Unconfirmed };
    Ok(Origin {
        repo: route.repo.clone(),
        name: route.name.clone(),
        digest: *digest,
        trace: route.trace,
        admission: route.admission.clone(),
        edge,
        foreign: None,
    })
}

/// Joins or starts the fill; `None` when its bytes are not for this caller. A fill from elsewhere is joined only once
/// this name's own upstream has answered for the blob: that a manifest lists a digest gives nobody a right to it.
async fn join(
    core: &Arc<Core>,
    route: &Route,
    origin: &Origin,
    demand: Demand<'_>,
) -> Result<Option<Attached>, NotGrowing> {
    let mut edge = origin.edge;
    loop {
        match core.fills.join(origin, demand, edge) {
            Joined::Attached(attached) => return Ok(Some(attached)),
            Joined::Foreign => return Ok(None),
            // Its upstream has said no, and an address proves itself by its bytes alone.
            Joined::MustConfirm if origin.foreign.is_some() => return Ok(None),
            Joined::MustConfirm => {
                confirm(core, route, &origin.digest).await?;
                edge = Edge::Confirmed;
            }
        }
    }
}

/// Straight from upstream, for this caller alone.
async fn past_the_cache(core: &Arc<Core>, route: &Route, origin: &Origin) -> Result<Opened, PullError> {
    let size = match &origin.foreign {
        Some(foreign) => foreign.size,
        None => size_upstream(core, route, &origin.digest).await?,
    };
    Ok((size, PullOutcome::Bypassed, BlobSource::Bypass(origin.clone())))
}

async fn whole(core: &Arc<Core>, route: &Route, origin: &Origin) -> Result<Opened, NotGrowing> {
    if known_size(core, route, &origin.digest).await?.is_some_and(|size| core.cache.is_too_large(size)) {
        return Ok(past_the_cache(core, route, origin).await?);
    }
    let Some(attached) = join(core, route, origin, Demand::Whole).await? else {
        return Ok(past_the_cache(core, route, origin).await?);
    };
    let here_before = attached.is_verified();
    let blame = |failure| attached.blame(route.principal(), failure);
    let size = attached.size(FIRST_HEADER).await.map_err(blame)?;
    if size <= AWAITED_BYTES {
        attached.settled(AWAITED_FOR).await.map_err(blame)?;
    }
    let outcome = match attached.is_without_room() {
        true => PullOutcome::Bypassed,
        false if here_before => PullOutcome::Hit,
        false => PullOutcome::Miss,
    };
    Ok((size, outcome, BlobSource::Growing(attached)))
}

async fn parts(
    core: &Arc<Core>,
    route: &Route,
    origin: &Origin,
    size: u64,
    ranges: &[ByteRange],
    asked: &Asked<'_>,
) -> Result<Opened, NotGrowing> {
    let joined = join(core, route, origin, Demand::Ranges { size, ranges }).await?;
    asked.arrived();
    let Some(attached) = joined else {
        return Ok((size, PullOutcome::Bypassed, BlobSource::Bypass(origin.clone())));
    };
    let outcome = if attached.holds(ranges) { PullOutcome::Hit } else { PullOutcome::Miss };
    let blame = |failure| attached.blame(route.principal(), failure);
    if let Some(first) = ranges.first() {
        attached.first_byte(*first, FIRST_HEADER).await.map_err(blame)?;
    }
    let actual = attached.size(FIRST_HEADER).await.map_err(blame)?;
    if actual != size {
        let what = format!("has {actual} bytes for a blob that its manifest or HEAD said has {size}");
        return Err(PullError::UpstreamFailed { said: origin.said(what) }.into());
    }
    let outcome = if attached.is_without_room() { PullOutcome::Bypassed } else { outcome };
    Ok((size, outcome, BlobSource::Growing(attached)))
}
