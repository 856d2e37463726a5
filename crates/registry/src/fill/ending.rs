//! How a fill ends: verified and published, wrong, without room, or left for later.
//!
//! Must not decide what to fetch. Invariants: a blob is published only after its bytes hashed to its digest; whichever way it
//! ends, the digest is free and every reader has an outcome.

use std::sync::Arc;

use oci::Digest;

use super::Shared;
use super::flow::FlowContext;
use super::growing::{Growing, Phase, Unfinished};
use super::steering::End;
use crate::cache::Reservation;
use crate::error::PullError;

/// Frees the digest when the driver ends, however it ends.
pub(super) struct Registered {
    shared: Arc<Shared>,
    growing: Arc<Growing>,
}

impl Registered {
    pub(super) fn new(shared: Arc<Shared>, growing: Arc<Growing>) -> Self {
        Self { shared, growing }
    }

    /// Another fill of the digest may begin.
    pub(super) fn leave(&self) {
        let mut active = self.shared.active();
        let digest = &self.growing.origin.digest;
        if active.get(digest).is_some_and(|there| Arc::ptr_eq(there, &self.growing)) {
            active.remove(digest);
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.leave();
        if matches!(self.growing.state().phase, Phase::Filling) {
            self.growing.finish(Phase::Failed(PullError::Storage("the fill ended unexpectedly".into())));
        }
    }
}

/// Why a complete fill is not a blob.
pub(super) enum Unverified {
    /// Its bytes cannot be read back.
    Unread(PullError),
    /// They hash to this.
    Corrupt(Digest),
}

/// Compares the bytes with the digest.
pub(super) async fn verified(context: &Arc<FlowContext>) -> Result<(), Unverified> {
    let actual = hashed(context).await.map_err(Unverified::Unread)?.digester.finish();
    if actual == context.growing.origin.digest { Ok(()) } else { Err(Unverified::Corrupt(actual)) }
}

/// Begins anew at other sources, if no reader has been given a byte of what turned out wrong.
pub(super) fn start_over(context: &FlowContext, actual: Digest) -> bool {
    let origin = &context.growing.origin;
    let sources = context.growing.sources();
    if !context.growing.start_over() {
        return false;
    }
    context.shared.metrics.integrity_failures.inc();
    context.staged.start_over();
    context.frontier.start_over(&origin.digest);
    origin.repo.sources().suspect(&origin.digest, sources);
    tracing::warn!(expected = %origin.digest, %actual, repo_key = %origin.repo.key(),
        "a source sent bytes that do not hash to the digest; nobody has read them, and the fill begins anew elsewhere");
    true
}

/// Notes what is there, so that a restart goes on from it.
pub(super) async fn checkpoint(context: &Arc<FlowContext>) {
    let staged = context.staged.clone();
    let done = tokio::task::spawn_blocking(move || staged.checkpoint()).await;
    if let Err(error) = done.map_err(std::io::Error::other).and_then(|r| r) {
        tracing::warn!(digest = %context.growing.origin.digest, %error, "cannot note the progress of a fill");
    }
}

/// Brings a fill to its end: publishes, discards or leaves it for later.
pub(super) async fn close(registered: &Registered, context: Arc<FlowContext>, end: End) {
    match end {
        // Verified before, or about to be: nothing is left to do here.
        End::Complete => {}
        End::Contradicted(error) => {
            context.shared.metrics.fills_failed.inc();
            suspect_sources(&context);
            discard(&context).await;
            drop(take_room(&context).await);
            registered.leave();
            context.growing.finish(Phase::Failed(error));
        }
        End::Failed(error) => {
            context.shared.metrics.fills_failed.inc();
            leave_resumable(registered, context, error).await;
        }
        End::Idle | End::Stopped => leave_resumable(registered, context, PullError::ShuttingDown).await,
        End::NoRoom(size) => without_room(registered, context, size).await,
    }
}

/// Makes those that bytes came from come last for this digest.
fn suspect_sources(context: &FlowContext) {
    let origin = &context.growing.origin;
    if origin.repo.sources().are_several() {
        origin.repo.sources().suspect(&origin.digest, context.growing.sources());
    }
}

/// Tells readers that the bytes are verified, and puts them into the store.
pub(super) async fn publish(registered: &Registered, context: Arc<FlowContext>) {
    let origin = &context.growing.origin;
    context.growing.finish(Phase::Verified);
    let linked = context.shared.metadata.link(&origin.repo.spec().key, &origin.name, &origin.digest).await;
    if let Err(error) = linked {
        tracing::error!(digest = %origin.digest, %error, "cannot link a blob to its repository; it will be confirmed upstream on the next pull");
    }
    let room = take_room(&context).await;
    let published = match &origin.foreign {
        Some(_) if matches!(context.shared.cache.open_blob(&origin.digest).await, Ok(Some(_))) => {
            // Another name's fill has put it there meanwhile, or before.
            discard(&context).await;
            drop(room);
            Ok(())
        }
        _ => context.shared.cache.publish(&context.staged, room).await,
    };
    match published {
        Ok(()) => {
            tracing::debug!(digest = %origin.digest, repo_key = %origin.repo.key(), "blob published");
            // Readers of the growing object count as readers of the stored one: it is not evicted under them.
            if let Ok(Some(lease)) = context.shared.cache.open_blob(&origin.digest).await {
                context.growing.keep(lease);
            }
        }
        Err(error) => {
            tracing::error!(digest = %origin.digest, %error, "a verified blob could not be published; it is served but not kept");
            discard(&context).await;
        }
    }
    registered.leave();
}

/// Discards what turned out to be something else.
pub(super) async fn corrupt(registered: &Registered, context: &Arc<FlowContext>, actual: Digest) {
    let origin = &context.growing.origin;
    context.shared.metrics.integrity_failures.inc();
    suspect_sources(context);
    tracing::error!(expected = %origin.digest, %actual, repo_key = %origin.repo.key(), upstream = %origin.repo.upstream(),
        "upstream sent bytes that do not hash to the digest; nothing is kept");
    discard(context).await;
    registered.leave();
    let said = origin.said("the bytes do not hash to the digest");
    context.growing.finish(Phase::Failed(PullError::Corrupt {
        expected: Box::new(origin.digest),
        actual: Box::new(actual),
        said,
    }));
}

async fn without_room(registered: &Registered, context: Arc<FlowContext>, size: Option<u64>) {
    let digest = context.growing.origin.digest;
    context.shared.metrics.no_room.inc();
    tracing::warn!(%digest, size, "no room in the cache: streaming past it");
    let hashed = hashed(&context).await;
    discard(&context).await;
    drop(take_room(&context).await);
    registered.leave();
    match hashed {
        Ok(unfinished) => context.growing.finish_without_room(size, unfinished),
        Err(error) => context.growing.finish(Phase::Failed(error)),
    }
}

/// Keeps what is there for the next pull or the next process.
pub(super) async fn leave_resumable(registered: &Registered, context: Arc<FlowContext>, error: PullError) {
    let present = context.growing.state().present.total();
    let room = take_room(&context).await;
    if present == 0 {
        discard(&context).await;
        drop(room);
    } else {
        checkpoint(&context).await;
        room.into_idle(present);
    }
    registered.leave();
    context.growing.finish(Phase::Failed(error));
}

async fn take_room(context: &FlowContext) -> Reservation {
    context.room.lock().await.take()
}

async fn discard(context: &Arc<FlowContext>) {
    let staged = context.staged.clone();
    let done = tokio::task::spawn_blocking(move || staged.discard()).await;
    if let Err(error) = done.map_err(std::io::Error::other).and_then(|r| r) {
        tracing::error!(digest = %context.growing.origin.digest, %error, "cannot remove a staging file");
    }
}

/// The hash over everything contiguous from the start.
async fn hashed(context: &Arc<FlowContext>) -> Result<Unfinished, PullError> {
    let context = context.clone();
    let done = tokio::task::spawn_blocking(move || {
        let end = context.growing.state().present.contiguous_from(0);
        context.frontier.catch_up(&context.staged, end)
    });
    done.await.map_err(|e| PullError::storage(&e))?.map_err(|e| PullError::storage(&e))
}
