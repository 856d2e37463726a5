//! How long to pause before trying again.
//!
//! Pure but for its dice. Invariant: `delay = min(base * 2^attempt + jitter, max)`, and even at the cap half of it is
//! jitter, so that clients that failed together do not come back together.

use std::time::Duration;

/// The shortest and the longest pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Before the second attempt, without jitter; doubles with every further one.
    pub base: Duration,
    /// No pause is longer.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { base: Duration::from_millis(100), max: Duration::from_secs(2) }
    }
}

impl Backoff {
    /// The pause after attempt `number`, counted from 1.
    pub fn pause(self, number: u32) -> Duration {
        let doublings = number.saturating_sub(1).min(16);
        let step = self.base.saturating_mul(1 << doublings).min(self.max / 2);
        step + step.mul_f64(fastrand::f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_cap_and_always_have_jitter() {
        let backoff = Backoff { base: Duration::from_millis(100), max: Duration::from_secs(2) };
        for (number, least, most) in [(1, 100, 200), (2, 200, 400), (4, 800, 1600), (5, 1000, 2000), (9999, 1000, 2000)]
        {
            let pauses: Vec<_> = (0..100).map(|_| backoff.pause(number).as_millis()).collect();
            assert!(pauses.iter().all(|pause| (least..=most).contains(pause)), "{number}: {pauses:?}");
            assert!(pauses.iter().any(|pause| *pause != pauses[0]), "{number}: no jitter");
        }
    }
}
