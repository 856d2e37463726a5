//! The queue of pushes that something follows: workflows, and channels.
//!
//! Must not know what follows. Invariants: the tag events are the queue, and a mark says how far it was handled, event by
//! event, so a crash loses no push; an event that fails is tried again, but not for ever: those behind it are others' pushes.

use std::time::Duration;

use metadata::TagEventRow;

use super::Promotions;
use crate::hosted::channels::Channels;
use crate::hosted::error::HostedError;

/// Events read at once.
const BATCH: u32 = 100;
/// Looked at again after this time, whatever was heard of.
const EVERY: Duration = Duration::from_secs(30);
/// How often an event is tried.
const MOST_TRIES: u32 = 5;
/// Between the first try and the second; after that, twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The event that failed last, and how often it did.
#[derive(Debug, Default)]
struct Failing {
    event: i64,
    tries: u32,
}

impl Promotions {
    /// Handles pushes until the registry stops.
    pub(crate) async fn keep_workflows(self, stopping: impl Fn() -> bool) {
        let mut failing = Failing::default();
        while !stopping() {
            let handled = self.handle_events(&mut failing).await;
            if let Err(error) = &handled {
                tracing::warn!(%error, "what follows pushes could not be done; it is tried again");
            }
            if let Err(error) = self.look_again().await {
                tracing::warn!(%error, "promotions that wait could not be looked at; it is tried again");
            }
            if handled.is_err() && failing.tries > 0 {
                // Not at the next push: the tries would be over before what is wrong could be.
                tokio::time::sleep(FIRST_PAUSE * 2_u32.pow(failing.tries - 1)).await;
                continue;
            }
            // What is heard of meanwhile is kept: one permit.
            tokio::select! {
                () = self.core.hosted.moved.notified() => {}
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    async fn handle_events(&self, failing: &mut Failing) -> Result<(), HostedError> {
        loop {
            let events = self.core.metadata.unhandled_tag_events(BATCH).await?;
            if events.is_empty() {
                return Ok(());
            }
            for event in &events {
                if let Err(error) = self.handle(event).await {
                    self.failed(event, error, failing).await?;
                }
                self.core.metadata.tag_events_handled(event.id).await?;
                *failing = Failing::default();
            }
        }
    }

    async fn handle(&self, event: &TagEventRow) -> Result<(), HostedError> {
        if event.digest.is_none() {
            return Ok(());
        }
        let followed = Channels::new(self.core.clone()).follow(event).await;
        self.start(event).await.and(followed)
    }

    /// Whether to go on behind an event that failed; otherwise, why not yet.
    async fn failed(&self, event: &TagEventRow, error: HostedError, failing: &mut Failing) -> Result<(), HostedError> {
        let (repo_key, name, tag) = (&event.repo, &event.name, &event.tag);
        match error {
            // A full disk is no fault of the event, and nothing else would succeed.
            HostedError::NoSpace => return Err(error),
            // What is damaged stays so.
            HostedError::Damaged(_) => {}
            _ => {
                let before = if failing.event == event.id { failing.tries } else { 0 };
                *failing = Failing { event: event.id, tries: (before + 1).min(MOST_TRIES) };
                if failing.tries < MOST_TRIES {
                    return Err(error);
                }
            }
        }
        tracing::error!(%repo_key, %name, %tag, %error, "nothing follows this push");
        self.give_up(event, &error).await
    }
}
