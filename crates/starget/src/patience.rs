//! Waits that a program for people can afford: longer than `client` waits inside of one call.
//!
//! Must not know what is asked. Invariants: no wait is longer than `LONGEST`; there are no more of them than retries were
//! allowed; a host that says when to come back is not asked earlier.

use std::time::Duration;

use client::{Backoff, ClientError};

/// The longest wait for one host, in one go.
const LONGEST: Duration = Duration::from_mins(2);

/// The longest `Retry-After` that `client` waits for inside of a call; those it has tried again itself.
const WAITED_FOR: Duration = Duration::from_secs(3);

/// What is left of the retries of one piece of work.
#[derive(Clone, Debug)]
pub(crate) struct Patience {
    left: u32,
    used: u32,
    backoff: Backoff,
}

impl Patience {
    /// As many retries as were allowed.
    pub(crate) fn new(max_retries: u32, backoff: Backoff) -> Self {
        Self { left: max_retries, used: 0, backoff }
    }

    /// Waits before a call is made again that ended before its answer began; gives the error back when `client` has tried
    /// it again already.
    pub(crate) async fn wait_after_call(&mut self, error: ClientError) -> Result<(), ClientError> {
        let waits_long = error.retry_after().is_some_and(|wish| wish > WAITED_FOR);
        let was_not_asked = matches!(error, ClientError::CircuitOpen { .. } | ClientError::OwnLimit { .. });
        if waits_long || was_not_asked { self.wait_after(error).await } else { Err(error) }
    }

    /// Waits before the next attempt; gives the error back when there is none.
    pub(crate) async fn wait_after(&mut self, error: ClientError) -> Result<(), ClientError> {
        if !error.is_temporary() || self.left == 0 {
            return Err(error);
        }
        let pause = match error.retry_after() {
            Some(wish) if wish > LONGEST => return Err(error),
            Some(wish) => wish + self.backoff.pause(1),
            None => self.backoff.pause(self.used + 1),
        };
        self.left -= 1;
        self.used += 1;
        tracing::warn!(%error, pause_ms = pause.as_millis() as u64, attempt = self.used, "trying again");
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limited(retry_after: Option<u64>) -> ClientError {
        let answer = client::UpstreamAnswer { status: 429, message: None };
        let retry_after = retry_after.map(Duration::from_secs);
        ClientError::RateLimited { upstream: "r.example".into(), answer, retry_after }
    }

    #[tokio::test(start_paused = true)]
    async fn a_wish_is_heeded_and_too_long_a_one_is_an_error() {
        let mut patience = Patience::new(2, Backoff::default());
        let start = tokio::time::Instant::now();
        patience.wait_after(limited(Some(30))).await.unwrap();
        assert!(start.elapsed() >= Duration::from_secs(30) && start.elapsed() < Duration::from_secs(31));
        patience.wait_after(limited(Some(3600))).await.unwrap_err();
        patience.wait_after(limited(None)).await.unwrap();
        patience.wait_after(limited(Some(1))).await.unwrap_err();
        let mut patience = Patience::new(2, Backoff::default());
        patience.wait_after_call(limited(Some(2))).await.unwrap_err();
        patience.wait_after_call(limited(Some(4))).await.unwrap();
    }
}
