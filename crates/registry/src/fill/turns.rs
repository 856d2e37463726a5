//! Whose turn it is: asks the sources of a blob for its bytes from one offset, one source after the other.
//!
//! Must not know files or readers. Invariants: no mirror is asked before the named upstream has answered for the blob,
//! unless that one fails for the moment and mirrors may stand in; its "no" ends it; a source that broke off comes last.

use std::sync::Arc;

use client::{BlobResponse, ClientError};
use oci::ByteRange;

use super::{Edge, ForeignSource, Origin};
use crate::error::PullError;
use crate::sources::{Failures, Role, StandIns, Upstream, is_denial, stands_in};
use crate::trace::upstream_fetch;

/// The order in which the sources of one flow are asked.
pub(super) struct Turns {
    edge: Edge,
    /// Indices of sources that broke off or failed since all of them had a turn.
    tired: Vec<usize>,
    current: Option<usize>,
    size: Option<u64>,
    contradicted: bool,
}

impl Turns {
    pub(super) fn new(edge: Edge) -> Self {
        Self { edge, tired: Vec::new(), current: None, size: None, contradicted: false }
    }

    /// The index of the source that answered last.
    pub(super) fn current(&self) -> Option<usize> {
        self.current
    }

    /// Tells the size that the blob is known to have.
    pub(super) fn expect_size(&mut self, size: Option<u64>) {
        self.size = self.size.or(size);
    }

    /// Whether a source told another size than the one that is known.
    pub(super) fn were_contradicted(&self) -> bool {
        self.contradicted
    }

    /// Lets the source that broke off rest. True when another is left to be asked at once.
    pub(super) fn tire(&mut self, origin: &Origin) -> bool {
        if origin.foreign.is_some() {
            return false;
        }
        self.tired.extend(self.current.filter(|index| !self.tired.contains(index)));
        if self.tired.len() < origin.repo.sources().iter().count() {
            return true;
        }
        self.tired.clear();
        false
    }

    /// Asks for `range`, which begins at `at`; `None` asks for everything.
    pub(super) async fn ask(
        &mut self,
        origin: &Origin,
        range: Option<ByteRange>,
        at: u64,
    ) -> Result<BlobResponse, PullError> {
        if let Some(foreign) = &origin.foreign {
            return ask_foreign(origin, foreign, range, at).await;
        }
        let mut failed = Failures::default();
        for upstream in self.order(origin).await? {
            let error = match self.ask_one(origin, &upstream, range, at).await {
                Ok(response) => {
                    self.answered(origin, &upstream);
                    return Ok(response);
                }
                Err(error) => error,
            };
            if upstream.role() == Role::Named && self.is_final(origin, &error) {
                return Err(origin.error(&error));
            }
            failed.note(&upstream, error);
            self.tired.extend(Some(upstream.index()).filter(|index| !self.tired.contains(index)));
        }
        Err(origin.all_failed(&failed.all_failed(origin.client())))
    }

    fn answered(&mut self, origin: &Origin, upstream: &Upstream) {
        // The named upstream has it, or it fails and a mirror stands in: either way that is decided for this flow.
        self.edge = Edge::Confirmed;
        self.contradicted = false;
        if let Some(before) = self.current.replace(upstream.index()).filter(|before| *before != upstream.index()) {
            let before = origin.repo.sources().iter().nth(before).map(|upstream| upstream.address().clone());
            tracing::info!(digest = %origin.digest, repo_key = %origin.repo.key(), from = before.as_deref(), to = %upstream.address(), "a fill goes on from another source");
        }
    }

    /// Whether the named upstream's failure means that nobody else may answer.
    fn is_final(&self, origin: &Origin, error: &ClientError) -> bool {
        match self.edge {
            Edge::Confirmed => is_denial(error),
            Edge::Unconfirmed => !stands_in(error) || origin.stand_ins() == StandIns::Refused,
        }
    }

