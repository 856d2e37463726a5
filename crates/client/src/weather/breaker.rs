//! The circuit breaker of one host: after too many failures nobody asks for a while, then one probe does.
//!
//! Pure: time comes in as an argument. Must not know what failed. Invariants: half-open, at most one probe is under
//! way; a ticket of a former generation changes nothing, so a probe that was given up for lost and answers late can
//! neither open nor close the breaker.

use std::time::Duration;

use tokio::time::Instant;

use super::climate::Care;
use super::snapshot::BreakerState;
use super::window::Window;

/// Fewer outcomes than this in the window say nothing.
pub(super) const LEAST_OUTCOMES: u32 = 10;

/// Failures of so many in a hundred outcomes open the breaker.
const FAILURES_PERCENT: u64 = 50;

/// The first time nobody asks; it doubles each time the probe fails or the breaker opens again soon.
pub(super) const FIRST_COOL_DOWN: Duration = Duration::from_secs(5);

/// The longest time nobody asks.
pub(super) const LONGEST_COOL_DOWN: Duration = Duration::from_mins(2);

/// A probe without an outcome for so long is lost and another one goes out; above every time-out of a request.
pub(super) const PROBE_LOST_AFTER: Duration = Duration::from_secs(30);

/// Open again within this time after it closed counts as the same outage.
const SAME_OUTAGE: Duration = Duration::from_mins(1);

/// How an exchange went, as far as the host's health goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It answered, whatever it said.
    Fine,
    /// No connection, no answer in time, or a 5xx.
    Failed,
    /// Nothing can be said: given up by the caller, or a pooled connection that had gone stale.
    Unknown,
}

/// The right to ask once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    generation: u64,
}

#[derive(Debug)]
enum Phase {
    Closed { window: Window, since: Instant },
    Open { until: Instant },
    HalfOpen { lost_at: Instant },
}

/// One breaker.
#[derive(Debug)]
pub(super) struct Breaker {
    care: Care,
    generation: u64,
    phase: Phase,
    /// How often it opened in this outage.
    openings: u32,
}

impl Breaker {
    pub(super) fn new(now: Instant, care: Care) -> Self {
        Self { care, generation: 0, phase: Phase::Closed { window: Window::new(now), since: now }, openings: 0 }
    }

    /// Lets one request pass, or says how long to wait.
    pub(super) fn admit(&mut self, now: Instant) -> Result<Ticket, Duration> {
        let wait_until = match &self.phase {
            Phase::Closed { .. } => return Ok(Ticket { generation: self.generation }),
            Phase::Open { until } => *until,
            Phase::HalfOpen { lost_at } => *lost_at,
        };
        if now < wait_until {
            return Err(self.wait(now));
        }
        self.enter(Phase::HalfOpen { lost_at: now + PROBE_LOST_AFTER });
        Ok(Ticket { generation: self.generation })
    }

    /// Takes in how the request of a ticket went.
    pub(super) fn settle(&mut self, ticket: Ticket, verdict: Verdict, now: Instant) {
        if ticket.generation != self.generation || self.care == Care::Pressed {
            return;
        }
        match (&mut self.phase, verdict) {
            (Phase::Closed { .. }, Verdict::Unknown) | (Phase::Open { .. }, _) => {}
            (Phase::Closed { window, .. }, Verdict::Fine) => window.fine(now),
            (Phase::Closed { window, since }, Verdict::Failed) => {
                window.failed(now);
                let (all, failed) = window.totals(now);
                if all >= LEAST_OUTCOMES && u64::from(failed) * 100 >= u64::from(all) * FAILURES_PERCENT {
                    if now.saturating_duration_since(*since) > SAME_OUTAGE {
                        self.openings = 0;
                    }
                    self.open(now);
                }
            }
            (Phase::HalfOpen { .. }, Verdict::Fine) => {
                self.enter(Phase::Closed { window: Window::new(now), since: now });
            }
            (Phase::HalfOpen { .. }, Verdict::Failed) => self.open(now),
            // The one who probed went away: the next one probes at once.
            (Phase::HalfOpen { .. }, Verdict::Unknown) => self.enter(Phase::Open { until: now }),
        }
    }

