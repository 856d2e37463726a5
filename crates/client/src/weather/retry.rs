//! Tries again what may succeed a moment later.
//!
//! Only calls that may be made twice go through here: those that change nothing upstream, and pushes of a manifest. Must not know requests. Invariants: the number
//! of attempts and the time for all of them are bounded; an upstream that asks for a longer wait than a request can wait
//! is left alone and the wait reported; retries beyond the host's budget are not made, so that they never multiply an
//! outage.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::backoff::Backoff;
use super::host::HostWeather;
use crate::basic::CredentialId;
use crate::config::{Timeouts, UpstreamConfig};
use crate::error::ClientError;
use crate::transport::Attempt;

/// The longest jitter after a wait that the upstream asked for.
const AFTER_WISH: Duration = Duration::from_millis(200);

/// The longest `Retry-After` that is waited for inside a request.
const LONGEST_WISH: Duration = Duration::from_secs(3);

/// The longest that a transfer waits for a registry that asks for it.
const LONGEST_REST: Duration = Duration::from_mins(1);

/// How often and how long one call is tried.
#[derive(Clone)]
pub(crate) struct RetryRule {
    host: Arc<HostWeather>,
    backoff: Backoff,
    max_attempts: u32,
    /// For the beginning of the last answer, over all attempts: 20 s with the default time-outs, below the 30 s after
    /// which container clients give up on us.
    budget: Duration,
}

impl RetryRule {
    /// For calls to `host`, whose retry budget counts.
    pub(crate) fn new(config: &UpstreamConfig, host: Arc<HostWeather>) -> Self {
        let Timeouts { first_byte, .. } = config.timeouts;
        let max_attempts = config.max_attempts.max(1);
        Self { host, backoff: config.backoff, max_attempts, budget: first_byte + first_byte / 3 }
    }

    /// One attempt, for callers that resume by themselves.
    pub(crate) fn attempt(&self, number: u32) -> Attempt {
        Attempt { number, deadline: Instant::now() + self.budget, account: CredentialId::Anonymous }
    }

    /// How long to pause before the next try of something that is resumed, after `number` failures in a row; none when the
    /// failure is for good, or that was the last.
    pub(crate) fn pause_before_resuming(&self, error: &ClientError, number: u32) -> Option<Duration> {
        if number >= self.max_attempts {
            return None;
        }
        let pause = self.backoff.pause(number);
        Some(error.retry_after().map_or(pause, |wish| wish.max(pause))).filter(|pause| *pause <= LONGEST_REST)
    }

    /// Runs `call` until it succeeds, fails for good, or the attempts or the time are used up.
    pub(crate) async fn run<T, F, Calling>(&self, mut call: F) -> Result<T, ClientError>
    where
        F: FnMut(Attempt) -> Calling,
        Calling: Future<Output = Result<T, ClientError>>,
    {
        let deadline = Instant::now() + self.budget;
        let mut number = 1;
        self.host.earn_retries();
        loop {
            let attempt = Attempt { number, deadline, account: CredentialId::Anonymous };
            let error = match call(attempt).await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let Some(pause) = self.pause(&error, number) else { return Err(error) };
            if Instant::now() + pause >= deadline || !self.host.may_retry() {
                return Err(error);
            }
            sleep(pause).await;
            number += 1;
        }
    }