    /// Everybody, best first; asks the named upstream about a blob that others are to bring.
    async fn order(&mut self, origin: &Origin) -> Result<Vec<Arc<Upstream>>, PullError> {
        let sources = origin.repo.sources();
        let mut order = sources.for_digest(&origin.digest);
        order.sort_by_key(|upstream| self.tired.contains(&upstream.index()));
        let named_first = order.first().is_none_or(|first| first.role() == Role::Named);
        if self.edge == Edge::Confirmed || named_first {
            return Ok(order);
        }
        let client = origin.client().clone();
        let (name, digest) = (origin.name.clone(), origin.digest);
        let asked = async move { client.head_blob(&name, &digest).await };
        let asked = upstream_fetch(origin.trace, origin.repo.key(), "blob head", asked);
        match sources.named().timed(asked).await {
            Ok(head) => {
                self.edge = Edge::Confirmed;
                self.expect_size(head.size);
                Ok(order)
            }
            Err(error) if self.is_final(origin, &error) => Err(origin.error(&error)),
            Err(_) => Ok(order),
        }
    }

    async fn ask_one(
        &mut self,
        origin: &Origin,
        upstream: &Upstream,
        range: Option<ByteRange>,
        at: u64,
    ) -> Result<BlobResponse, ClientError> {
        let mut response = get(origin, upstream, range).await;
        if response.as_ref().is_err_and(is_elsewhere) {
            // A signed address that has expired: the registry is asked again and signs another.
            response = get(origin, upstream, range).await;
        }
        // A range that lies within the blob is outside of what this source takes for the blob.
        self.contradicted |= response.as_ref().is_err_and(|error| error.upstream_status() == Some(416));
        let response = response?;
        let wrong = |what| ClientError::Protocol { upstream: upstream.client().upstream().clone(), what };
        if response.offset > at {
            return Err(wrong(format!("bytes from {} when those from {at} were asked for", response.offset)));
        }
        if let (Some(size), Some(total)) = (self.size, response.total.filter(|total| Some(*total) != self.size)) {
            self.contradicted = true;
            return Err(wrong(format!("says the blob has {total} bytes, not {size}")));
        }
        Ok(response)
    }
}

/// Asks the layer's own addresses, one after the other. The size is known and what they say of it was compared.
async fn ask_foreign(
    origin: &Origin,
    foreign: &ForeignSource,
    range: Option<ByteRange>,
    at: u64,
) -> Result<BlobResponse, PullError> {
    let mut failed = origin.protocol("there is no address to ask for the layer");
    let Some(client) = origin.repo.sources().foreign() else { return Err(failed) };
    for url in &foreign.urls {
        let asked =
            upstream_fetch(origin.trace, origin.repo.key(), "foreign layer", client.get(url, foreign.size, range));
        match asked.await {
            Ok(response) if response.offset <= at => return Ok(BlobResponse { total: Some(foreign.size), ..response }),
            Ok(response) => {
                let what = format!("bytes of a layer from {} when those from {at} were asked for", response.offset);
                failed = origin.protocol(what);
            }
            Err(error) => failed = origin.foreign_error(url, &error),
        }
    }
    Err(failed)
}

async fn get(origin: &Origin, upstream: &Upstream, range: Option<ByteRange>) -> Result<BlobResponse, ClientError> {
    let (client, name) = match upstream.role() {
        Role::Named => (origin.client().clone(), origin.name.clone()),
        Role::Mirror => (upstream.client().clone(), upstream.canonical_name(origin.name.clone())),
    };
    let digest = origin.digest;
    let asked = async move { client.get_blob(&name, &digest, range).await };
    upstream.timed(upstream_fetch(origin.trace, origin.repo.key(), "blob range", asked)).await
}

/// Whether a host that the registry sent us to refused: from the registry itself these are errors of their own kind.
fn is_elsewhere(error: &ClientError) -> bool {
    match error {
        ClientError::UpstreamStatus { answer, .. } => matches!(answer.status, 401 | 403 | 404 | 410),
        _ => false,
    }
}
