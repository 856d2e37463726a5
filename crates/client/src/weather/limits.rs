//! What we allow ourselves at an upstream: requests and bytes a second, and requests at a time.
//!
//! Must not know why. Invariants: who comes first goes first; nobody is kept waiting for a turn that comes too late to
//! be of use; bytes are slowed down by not reading them, never by keeping them.

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::error::ClientError;

/// How much of unused bandwidth may be caught up with.
const BURST_OF_BYTES: Duration = Duration::from_millis(100);

/// How much of unused requests may be caught up with: a pull asks for an image's blobs at once.
const BURST_OF_REQUESTS: Duration = Duration::from_secs(1);

/// When somebody who found all places taken may come again; nobody knows when a body ends.
const NEXT_PLACE: Duration = Duration::from_secs(5);

/// The limits. `None` sets none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnLimits {
    /// Calls a second; a call with its login and its redirects counts once.
    pub requests_per_second: Option<NonZeroU32>,
    /// Bytes of bodies a second. Manifests and lists count but do not wait.
    pub bytes_per_second: Option<NonZeroU64>,
    /// Calls at a time, bodies included.
    pub concurrent_requests: Option<NonZeroU32>,
}

/// Holds all its clones together to the limits.
#[derive(Clone, Default)]
pub struct Limiter {
    inner: Option<Arc<Inner>>,
}

/// Whose limits they are, for errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    Repository,
    Host,
}

impl Whose {
    /// The name of a limit in the configuration.
    fn name(self, limit: Limit) -> &'static str {
        match (self, limit) {
            (Self::Repository, Limit::Requests) => "limits.requests_per_second",
            (Self::Repository, Limit::Places) => "limits.concurrent_requests",
            (Self::Host, Limit::Requests) => "upstream.limits.<host>.requests_per_second",
            (Self::Host, Limit::Places) => "upstream.limits.<host>.concurrent_requests",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    Requests,
    Places,
}

struct Inner {
    whose: Whose,
    requests: Option<Mutex<Pace>>,
    bytes: Option<Mutex<Pace>>,
    places: Option<Arc<Semaphore>>,
}

impl std::fmt::Debug for Limiter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Limiter").field("limits", &self.inner.is_some()).finish_non_exhaustive()
    }
}

impl Limiter {
    /// Of a repository. Starts with all that is allowed unused.
    pub fn new(limits: OwnLimits) -> Self {
        Self::with(Whose::Repository, limits)
    }

    /// The same of a host.
    pub(super) fn of_host(limits: OwnLimits) -> Self {
        Self::with(Whose::Host, limits)
    }

    fn with(whose: Whose, limits: OwnLimits) -> Self {
        let OwnLimits { requests_per_second, bytes_per_second, concurrent_requests } = limits;
        if limits == OwnLimits::default() {
            return Self::default();
        }
        let requests = requests_per_second.map(|rate| {
            let each = BURST_OF_REQUESTS / rate.get();
            // The one that comes last is in the burst too.
            Mutex::new(Pace::new(each.as_secs_f64(), BURST_OF_REQUESTS.saturating_sub(each)))
        });
        #[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 52 bits")]
        let bytes = bytes_per_second.map(|rate| Mutex::new(Pace::new(1.0 / rate.get() as f64, BURST_OF_BYTES)));
        let places = concurrent_requests.map(|most| Arc::new(Semaphore::new(most.get() as usize)));
        Self { inner: Some(Arc::new(Inner { whose, requests, bytes, places })) }
    }

    /// Waits for a turn, and leaves a quarter of the time to `deadline` for the answer.
    ///
    /// # Errors
    /// `OwnLimit` when no turn comes in that time; at once when that is known.
    pub(super) async fn enter(&self, upstream: &Arc<str>, deadline: Instant) -> Result<Held, ClientError> {
        let Some(inner) = &self.inner else { return Ok(Held::default()) };
        let now = Instant::now();
        let patience = now + deadline.saturating_duration_since(now).mul_f64(0.75);
        let refused = |limit, retry_after| ClientError::OwnLimit {
            upstream: upstream.clone(),
            limit: inner.whose.name(limit),
            retry_after,
        };
        let place = match &inner.places {
            None => None,
            Some(places) => match timeout_at(patience, places.clone().acquire_owned()).await {
                Ok(place) => place.ok(),
                Err(_) => return Err(refused(Limit::Places, NEXT_PLACE)),
            },
        };
        if let Some(requests) = &inner.requests {
            let turn = requests.lock().unwrap_or_else(PoisonError::into_inner).turn(patience);
            sleep_until(turn.map_err(|wait| refused(Limit::Requests, wait))?).await;
        }
        Ok(Held { limiter: self.clone(), place })
    }
}

