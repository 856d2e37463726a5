//! The retry budget of one host: retries are a fraction of requests, so they never multiply an outage.
//!
//! Pure: time comes in as an argument. Invariant: over any stretch of time the retries are at most a fifth of the
//! requests, plus ten, plus one for every two seconds.

use tokio::time::Instant;

/// What each request earns.
const EARNED: f64 = 0.2;

/// Most that can be saved up.
const MOST: f64 = 50.0;

/// What there is at the start, and what time alone refills to: a quiet host's few requests may be retried too.
const FLOOR: f64 = 10.0;

/// How fast time refills to the floor, for each second.
const FLOOR_PER_SECOND: f64 = 0.5;

/// One host's budget, in retries.
#[derive(Debug)]
pub(super) struct RetryBudget {
    saved: f64,
    at: Instant,
}

impl RetryBudget {
    pub(super) fn new(now: Instant) -> Self {
        Self { saved: FLOOR, at: now }
    }

    /// A request that is no retry goes out.
    pub(super) fn earn(&mut self, now: Instant) {
        self.refill(now);
        self.saved = (self.saved + EARNED).min(MOST);
    }

    /// Takes one retry, if there is one left.
    pub(super) fn spend(&mut self, now: Instant) -> bool {
        self.refill(now);
        let enough = self.saved >= 1.0;
        if enough {
            self.saved -= 1.0;
        }
        enough
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        if self.saved < FLOOR {
            self.saved = (self.saved + passed * FLOOR_PER_SECOND).min(FLOOR);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn retries_stay_a_fraction_of_requests() {
        let now = Instant::now();
        let mut budget = RetryBudget::new(now);
        let mut retries = 0;
        for _ in 0..1000 {
            budget.earn(now);
            // Each failed request would like two retries.
            retries += u32::from(budget.spend(now)) + u32::from(budget.spend(now));
        }
        assert!((200..=211).contains(&retries), "{retries}");
    }

    #[test]
    fn calm_refills_the_floor_and_no_more() {
        let now = Instant::now();
        let mut budget = RetryBudget::new(now);
        while budget.spend(now) {}
        assert!(budget.spend(now + Duration::from_secs(2)));
        let later = now + Duration::from_hours(1);
        let spent = (0..100).filter(|_| budget.spend(later)).count();
        assert_eq!(spent, 10);
    }
}
