//! Fills: one growing object a digest, many readers, any range.
//!
//! ```text
//!   request ─┐                       ┌─ source ── upstream (first gap onwards: the main flow)
//!   request ─┼─ reader ── Growing ── driver (a task)
//!   request ─┘   (tails)             └─ source ── upstream (a range somebody waits for: a lane)
//! ```
//!
//! Must not know tags or manifests. Invariants: at most one driver a digest; the driver belongs to no request;
//! every follower sees the same outcome; the last piece of a whole body is held back until the digest matches.

mod arrivals;
mod bypass;
mod crowd;
mod driver;
mod ending;
mod flow;
mod frontier;
mod growing;
mod plan;
mod reader;
mod recent;
mod resume;
mod slot;
mod source;
mod steering;
mod stream;
mod turns;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use client::RegistryClient;
use metadata::Metadata;
use oci::{ByteRange, Digest, RepositoryName};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use crate::access::Admission;
use crate::cache::Cache;
use crate::error::{PullError, Subject, UpstreamSaid};
use crate::metrics::Metrics;
use crate::repositories::Repository;
use crate::sources::{Failure, StandIns};
use crate::trace::{TraceParent, upstream_fetch};
pub(crate) use arrivals::Arrival;
use growing::Growing;
pub(crate) use growing::{Attached, NotGrowing};
use slot::Slots;
pub(crate) use stream::{Account, BlobSource, HostedBlob};
pub use stream::{BlobStream, Piece};

/// Where a blob is fetched from.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// The repository whose upstream is asked.
    pub(crate) repo: Arc<Repository>,
    /// The name at that upstream.
    pub(crate) name: RepositoryName,
    /// The blob.
    pub(crate) digest: Digest,
    /// The trace of the request that asked first.
    pub(crate) trace: Option<TraceParent>,
    /// Whose rights are used. A caller's credential lives here, in memory, as long as the fill.
    pub(crate) admission: Admission,
    /// Whether mirrors may be asked before the named upstream has answered.
    pub(crate) edge: Edge,
    /// For a layer that the upstream does not have: where else its manifest says it is. Then nobody else is asked.
    pub(crate) foreign: Option<Arc<ForeignSource>>,
}

/// Addresses of a layer outside of any registry; each is one that the operator allows.
#[derive(Debug)]
pub(crate) struct ForeignSource {
    /// In the order of the manifest.
    pub(crate) urls: Vec<Url>,
    /// What the manifest says, in bytes.
    pub(crate) size: u64,
}

impl Origin {
    /// The client of the named upstream: the repository's own, or that of the caller who asked first.
    fn client(&self) -> &RegistryClient {
        self.admission.client(self.repo.client())
    }

    /// Turns a client's error into ours. A refusal ends the caller's grant.
    fn error(&self, error: &client::ClientError) -> PullError {
        self.admission.judge(&self.name, self.repo.error(&Subject::Blob(self.digest), error))
    }

    /// The same for a layer's own address.
    fn foreign_error(&self, url: &Url, error: &client::ClientError) -> PullError {
        self.error(error).about_foreign_layer(url.host_str().unwrap_or_default())
    }

    /// Whether both ask the same upstream under the same name: an answer to one is an answer to the other.
    fn is_same_place(&self, other: &Self) -> bool {
        self.repo.key() == other.repo.key() && self.name == other.name
    }

    /// The same when everybody who was asked failed.
    fn all_failed(&self, failure: &Failure) -> PullError {
        self.error(&failure.error).with_mirrors(&failure.others)
    }

    /// Whether mirrors may vouch for the blob while the named upstream fails.
    fn stand_ins(&self) -> StandIns {
        if self.admission.is_per_caller() { StandIns::Refused } else { StandIns::Allowed }
    }

    /// An upstream that broke the protocol in a way the client library cannot see.
    fn protocol(&self, what: impl Into<Arc<str>>) -> PullError {
        PullError::UpstreamFailed { said: self.said(what) }
    }