/// What a call under way holds of one limiter.
#[derive(Default)]
pub(super) struct Held {
    limiter: Limiter,
    place: Option<OwnedSemaphorePermit>,
}

impl Held {
    fn bytes(&self, count: usize) -> Option<Instant> {
        let bytes = self.limiter.inner.as_ref()?.bytes.as_ref()?;
        let next = bytes.lock().unwrap_or_else(PoisonError::into_inner).take(count);
        (next > Instant::now()).then_some(next)
    }
}

/// A call under way. Dropping it makes its places free.
#[derive(Default)]
pub(crate) struct Passage {
    of_repository: Held,
    of_host: Held,
}

impl Passage {
    /// Waits for a turn at both. Who waits for the host holds its place of the repository: that one is the narrower.
    ///
    /// # Errors
    /// `OwnLimit` as `Limiter::enter`.
    pub(crate) async fn enter(
        limits: &Limiter,
        host_limits: &Limiter,
        upstream: &Arc<str>,
        deadline: Instant,
    ) -> Result<Self, ClientError> {
        let of_repository = limits.enter(upstream, deadline).await?;
        Ok(Self { of_repository, of_host: host_limits.enter(upstream, deadline).await? })
    }

    /// Counts bytes that came; says when the next may be read, if that is not now. None at all asks only that.
    pub(crate) fn bytes(&self, count: usize) -> Option<Instant> {
        self.of_repository.bytes(count).max(self.of_host.bytes(count))
    }

    /// The call is over.
    pub(crate) fn leave(&mut self) {
        self.of_repository.place = None;
        self.of_host.place = None;
    }
}

/// A token bucket, as the moment at which it has a token again.
struct Pace {
    /// Seconds that one takes.
    each: f64,
    burst: Duration,
    next: Instant,
}

impl Pace {
    fn new(each: f64, burst: Duration) -> Self {
        let now = Instant::now();
        Self { each, burst, next: now.checked_sub(burst).unwrap_or(now) }
    }

    /// The moment of the next turn, which is then taken; how long that is from now when it would come after `latest`.
    fn turn(&mut self, latest: Instant) -> Result<Instant, Duration> {
        let now = Instant::now();
        let turn = self.next.max(now.checked_sub(self.burst).unwrap_or(now));
        if turn > latest {
            return Err(turn - now);
        }
        self.next = turn + Duration::from_secs_f64(self.each);
        Ok(turn)
    }

