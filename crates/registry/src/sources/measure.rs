//! How quickly and how surely one upstream answers: moving averages that forget.
//!
//! Must not know what was asked. Invariant: what is old counts less and less, so that an upstream that was slow once is
//! tried again.

use std::time::{Duration, Instant};

/// How much one answer weighs against the average so far.
const WEIGHT: f64 = 0.3;
/// In this time what was measured loses half of its weight while nobody asks.
const HALF_LIFE: Duration = Duration::from_mins(1);

/// The averages.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Measured {
    latency_seconds: Option<f64>,
    error_rate: f64,
    at: Option<Instant>,
}

impl Measured {
    /// Notes one answer, or its absence, after `latency`.
    pub(super) fn note(&mut self, latency: Duration, good: bool, now: Instant) {
        let seconds = latency.as_secs_f64();
        self.latency_seconds =
            Some(self.latency_seconds.map_or(seconds, |before| before + WEIGHT * (seconds - before)));
        let failed = if good { 0.0 } else { 1.0 };
        self.error_rate += WEIGHT * (failed - self.error_rate);
        self.at = Some(now);
    }

    /// Expected seconds to a good answer; 0 when nothing is known.
    pub(super) fn cost(&self, now: Instant) -> f64 {
        let (Some(latency), Some(at)) = (self.latency_seconds, self.at) else { return 0.0 };
        let age = now.saturating_duration_since(at).as_secs_f64() / HALF_LIFE.as_secs_f64();
        let chance = 1.0 - self.error_rate.min(0.95);
        latency / chance * 0.5_f64.powf(age)
    }

    /// Average time to an answer.
    pub(super) fn latency(&self) -> Option<Duration> {
        self.latency_seconds.map(Duration::from_secs_f64)
    }

    /// Average share of failures, 0 to 1.
    pub(super) fn error_rate(&self) -> f64 {
        self.error_rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_and_slowness_cost_and_are_forgotten() {
        let now = Instant::now();
        let (mut quick, mut slow, mut failing) = (Measured::default(), Measured::default(), Measured::default());
        assert!(quick.cost(now).abs() < f64::EPSILON, "nothing is known");
        for _ in 0..10 {
            quick.note(Duration::from_millis(10), true, now);
            slow.note(Duration::from_millis(500), true, now);
            failing.note(Duration::from_millis(10), false, now);
        }
        assert!(quick.cost(now) < failing.cost(now) && failing.cost(now) < slow.cost(now));
        assert!(slow.cost(now + 10 * HALF_LIFE) < quick.cost(now), "old slowness does not count for ever");
    }
}
