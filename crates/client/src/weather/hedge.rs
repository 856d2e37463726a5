//! A second question when the first one's answer is slow: the first good answer wins.
//!
//! Must not know what is asked. Invariants: the second question is put at most once, only after the delay, and only
//! when `may_ask` grants it; a temporary failure of one waits for the other; the loser is dropped.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::time::timeout;

use super::host::HostWeather;
use crate::basic::CredentialId;
use crate::error::ClientError;

/// A hedge never goes out sooner than this.
const LEAST_DELAY: Duration = Duration::from_millis(20);

/// Whether slow HEADs of manifests are put a second time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hedging {
    /// Never.
    #[default]
    Off,
    /// After the time that all but the slowest twentieth take, where the host tells no rate limit, within the retry
    /// budget.
    Auto,
}

/// Runs `first`; when it has no answer after `delay` and `may_ask` grants it, `second` beside it.
///
/// # Errors
/// The first final failure, or the last temporary one when both fail.
pub async fn hedge<T>(
    delay: Duration,
    first: impl Future<Output = Result<T, ClientError>>,
    may_ask: impl FnOnce() -> bool,
    second: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    let mut first = pin!(first);
    if let Ok(done) = timeout(delay, first.as_mut()).await {
        return done;
    }
    if !may_ask() {
        return first.await;
    }
    match select(first, pin!(second)).await {
        Either::Left((Err(error), other)) if error.is_temporary() => other.await,
        Either::Right((Err(error), other)) if error.is_temporary() => other.await,
        Either::Left((done, _)) | Either::Right((done, _)) => done,
    }
}

impl HostWeather {
    /// After which time a HEAD of a manifest by `account` is put a second time; `None`: not at all.
    pub(crate) fn hedge_after(&self, hedging: Hedging, account: CredentialId) -> Option<Duration> {
        match hedging {
            Hedging::Off => None,
            // Each question counts where they are counted.
            Hedging::Auto if self.weather(account).rate_limit.is_some() => None,
            Hedging::Auto => Some(self.slow_head()?.max(LEAST_DELAY)),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;
    use crate::error::TimeoutPhase;

    fn lost() -> ClientError {
        ClientError::Timeout { upstream: "r.example".into(), phase: TimeoutPhase::FirstByte }
    }

    async fn after(millis: u64, answer: Result<&'static str, ClientError>) -> Result<&'static str, ClientError> {
        sleep(Duration::from_millis(millis)).await;
        answer
    }

    const DELAY: Duration = Duration::from_millis(100);

    #[tokio::test(start_paused = true)]
    async fn the_first_good_answer_wins() {
        let quick = hedge(DELAY, after(50, Ok("first")), || panic!("not slow"), after(0, Ok("second")));
        assert_eq!(quick.await.unwrap(), "first");
        let overtaken = hedge(DELAY, after(1000, Ok("first")), || true, after(10, Ok("second")));
        assert_eq!(overtaken.await.unwrap(), "second");
        let still_first = hedge(DELAY, after(150, Ok("first")), || true, after(1000, Ok("second")));
        assert_eq!(still_first.await.unwrap(), "first");
        let not_granted = hedge(DELAY, after(150, Ok("first")), || false, after(0, Ok("second")));
        assert_eq!(not_granted.await.unwrap(), "first");
    }

    #[tokio::test(start_paused = true)]
    async fn a_temporary_failure_waits_for_the_other_and_a_final_one_does_not() {
        let rescued = hedge(DELAY, after(150, Err(lost())), || true, after(500, Ok("second")));
        assert_eq!(rescued.await.unwrap(), "second");
        let kept = hedge(DELAY, after(500, Ok("first")), || true, after(10, Err(lost())));
        assert_eq!(kept.await.unwrap(), "first");
        let refused = ClientError::Refused { upstream: "r.example".into(), what: "no".into() };
        let ended = hedge(DELAY, after(150, Err(refused)), || true, after(500, Ok("second")));
        assert!(matches!(ended.await, Err(ClientError::Refused { .. })));
        let both = hedge(DELAY, after(150, Err(lost())), || true, after(500, Err(lost())));
        assert!(both.await.is_err());
    }
}