    /// Takes `count` that are already used; the moment at which they are paid for.
    fn take(&mut self, count: usize) -> Instant {
        let now = Instant::now();
        let from = self.next.max(now.checked_sub(self.burst).unwrap_or(now));
        #[expect(clippy::cast_precision_loss, reason = "a piece of a body is far below 2^52 bytes")]
        let cost = Duration::try_from_secs_f64(count as f64 * self.each).unwrap_or(Duration::MAX);
        self.next = from.checked_add(cost).unwrap_or(from);
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(requests: u32, bytes: u64, places: u32) -> Limiter {
        Limiter::new(limits(requests, bytes, places))
    }

    fn limits(requests: u32, bytes: u64, places: u32) -> OwnLimits {
        OwnLimits {
            requests_per_second: NonZeroU32::new(requests),
            bytes_per_second: NonZeroU64::new(bytes),
            concurrent_requests: NonZeroU32::new(places),
        }
    }

    async fn enter(limiter: &Limiter) -> Result<Held, ClientError> {
        limiter.enter(&"r.example".into(), Instant::now() + Duration::from_secs(20)).await
    }

    #[tokio::test(start_paused = true)]
    async fn requests_keep_to_their_rate_after_a_burst_and_in_order() {
        let limiter = limiter(10, 0, 0);
        let start = Instant::now();
        for _ in 0..10 {
            enter(&limiter).await.unwrap();
        }
        assert!(start.elapsed() < Duration::from_millis(150), "a second's worth at once: {:?}", start.elapsed());
        let mut waiting = Vec::new();
        for number in 0..20 {
            let limiter = limiter.clone();
            waiting.push(tokio::spawn(async move { enter(&limiter).await.map(|_| (number, Instant::now())).unwrap() }));
            tokio::task::yield_now().await;
        }
        let mut turns = Vec::new();
        for one in waiting {
            turns.push(one.await.unwrap());
        }
        assert!(turns.is_sorted_by_key(|(_, at)| *at), "first come, first served");
        let took = turns[19].1 - start;
        assert!((1900..2150).contains(&took.as_millis()), "20 more at 10 a second: {took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_comes_too_late_is_refused_at_once() {
        let limiter = limiter(1, 0, 0);
        let start = Instant::now();
        let all = futures_util::future::join_all((0..40).map(|_| enter(&limiter))).await;
        let served = all.iter().filter(|one| one.is_ok()).count();
        assert_eq!(served, 16, "at 0, 1, … 15 s: a quarter of 20 s is left for the answer");
        assert!(start.elapsed() <= Duration::from_millis(15_100));
        let error = all.into_iter().find_map(Result::err).unwrap();
        assert!(error.is_temporary() && error.retry_after() > Some(Duration::from_secs(10)), "{error:?}");
        assert!(error.to_string().contains("requests_per_second"), "{error}");
        assert!(enter(&limiter).await.is_ok(), "who was refused took no turn");
    }

    #[tokio::test(start_paused = true)]
    async fn places_are_few_and_come_back() {
        let limiter = limiter(0, 0, 2);
        let (one, _two) = (enter(&limiter).await.unwrap(), enter(&limiter).await.unwrap());
        let start = Instant::now();
        let full = enter(&limiter).await.err().unwrap();
        assert!(full.to_string().contains("concurrent_requests"), "{full}");
        assert_eq!(start.elapsed().as_secs(), 15);
        let waiting = tokio::spawn({
            let limiter = limiter.clone();
            async move { enter(&limiter).await.is_ok() }
        });
        tokio::task::yield_now().await;
        drop(one);
        assert!(waiting.await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_of_all_bodies_keep_to_one_rate() {
        let limiter = limiter(0, 1_000_000, 0);
        let start = Instant::now();
        let body = || async {
            let passage = enter(&limiter).await.unwrap();
            for _ in 0..100 {
                if let Some(until) = passage.bytes(10_000) {
                    sleep_until(until).await;
                }
            }
        };
        tokio::join!(body(), body(), body());
        let took = start.elapsed().as_millis();
        assert!((2850..3150).contains(&took), "3 MB at 1 MB a second: {took} ms");
        tokio::time::sleep(Duration::from_mins(1)).await;
        let passage = enter(&limiter).await.unwrap();
        assert!(passage.bytes(99_000).is_none(), "100 ms of what was not used may be caught up with");
        assert!(passage.bytes(10_000).is_some(), "and no more");
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_keeps_to_the_limits_of_its_repository_and_of_its_host() {
        let (own, host) = (limiter(0, 4_000_000, 0), Limiter::of_host(limits(0, 1_000_000, 1)));
        let upstream: Arc<str> = "r.example".into();
        let deadline = Instant::now() + Duration::from_secs(20);
        let passage = Passage::enter(&own, &host, &upstream, deadline).await.unwrap();
        let start = Instant::now();
        for _ in 0..100 {
            if let Some(until) = passage.bytes(10_000) {
                sleep_until(until).await;
            }
        }
        assert!((850..1100).contains(&start.elapsed().as_millis()), "the slower counts: {:?}", start.elapsed());
        let error = Passage::enter(&own, &host, &upstream, deadline).await.err().unwrap();
        assert!(error.to_string().contains("upstream.limits.<host>.concurrent_requests"), "{error}");
        drop(passage);
        Passage::enter(&own, &host, &upstream, Instant::now() + Duration::from_secs(1)).await.unwrap();
    }

    #[tokio::test]
    async fn without_limits_nothing_is_counted() {
        let limiter = Limiter::new(OwnLimits::default());
        for _ in 0..1000 {
            assert!(enter(&limiter).await.unwrap().bytes(usize::MAX).is_none());
        }
    }
}
