//! Notices that the wall clock was changed: ages in the database are by it.
//!
//! Must not know what ages mean. Invariant: time that passes by itself is never taken for a change.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// What two clocks may drift apart between two looks.
const TOLERANCE: Duration = Duration::from_mins(1);

/// The wall clock beside one that nobody can set.
pub(super) struct WallClock(Mutex<Look>);

struct Look {
    steady: Instant,
    wall: SystemTime,
    /// A change that was noticed and not handled yet.
    changed: bool,
}

impl WallClock {
    pub(super) fn start() -> Self {
        Self(Mutex::new(Look { steady: Instant::now(), wall: SystemTime::now(), changed: false }))
    }

    /// Whether the wall clock was set, or the machine slept, since that was handled last.
    pub(super) fn was_changed(&self) -> bool {
        self.look(Instant::now(), SystemTime::now())
    }

    /// What had to be done about it is done.
    pub(super) fn handled(&self) {
        self.last().changed = false;
    }

    fn look(&self, steady: Instant, wall: SystemTime) -> bool {
        let mut last = self.last();
        let passed = steady.duration_since(last.steady);
        let changed = match wall.duration_since(last.wall) {
            Ok(moved) => moved.abs_diff(passed) > TOLERANCE,
            Err(back) => back.duration() + passed > TOLERANCE,
        };
        *last = Look { steady, wall, changed: changed || last.changed };
        last.changed
    }

    fn last(&self) -> MutexGuard<'_, Look> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_is_noticed_until_it_is_handled() {
        let clock = WallClock::start();
        let Look { steady, wall, .. } = *clock.last();
        let hour = Duration::from_hours(1);
        assert!(!clock.look(steady + hour, wall + hour), "an hour went by");
        assert!(!clock.look(steady + hour, wall + hour - Duration::from_secs(2)), "corrected by a little");
        assert!(clock.look(steady + hour, wall + 2 * hour), "set ahead");
        assert!(clock.look(steady + hour, wall + 2 * hour), "nobody could do anything about it yet");
        clock.handled();
        assert!(!clock.look(steady + 2 * hour, wall + 3 * hour));
        assert!(clock.look(steady + 2 * hour, wall - hour), "set back");
    }
}
