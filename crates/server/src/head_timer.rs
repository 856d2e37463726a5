//! The clock that limits how long a request's head may take, one for all requests of a connection.
//!
//! hyper asks for a new sleep before each request and drops it when the head has come, nearly always long before its
//! end. Here such a sleep is no more than a deadline: the one real timer of the connection is armed once, and moved on
//! only when it rings. Must not know HTTP. Invariant: a sleep that is polled ends at its deadline, not before and not
//! never.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};
use tokio::time::Instant as TokioInstant;

type Alarm = Mutex<Option<Pin<Box<tokio::time::Sleep>>>>;

/// The clock of one connection.
#[derive(Clone, Default)]
pub(crate) struct HeadTimer {
    alarm: Arc<Alarm>,
}

/// A deadline on that clock.
struct Deadline {
    at: Instant,
    alarm: Arc<Alarm>,
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, at: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Deadline { at, alarm: self.alarm.clone() })
    }

    fn now(&self) -> Instant {
        TokioInstant::now().into_std()
    }
}

impl Sleep for Deadline {}

impl Future for Deadline {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let at = TokioInstant::from_std(self.at);
        let mut alarm = self.alarm.lock().unwrap_or_else(PoisonError::into_inner);
        let alarm = alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        if at < alarm.deadline() {
            alarm.as_mut().reset(at);
        }
        loop {
            ready!(alarm.as_mut().poll(cx));
            if alarm.deadline() >= at {
                return Poll::Ready(());
            }
            // It rang for a head that came in time.
            alarm.as_mut().reset(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    async fn is_pending(sleep: &mut Pin<Box<dyn Sleep>>) -> bool {
        poll_fn(|cx| Poll::Ready(sleep.as_mut().poll(cx).is_pending())).await
    }

    #[tokio::test(start_paused = true)]
    async fn each_sleep_ends_at_its_own_deadline_whatever_became_of_the_others() {
        let timer = HeadTimer::default();
        let began = timer.now();
        let after = |secs| began + Duration::from_secs(secs);
        let mut first = timer.sleep_until(after(30));
        assert!(is_pending(&mut first).await);
        drop(first);
        tokio::time::sleep(Duration::from_secs(10)).await;
        let mut second = timer.sleep(Duration::from_secs(30));
        assert!(is_pending(&mut second).await);
        second.as_mut().await;
        assert_eq!(timer.now(), after(40), "not when the first would have ended");

        let mut late = timer.sleep_until(after(100));
        assert!(is_pending(&mut late).await);
        timer.sleep_until(after(50)).await;
        assert_eq!(timer.now(), after(50), "an earlier one does not wait for the alarm of a later one");
        late.await;
        assert_eq!(timer.now(), after(100));
        timer.sleep_until(after(1)).await;
        assert_eq!(timer.now(), after(100), "one in the past ends at once");
    }
}
