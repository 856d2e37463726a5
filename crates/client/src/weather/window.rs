//! How many of the latest exchanges failed, over a window that moves along.
//!
//! Must not know what a failure is. Invariant: an outcome is forgotten between 27 s and 30 s after it was noted.

use std::time::Duration;

use tokio::time::Instant;

/// How far back the window reaches.
pub(super) const REACH: Duration = Duration::from_secs(30);

/// Slices of the window.
const SLICES: usize = 10;

/// Counts of one window.
#[derive(Clone, Debug)]
pub(super) struct Window {
    since: Instant,
    /// The slice that is being counted into, numbered from `since`.
    current: u64,
    slices: [Counts; SLICES],
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    fine: u32,
    failed: u32,
}

impl Window {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, current: 0, slices: [Counts::default(); SLICES] }
    }

    pub(super) fn fine(&mut self, now: Instant) {
        let slice = self.slice(now);
        slice.fine = slice.fine.saturating_add(1);
    }

    pub(super) fn failed(&mut self, now: Instant) {
        let slice = self.slice(now);
        slice.failed = slice.failed.saturating_add(1);
    }

    /// All outcomes in the window, and how many of them failed.
    pub(super) fn totals(&mut self, now: Instant) -> (u32, u32) {
        self.slice(now);
        let failed = self.slices.iter().fold(0_u32, |sum, slice| sum.saturating_add(slice.failed));
        let fine = self.slices.iter().fold(0_u32, |sum, slice| sum.saturating_add(slice.fine));
        (fine.saturating_add(failed), failed)
    }

    /// The slice of `now`, after the ones that the window has left behind were emptied.
    fn slice(&mut self, now: Instant) -> &mut Counts {
        let length = REACH / SLICES as u32;
        let number = (now.saturating_duration_since(self.since).as_millis() / length.as_millis()) as u64;
        let number = number.max(self.current);
        let left_behind = (number - self.current).min(SLICES as u64);
        for step in 0..left_behind {
            self.slices[((number - step) % SLICES as u64) as usize] = Counts::default();
        }
        self.current = number;
        &mut self.slices[(number % SLICES as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_leave_the_window_after_its_reach() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut window = Window::new(start);
        window.failed(at(0));
        window.fine(at(10));
        window.failed(at(29));
        assert_eq!(window.totals(at(29)), (3, 2));
        assert_eq!(window.totals(at(30)), (2, 1), "the first has left");
        assert_eq!(window.totals(at(41)), (1, 1));
        assert_eq!(window.totals(at(100_000)), (0, 0));
        window.fine(at(100_001));
        assert_eq!(window.totals(at(100_002)), (1, 0));
    }

    #[test]
    fn a_clock_that_seems_to_go_back_changes_nothing() {
        let start = Instant::now() + Duration::from_secs(100);
        let mut window = Window::new(start);
        window.failed(start + Duration::from_secs(20));
        window.failed(start);
        assert_eq!(window.totals(start), (2, 2));
    }
}
