//! Exponentially weighted moving averages, and a quantile of the latest latencies.
//!
//! Pure. Invariant: bounded memory, and never a number that is not one.

use std::time::Duration;

/// The weight of the newest sample.
const WEIGHT: f64 = 0.2;

/// Latencies kept for the quantile.
const KEPT: usize = 64;

/// Fewer than these tell nothing of a tail.
const LEAST: usize = 20;

/// A moving average; none before the first sample.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ewma(Option<f64>);

impl Ewma {
    pub(super) fn add(&mut self, sample: f64) {
        self.0 = Some(self.0.map_or(sample, |mean| mean + WEIGHT * (sample - mean)));
    }

    pub(super) fn mean(self) -> Option<f64> {
        self.0
    }
}

/// The latest latencies.
#[derive(Clone, Debug, Default)]
pub(super) struct Latencies {
    ring: Vec<Duration>,
    next: usize,
}

impl Latencies {
    pub(super) fn add(&mut self, latency: Duration) {
        if self.ring.len() < KEPT {
            self.ring.push(latency);
        } else {
            self.ring[self.next] = latency;
            self.next = (self.next + 1) % KEPT;
        }
    }

    /// What 95 of 100 stay below; `None` while too few are known.
    pub(super) fn tail(&self) -> Option<Duration> {
        if self.ring.len() < LEAST {
            return None;
        }
        let mut sorted = self.ring.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() * 95 / 100).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_follow_and_forget() {
        let mut mean = Ewma::default();
        assert_eq!(mean.mean(), None);
        mean.add(1.0);
        assert_eq!(mean.mean(), Some(1.0));
        (0..50).for_each(|_| mean.add(0.0));
        assert!(mean.mean().unwrap() < 0.001);
    }

    #[test]
    fn a_tail_needs_samples_and_old_ones_leave() {
        let mut latencies = Latencies::default();
        (1..LEAST as u64).for_each(|ms| latencies.add(Duration::from_millis(ms)));
        assert_eq!(latencies.tail(), None);
        (0..81).for_each(|_| latencies.add(Duration::from_millis(10)));
        assert_eq!(latencies.tail(), Some(Duration::from_millis(10)));
        (0..10).for_each(|_| latencies.add(Duration::from_secs(1)));
        assert_eq!(latencies.tail(), Some(Duration::from_secs(1)));
    }
}