    pub(super) fn state(&self, now: Instant) -> BreakerState {
        match &self.phase {
            Phase::Closed { .. } => BreakerState::Closed,
            Phase::Open { until } if now < *until => BreakerState::Open { until: *until },
            Phase::Open { .. } | Phase::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// How long a refused caller should stay away. While a probe is out, its outcome is expected any moment.
    fn wait(&self, now: Instant) -> Duration {
        match &self.phase {
            Phase::Open { until } => until.saturating_duration_since(now),
            Phase::Closed { .. } | Phase::HalfOpen { .. } => Duration::from_secs(1),
        }
    }

    fn open(&mut self, now: Instant) {
        let longest = (FIRST_COOL_DOWN * (1 << self.openings.min(16))).min(LONGEST_COOL_DOWN);
        self.openings = self.openings.saturating_add(1);
        // A quarter of jitter, so that many instances do not probe a host that comes back all at once.
        let until = now + longest.mul_f64(1.0 - fastrand::f64() / 4.0);
        self.enter(Phase::Open { until });
    }

    fn enter(&mut self, phase: Phase) {
        self.generation += 1;
        self.phase = phase;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bench {
        breaker: Breaker,
        now: Instant,
    }

    impl Bench {
        fn new() -> Self {
            let now = Instant::now();
            Self { breaker: Breaker::new(now, Care::Spared), now }
        }

        fn opened() -> Self {
            let mut bench = Self::new();
            (0..LEAST_OUTCOMES).for_each(|_| bench.one(Verdict::Failed));
            assert!(bench.breaker.admit(bench.now).is_err());
            bench
        }

        fn one(&mut self, verdict: Verdict) {
            let ticket = self.breaker.admit(self.now).unwrap();
            self.breaker.settle(ticket, verdict, self.now);
        }

        fn after(&mut self, wait: Duration) -> Result<Ticket, Duration> {
            self.now += wait;
            self.breaker.admit(self.now)
        }

        fn cool_down(&mut self) -> Duration {
            self.breaker.admit(self.now).unwrap_err()
        }
    }

    #[test]
    fn it_opens_on_a_ratio_over_a_least_number_and_not_before() {
        let mut bench = Bench::new();
        (1..LEAST_OUTCOMES).for_each(|_| bench.one(Verdict::Failed));
        assert!(bench.breaker.admit(bench.now).is_ok(), "too few to tell");
        let mut mostly_fine = Bench::new();
        for _ in 0..100 {
            mostly_fine.one(Verdict::Fine);
            mostly_fine.one(Verdict::Fine);
            mostly_fine.one(Verdict::Failed);
        }
        assert_eq!(mostly_fine.breaker.state(mostly_fine.now), BreakerState::Closed);
        let mut slow_trickle = Bench::new();
        for _ in 0..100 {
            slow_trickle.one(Verdict::Failed);
            slow_trickle.now += Duration::from_secs(4);
        }
        assert_eq!(slow_trickle.breaker.state(slow_trickle.now), BreakerState::Closed, "old failures are forgotten");
        let mut nobody_knows = Bench::new();
        (0..100).for_each(|_| nobody_knows.one(Verdict::Unknown));
        assert_eq!(nobody_knows.breaker.state(nobody_knows.now), BreakerState::Closed);
    }

    #[test]
    fn a_host_that_is_pressed_is_always_asked() {
        let mut bench = Bench::new();
        bench.breaker = Breaker::new(bench.now, Care::Pressed);
        (0..100).for_each(|_| bench.one(Verdict::Failed));
        assert_eq!(bench.breaker.state(bench.now), BreakerState::Closed);
    }

    #[test]
    fn half_open_lets_one_probe_pass() {
        let mut bench = Bench::opened();
        let probe = bench.after(FIRST_COOL_DOWN).unwrap();
        assert_eq!(bench.breaker.state(bench.now), BreakerState::HalfOpen);
        assert!(bench.breaker.admit(bench.now).is_err());
        bench.breaker.settle(probe, Verdict::Fine, bench.now);
        assert_eq!(bench.breaker.state(bench.now), BreakerState::Closed);
        assert!(bench.breaker.admit(bench.now).is_ok());
    }

    #[test]
    fn a_lost_probe_that_answers_late_changes_nothing() {
        for late in [Verdict::Fine, Verdict::Failed, Verdict::Unknown] {
            let mut bench = Bench::opened();
            let lost = bench.after(FIRST_COOL_DOWN).unwrap();
            let second = bench.after(PROBE_LOST_AFTER).unwrap();
            bench.breaker.settle(lost, late, bench.now);
            assert_eq!(bench.breaker.state(bench.now), BreakerState::HalfOpen, "{late:?}");
            assert!(bench.breaker.admit(bench.now).is_err(), "{late:?}: the second probe is still the only one");
            bench.breaker.settle(second, Verdict::Failed, bench.now);
            bench.breaker.settle(lost, Verdict::Fine, bench.now);
            assert!(matches!(bench.breaker.state(bench.now), BreakerState::Open { .. }), "{late:?}");
        }
    }

    #[test]
    fn requests_from_before_it_opened_do_not_count_after() {
        let mut bench = Bench::new();
        let early = bench.breaker.admit(bench.now).unwrap();
        (0..LEAST_OUTCOMES).for_each(|_| bench.one(Verdict::Failed));
        let probe = bench.after(FIRST_COOL_DOWN).unwrap();
        bench.breaker.settle(early, Verdict::Fine, bench.now);
        assert_eq!(bench.breaker.state(bench.now), BreakerState::HalfOpen);
        bench.breaker.settle(probe, Verdict::Failed, bench.now);
        bench.breaker.settle(early, Verdict::Fine, bench.now);
        assert!(matches!(bench.breaker.state(bench.now), BreakerState::Open { .. }));
    }

    #[test]
    fn a_probe_whose_caller_left_makes_room_at_once() {
        let mut bench = Bench::opened();
        let probe = bench.after(FIRST_COOL_DOWN).unwrap();
        bench.breaker.settle(probe, Verdict::Unknown, bench.now);
        assert!(bench.breaker.admit(bench.now).is_ok());
    }

    #[test]
    fn cool_downs_double_to_a_cap_and_begin_anew_after_calm() {
        let mut bench = Bench::opened();
        let mut longest = FIRST_COOL_DOWN;
        for _ in 0..10 {
            let wait = bench.cool_down();
            assert!(wait <= longest && wait >= longest * 3 / 4, "{wait:?} of {longest:?}");
            let probe = bench.after(wait).unwrap();
            bench.breaker.settle(probe, Verdict::Failed, bench.now);
            longest = (longest * 2).min(LONGEST_COOL_DOWN);
        }
        let wait = bench.cool_down();
        let probe = bench.after(wait).unwrap();
        bench.breaker.settle(probe, Verdict::Fine, bench.now);
        bench.now += SAME_OUTAGE * 2;
        (0..LEAST_OUTCOMES).for_each(|_| bench.one(Verdict::Failed));
        assert!(bench.cool_down() <= FIRST_COOL_DOWN);
    }
}
