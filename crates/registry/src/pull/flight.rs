//! Single flight for small answers: the first caller starts a task, all callers get its answer.
//!
//! Must not know what is asked. Invariants: the task belongs to no caller; a panic in it is an answer too; the key
//! is free again when the task ends, however it ends.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};

use tracing::Instrument;

use crate::error::PullError;

/// What one kind of flight is keyed by and gives.
pub(crate) trait Flight: 'static {
    /// What makes two callers ask the same.
    type Key: Clone + Eq + Hash + Send + Sync + 'static;
    /// What they get.
    type Answer: Clone + Send + Sync + 'static;
}

type Running<F> = Shared<BoxFuture<'static, Result<<F as Flight>::Answer, PullError>>>;

/// Flights under way.
pub(crate) struct SingleFlight<F: Flight> {
    running: Mutex<HashMap<F::Key, Running<F>>>,
}

impl<F: Flight> Default for SingleFlight<F> {
    fn default() -> Self {
        Self { running: Mutex::default() }
    }
}

/// Frees the key when the task ends.
struct Landing<F: Flight> {
    flights: Arc<SingleFlight<F>>,
    key: F::Key,
}

impl<F: Flight> Drop for Landing<F> {
    fn drop(&mut self) {
        self.flights.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

impl<F: Flight> SingleFlight<F> {
    /// Joins the flight of `key`, starting it with `make` when there is none.
    pub(crate) fn join<T>(self: &Arc<Self>, key: F::Key, make: impl FnOnce() -> T) -> Running<F>
    where
        T: Future<Output = Result<F::Answer, PullError>> + Send + 'static,
    {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = running.get(&key) {
            return flight.clone();
        }
        let landing = Landing { flights: self.clone(), key: key.clone() };
        let work = make();
        let task = tokio::spawn(
            async move {
                let _landing = landing;
                work.await
            }
            .in_current_span(),
        );
        let flight = task.map(|ended| ended.unwrap_or_else(|error| Err(PullError::storage(&error)))).boxed().shared();
        running.insert(key, flight.clone());
        flight
    }
}