    pub(crate) fn said(&self, what: impl Into<Arc<str>>) -> UpstreamSaid {
        UpstreamSaid {
            repo_key: self.repo.key().clone(),
            upstream: self.repo.upstream().clone(),
            status: None,
            message: what.into(),
        }
    }
}

/// What a request wants of a blob.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Demand<'a> {
    /// All of it.
    Whole,
    /// Some ranges of a blob whose size is known.
    Ranges {
        /// Size of the blob in bytes.
        size: u64,
        /// The ranges, resolved against the size.
        ranges: &'a [ByteRange],
    },
}

/// Whether the caller's upstream is known to have the blob under the caller's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edge {
    /// It has answered for it.
    Confirmed,
    /// At most a manifest says so, and anybody can write one.
    Unconfirmed,
}

/// The result of joining.
pub(crate) enum Joined {
    /// A reader of the growing object.
    Attached(Attached),
    /// It is filled from elsewhere: the caller's own upstream must have answered for it first.
    MustConfirm,
    /// Another upstream fills this digest; its unverified ranges are not for this caller.
    Foreign,
}

/// All fills under way.
#[derive(Clone)]
pub(crate) struct Fills {
    shared: Arc<Shared>,
}

/// What drivers need.
struct Shared {
    active: Mutex<HashMap<Digest, Arc<Growing>>>,
    cache: Arc<Cache>,
    metadata: Metadata,
    metrics: Metrics,
    stop: CancellationToken,
    tasks: TaskTracker,
    slots: Slots,
    recent: recent::RecentBytes,
    arrivals: arrivals::Arrivals,
}

impl Shared {
    fn active(&self) -> MutexGuard<'_, HashMap<Digest, Arc<Growing>>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fills {
    pub(crate) fn new(cache: Arc<Cache>, metadata: Metadata, metrics: Metrics) -> Self {
        let shared = Shared {
            active: Mutex::default(),
            cache,
            metadata,
            metrics,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            slots: Slots::default(),
            recent: recent::RecentBytes::default(),
            arrivals: arrivals::Arrivals::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Announces a request for ranges, before it looks whether it needs a fill.
    pub(crate) fn arrive(&self, digest: &Digest) -> Arrival {
        self.shared.arrivals.begin(digest)
    }

    /// Joins the fill of `origin`'s blob, starting it when there is none.
    pub(crate) fn join(&self, origin: &Origin, demand: Demand<'_>, edge: Edge) -> Joined {
        let mut active = self.shared.active();
        if let Some(growing) = active.get(&origin.digest) {
            if edge == Edge::Unconfirmed && !growing.origin.is_same_place(origin) {
                return Joined::MustConfirm;
            }
            return match demand {
                Demand::Ranges { .. } if !growing.may_share_ranges(origin) => Joined::Foreign,
                Demand::Whole | Demand::Ranges { .. } => Joined::Attached(Growing::attach(growing, demand)),
            };
        }
        let growing = Arc::new(Growing::new(origin.clone(), self.shared.metrics.clone(), self.shared.recent.clone()));
        let attached = Growing::attach(&growing, demand);
        active.insert(origin.digest, growing.clone());
        drop(active);
        let fill = driver::drive(self.shared.clone(), growing);
        self.shared.tasks.spawn(upstream_fetch(origin.trace, origin.repo.key(), "blob", fill));
        Joined::Attached(attached)
    }

    /// The size of a blob that is being filled from this place, if it is known.
    pub(crate) fn size(&self, origin: &Origin) -> Option<u64> {
        let growing = self.shared.active().get(&origin.digest).cloned()?;
        growing.origin.is_same_place(origin).then(|| growing.state().size)?
    }

    /// Stops all fills, leaving each resumable, and waits for them until `deadline` has passed.
    pub(crate) async fn shutdown(&self, deadline: Duration) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        if tokio::time::timeout(deadline, self.shared.tasks.wait()).await.is_err() {
            tracing::warn!("some fills did not stop in time; they resume from their last checkpoint");
        }
    }
}
