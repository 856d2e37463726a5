//! Notices that the wall clock was changed: ages in the database are by it.
//!
//! Must not know what ages mean. Invariant: time that passes by itself is never taken for a change.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// What two clocks may drift apart between two looks.
const TOLERANCE: Duration = Duration::from_mins(1);

/// The wall clock beside one that nobody can set.
pub(super) struct WallClock(Mutex<(Instant, SystemTime)>);

impl WallClock {
    pub(super) fn start() -> Self {
        Self(Mutex::new((Instant::now(), SystemTime::now())))
    }

    /// Whether the wall clock was set since the last look, or the machine slept.
    pub(super) fn was_changed(&self) -> bool {
        self.look(Instant::now(), SystemTime::now())
    }

    fn look(&self, steady: Instant, wall: SystemTime) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (before, then) = std::mem::replace(&mut *last, (steady, wall));
        let passed = steady.duration_since(before);
        match wall.duration_since(then) {
            Ok(moved) => moved.abs_diff(passed) > TOLERANCE,
            Err(back) => back.duration() + passed > TOLERANCE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_is_noticed_once() {
        let clock = WallClock::start();
        let (steady, wall) = *clock.0.lock().unwrap();
        let hour = Duration::from_hours(1);
        assert!(!clock.look(steady + hour, wall + hour), "an hour went by");
        assert!(!clock.look(steady + hour, wall + hour - Duration::from_secs(2)), "corrected by a little");
        assert!(clock.look(steady + hour, wall + 2 * hour), "set ahead");
        assert!(!clock.look(steady + 2 * hour, wall + 3 * hour));
        assert!(clock.look(steady + 2 * hour, wall - hour), "set back");
    }
}
