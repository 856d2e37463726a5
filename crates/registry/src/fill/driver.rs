//! The task that owns a fill: opens staging, has it steered, and begins anew elsewhere when the bytes were wrong.
//!
//! What to fetch is steered in `steering`, how a fill ends stands in `ending`. Must not know requests. Invariants: whatever ends the task,
//! readers get an outcome and the digest is free for the next fill; nothing is published unless its hash is its digest; what
//! broke off stays resumable.

use std::sync::{Arc, Mutex};

use blob_store::StoreError;
use oci::Digester;

use super::Shared;
use super::ending::{self, Registered, Unverified};
use super::flow::FlowContext;
use super::frontier::Frontier;
use super::growing::{Growing, Phase, Unfinished};
use super::steering::{End, Steering};
use crate::error::PullError;

/// Runs one fill from start to end.
pub(super) async fn drive(shared: Arc<Shared>, growing: Arc<Growing>) {
    let registered = Registered::new(shared.clone(), growing.clone());
    // A request that looked into the store just before another fill published can come here just after. A layer from an
    // address of its own may be there too, for another name: that is no proof that this one's address has it.
    if growing.origin.foreign.is_none()
        && let Ok(Some(_)) = shared.cache.open_blob(&growing.origin.digest).await
    {
        registered.leave();
        growing.finish(Phase::Stored);
        return;
    }
    let context = match open(&shared, &growing).await {
        Ok(context) => Arc::new(context),
        Err(StoreError::NoSpace { .. }) => {
            shared.metrics.no_room.inc();
            tracing::warn!(digest = %growing.origin.digest, "disk full: streaming past the cache");
            registered.leave();
            let nothing = Unfinished { hashed: 0, digester: Digester::new(growing.origin.digest.algorithm()) };
            growing.finish_without_room(None, nothing);
            return;
        }
        Err(error) => {
            registered.leave();
            growing.finish(Phase::Failed(PullError::storage(&error)));
            return;
        }
    };
    let mut retries = origin_retries(&growing);
    loop {
        let mut steering = Steering::new(context.clone());
        let end = steering.run().await;
        steering.stop().await;
        let End::Complete = end else { return ending::close(&registered, context, end).await };
        match ending::verified(&context).await {
            Ok(()) => return ending::publish(&registered, context).await,
            Err(Unverified::Unread(error)) => return ending::leave_resumable(&registered, context, error).await,
            Err(Unverified::Corrupt(actual)) => {
                if retries == 0 || !ending::start_over(&context, actual) {
                    return ending::corrupt(&registered, &context, actual).await;
                }
                retries -= 1;
            }
        }
    }
}

/// How often a fill whose bytes were wrong may be begun anew: once for each source that may be better.
fn origin_retries(growing: &Growing) -> usize {
    match growing.origin.foreign {
        None => growing.origin.repo.sources().iter().count() - 1,
        Some(_) => 0,
    }
}

/// Opens the staging file, takes over what is in it and the room it has.
async fn open(shared: &Arc<Shared>, growing: &Arc<Growing>) -> Result<FlowContext, StoreError> {
    let origin = &growing.origin;
    let room = shared.cache.take_over(origin.digest);
    let (staging, digest) = (shared.cache.staging().clone(), origin.digest);
    let (repo_key, name) = (origin.repo.key().to_string(), origin.name.to_string());
    let opened = tokio::task::spawn_blocking(move || {
        let staged = staging.open_blob(&digest)?;
        let note = staged.note();
        if staged.present().is_empty() || (note.repo_key == repo_key && note.name == name) {
            return Ok(staged);
        }
        // Unverified bytes that came under another name: not to be shown to readers of this one.
        drop(staged);
        staging.remove(&digest)?;
        staging.open_blob(&digest)
    });
    let staged = opened.await.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))?;
    {
        let mut state = growing.state();
        let resumable = staged.size().is_none() || state.size.is_none() || staged.size() == state.size;
        if resumable && !staged.present().is_empty() {
            state.size = state.size.or(staged.size());
            state.present = staged.present();
            shared.metrics.fills_resumed.inc();
            tracing::info!(digest = %origin.digest, present_bytes = state.present.total(), "resuming a fill");
        }
    }
    growing.staged.get_or_init(|| staged.clone());
    Ok(FlowContext {
        shared: shared.clone(),
        growing: growing.clone(),
        staged,
        frontier: Frontier::new(&origin.digest),
        writing: Mutex::new(()),
        room: tokio::sync::Mutex::new(room),
    })
}
