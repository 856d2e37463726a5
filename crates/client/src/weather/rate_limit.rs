//! How much of a rate limit one account has left, and how fast it goes.
//!
//! Pure: time comes in as an argument. Must not know headers. Invariants: the rate of use is measured over at most ten
//! minutes of one window of the limit; when the remainder grows, a new window has begun and measuring begins anew.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::rate_limit_headers::Stated;
use super::standing::Left;

/// How far back the rate of use looks.
const LOOK_BACK: Duration = Duration::from_mins(10);

/// Samples closer than this are one.
const SAMPLE_EVERY: Duration = Duration::from_secs(5);

/// A rate measured over less says nothing of the hours to come.
const LEAST_SPAN: Duration = Duration::from_mins(1);

/// What a limit's window is taken to be when the upstream does not say: Docker Hub's.
const USUAL_WINDOW: Duration = Duration::from_hours(6);

/// What an upstream said of one account's rate limit.
#[derive(Clone, Debug, PartialEq)]
pub struct RateLimit {
    /// The account's name in the configuration; `anonymous` without a credential.
    pub account: String,
    /// Requests allowed in a window. Docker Hub counts only GETs of manifests.
    pub limit: u64,
    /// Requests left.
    pub remaining: u64,
    /// How long the window is, or how long until it begins anew; `None` when the upstream does not say.
    pub window: Option<Duration>,
    /// Whom the upstream counts (`docker-ratelimit-source`): an address or an account's id.
    pub source: Option<String>,
    /// When it said so.
    pub seen_at: Instant,
    /// When nothing will be left at the rate of the last minutes; `None` when nothing is being used.
    pub exhausted_in: Option<Duration>,
    /// Whether what is left should be kept for what is not cached: a tenth or less, or at most a half that at the
    /// present rate will not last for the window.
    pub is_low: bool,
    /// Whether so little is left that it is for what is not cached alone: a twentieth or less.
    pub is_reserved: bool,
}

/// The statements for one account over time.
#[derive(Debug)]
pub(super) struct RateLimitTrack {
    stated: Stated,
    seen_at: Instant,
    samples: VecDeque<(Instant, u64)>,
}

impl RateLimitTrack {
    pub(super) fn new(stated: Stated, now: Instant) -> Self {
        let samples = VecDeque::from([(now, stated.remaining)]);
        Self { stated, seen_at: now, samples }
    }

    pub(super) fn note(&mut self, stated: Stated, now: Instant) {
        if stated.remaining > self.stated.remaining || stated.limit != self.stated.limit {
            self.samples.clear();
        }
        while self.samples.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) > LOOK_BACK) {
            self.samples.pop_front();
        }
        if self.samples.back().is_none_or(|(at, _)| now.saturating_duration_since(*at) >= SAMPLE_EVERY) {
            self.samples.push_back((now, stated.remaining));
        }
        self.stated = stated;
        self.seen_at = now;
    }

    /// Whether the statement still says something: its window has not passed since.
    pub(super) fn is_current(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.seen_at) < self.stated.window.unwrap_or(USUAL_WINDOW)
    }

    /// What was left when it was last said.
    pub(super) fn left(&self) -> Left {
        Left { remaining: self.stated.remaining, seen_at: self.seen_at }
    }

    pub(super) fn snapshot(&self, account: &str, now: Instant) -> RateLimit {
        let exhausted_in = self.exhausted_in(now);
        RateLimit {
            account: account.to_owned(),
            limit: self.stated.limit,
            remaining: self.stated.remaining,
            window: self.stated.window,
            source: self.stated.source.clone(),
            seen_at: self.seen_at,
            exhausted_in,
            is_low: self.is_low(exhausted_in),
            is_reserved: self.stated.remaining.saturating_mul(20) <= self.stated.limit,
        }
    }

    /// The remainder divided by the rate at which it went down.
    fn exhausted_in(&self, now: Instant) -> Option<Duration> {
        let (first_at, first) = self.samples.front()?;
        let span = now.saturating_duration_since(*first_at);
        let used = first.saturating_sub(self.stated.remaining);
        if self.stated.remaining == 0 {
            return Some(Duration::ZERO);
        }
        if used == 0 || span < LEAST_SPAN {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "a projection needs no more than 52 bits")]
        let seconds = self.stated.remaining as f64 * span.as_secs_f64() / used as f64;
        Duration::try_from_secs_f64(seconds).ok()
    }

    fn is_low(&self, exhausted_in: Option<Duration>) -> bool {
        let Stated { limit, remaining, window, .. } = &self.stated;
        let tenth = remaining.saturating_mul(10) <= *limit;
        let half = remaining.saturating_mul(2) <= *limit;
        tenth || (half && exhausted_in.is_some_and(|left| left < window.unwrap_or(USUAL_WINDOW)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stated(remaining: u64) -> Stated {
        Stated { limit: 100, remaining, window: Some(Duration::from_hours(6)), source: None }
    }

    fn track(points: &[(u64, u64)]) -> RateLimit {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let ((first_at, first), rest) = points.split_first().unwrap();
        let mut track = RateLimitTrack::new(stated(*first), at(*first_at));
        for (seconds, remaining) in rest {
            track.note(stated(*remaining), at(*seconds));
        }
        track.snapshot("ci", at(points.last().unwrap().0))
    }

    #[test]
    fn exhaustion_is_projected_from_use() {
        let seen = track(&[(0, 100), (60, 90), (120, 80)]);
        assert_eq!(seen.exhausted_in, Some(Duration::from_mins(8)), "10 a minute, 80 left");
        assert!(!seen.is_low, "more than a half is left");
        assert!(track(&[(0, 60), (60, 50)]).is_low, "half is left and lasts five minutes");
        assert!(!track(&[(0, 60), (10, 50)]).is_low, "a burst of seconds says nothing yet");
        assert!(!track(&[(0, 50), (500, 50)]).is_low, "nothing is being used");
    }

    #[test]
    fn a_tenth_is_low_and_nothing_is_exhausted_now() {
        assert!(track(&[(0, 10)]).is_low);
        assert!(!track(&[(0, 11)]).is_low);
        assert!(track(&[(0, 5)]).is_reserved && !track(&[(0, 6)]).is_reserved);
        assert_eq!(track(&[(0, 0)]).exhausted_in, Some(Duration::ZERO));
    }

    #[test]
    fn a_new_window_begins_anew() {
        let seen = track(&[(0, 50), (60, 10), (120, 100), (180, 99)]);
        assert_eq!(seen.exhausted_in, Some(Duration::from_mins(99)), "one a minute since the window began");
        assert!(!seen.is_low);
    }

    #[test]
    fn old_samples_leave_and_old_statements_expire() {
        let seen = track(&[(0, 100), (10, 51), (700, 51), (800, 50)]);
        assert_eq!(seen.exhausted_in, Some(Duration::from_secs(50 * 100)));
        let now = Instant::now();
        let track = RateLimitTrack::new(stated(1), now);
        assert!(track.is_current(now + Duration::from_hours(5)));
        assert!(!track.is_current(now + Duration::from_hours(7)));
    }
}
