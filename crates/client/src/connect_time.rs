//! Measures how long new connections take.
//!
//! reqwest offers no such timing, but lets a layer around its connector. The connector runs inside the request that
//! needs the connection, so a task-local carries the place where that request wants the time noted. Must not know
//! requests. Invariant: it changes neither the connection nor its errors.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;
use tower::{Layer, Service};

/// Holds the time once the connection stands.
pub(crate) type ConnectSlot = Arc<OnceLock<Duration>>;

tokio::task_local! {
    static SLOT: ConnectSlot;
}

/// Runs one request; a connection opened for it is noted in `slot`.
pub(crate) async fn noting<F: Future>(slot: ConnectSlot, request: F) -> F::Output {
    SLOT.scope(slot, request).await
}

/// The layer around reqwest's connector.
#[derive(Clone, Copy)]
pub(crate) struct ConnectTimer;

/// The connector with the layer around it.
#[derive(Clone)]
pub(crate) struct TimedConnector<S>(S);

impl<S> Layer<S> for ConnectTimer {
    type Service = TimedConnector<S>;

    fn layer(&self, connector: S) -> Self::Service {
        TimedConnector(connector)
    }
}

impl<S, Target> Service<Target> for TimedConnector<S>
where
    S: Service<Target>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, target: Target) -> Self::Future {
        let slot = SLOT.try_with(Clone::clone).ok();
        let started = Instant::now();
        let connecting = self.0.call(target);
        Box::pin(async move {
            let connected = connecting.await?;
            if let Some(slot) = slot {
                slot.get_or_init(|| started.elapsed());
            }
            Ok(connected)
        })
    }
}