    /// How long to pause after attempt `number` failed; none when that was the last.
    fn pause(&self, error: &ClientError, number: u32) -> Option<Duration> {
        if number >= self.max_attempts || !error.is_temporary() {
            return None;
        }
        // Nothing was asked, and nothing will be within a request's time.
        if matches!(error, ClientError::CircuitOpen { .. } | ClientError::OwnLimit { .. }) {
            return None;
        }
        let wish = error.retry_after();
        // A bare 429 is an abuse limit: asking again soon makes it last longer.
        if wish.is_none() && matches!(error, ClientError::RateLimited { .. }) {
            return None;
        }
        match wish {
            Some(wish) if wish > LONGEST_WISH => None,
            Some(wish) => Some(wish + AFTER_WISH.mul_f64(fastrand::f64())),
            None => Some(self.backoff.pause(number)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Climate;
    use crate::error::{TimeoutPhase, UpstreamAnswer};

    fn rule(max_attempts: u32) -> RetryRule {
        let mut config = UpstreamConfig::new("https://r.example".parse().unwrap());
        config.max_attempts = max_attempts;
        let host = Climate::default().at(&config.url);
        RetryRule::new(&config, host)
    }

    fn status(status: u16, retry_after: Option<u64>) -> ClientError {
        let answer = UpstreamAnswer { status, message: None };
        let (upstream, retry_after) = ("r.example".into(), retry_after.map(Duration::from_secs));
        match status {
            429 => ClientError::RateLimited { upstream, answer, retry_after },
            404 => ClientError::NotFound { upstream, answer },
            _ => ClientError::UpstreamStatus { upstream, answer, retry_after },
        }
    }

    fn timeout() -> ClientError {
        ClientError::Timeout { upstream: "r.example".into(), phase: TimeoutPhase::FirstByte }
    }

    #[test]
    fn pauses_grow_within_bounds_and_heed_wishes() {
        for number in 1..=40 {
            assert!(rule(u32::MAX).pause(&timeout(), number).unwrap() <= Backoff::default().max);
        }
        let wished = rule(3).pause(&status(503, Some(2)), 1).unwrap();
        assert!((Duration::from_secs(2)..=Duration::from_millis(2200)).contains(&wished), "{wished:?}");
        assert_eq!(rule(3).pause(&status(503, Some(60)), 1), None);
        assert_eq!(rule(3).pause(&status(429, None), 1), None);
        assert!(rule(3).pause(&status(429, Some(1)), 1).is_some());
        let open = ClientError::CircuitOpen { upstream: "r.example".into(), retry_after: Duration::ZERO };
        assert_eq!(rule(3).pause(&open, 1), None);
    }

    #[test]
    fn only_temporary_failures_and_never_past_the_last_attempt() {
        for (code, again) in [
            (404, false),
            (400, false),
            (416, false),
            (500, true),
            (502, true),
            (503, true),
            (504, true),
            (501, false),
            (408, true),
        ] {
            assert_eq!(rule(3).pause(&status(code, None), 1).is_some(), again, "{code}");
        }
        assert!(rule(3).pause(&timeout(), 2).is_some());
        assert!(rule(3).pause(&timeout(), 3).is_none());
        assert!(rule(0).pause(&timeout(), 1).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_are_counted_and_the_time_is_bounded() {
        let mut attempts = Vec::new();
        let outcome = rule(3)
            .run(|attempt| {
                attempts.push(attempt.number);
                async { Err::<(), _>(timeout()) }
            })
            .await;
        assert!(outcome.is_err());
        assert_eq!(attempts, [1, 2, 3]);

        let started = Instant::now();
        let mut slow_attempts = 0;
        let patient = rule(100);
        let slow = patient.run(|_| {
            slow_attempts += 1;
            async {
                sleep(Duration::from_secs(7)).await;
                Err::<(), _>(timeout())
            }
        });
        slow.await.unwrap_err();
        assert_eq!(slow_attempts, 3, "7 s each, 20 s in all: none begins after that");
        assert!(started.elapsed() < Duration::from_secs(29));
    }
    #[tokio::test(start_paused = true)]
    async fn an_outage_is_not_multiplied() {
        let rule = rule(3);
        let attempts = std::cell::Cell::new(0_u32);
        for _ in 0..1000 {
            let failing = |_| {
                attempts.set(attempts.get() + 1);
                std::future::ready(Err::<(), _>(timeout()))
            };
            rule.run(failing).await.unwrap_err();
        }
        // 1000 calls earn 200 retries; the floor and the pauses' time give some more.
        assert!((1200..1400).contains(&attempts.get()), "{}", attempts.get());
    }
}
