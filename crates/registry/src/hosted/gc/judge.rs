//! What becomes of one link or manifest. The only place that decides it.
//!
//! Must not know the database: what is decided here is asked again by the statement that acts on it. Invariants: needed or
//! leased is kept; times that lie in the future are of a clock that was wrong, and decide nothing.

use std::time::{Duration, SystemTime};

use metadata::{Condemned, HeldPart};

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Something needs it.
    Needed,
    /// A client was told of it not long ago.
    Leased,
    /// It is condemned, and its grace is not over.
    Waiting,
    /// Nothing needs it: it is condemned now.
    Condemn,
    /// Its grace is over.
    Collect(Condemned),
    /// It was condemned and is kept, or one of its times cannot be.
    Pardon,
}

/// Times of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) now: SystemTime,
    pub(super) grace: Duration,
    /// No lease that was given until now lasts longer.
    pub(super) longest_lease: SystemTime,
}

pub(super) fn judge(part: &HeldPart, times: &Times) -> Verdict {
    if part.leased_until > times.longest_lease {
        return Verdict::Pardon;
    }
    let leased = part.leased_until > times.now;
    match part.condemned {
        Some(_) if part.needed || leased => Verdict::Pardon,
        None if part.needed => Verdict::Needed,
        None if leased => Verdict::Leased,
        None => Verdict::Condemn,
        Some(verdict) => match times.now.duration_since(verdict.at) {
            Ok(age) if age >= times.grace => Verdict::Collect(verdict),
            Ok(_) => Verdict::Waiting,
            Err(_) => Verdict::Pardon,
        },
    }
}

#[cfg(test)]
mod tests {
    use oci::Digest;

    use super::*;

    const GRACE: Duration = Duration::from_secs(100);

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn judged(needed: bool, leased_until: u64, condemned: Option<u64>) -> Verdict {
        let part = HeldPart {
            name: "app".parse().unwrap(),
            digest: Digest::sha256_of(b"x"),
            size: 1,
            needed,
            leased_until: at(leased_until),
            condemned: condemned.map(|seconds| Condemned { at: at(seconds), run: 7 }),
        };
        judge(&part, &Times { now: at(1000), grace: GRACE, longest_lease: at(2000) })
    }

    #[test]
    fn needed_leased_and_waiting_are_kept() {
        assert_eq!(judged(true, 0, None), Verdict::Needed);
        assert_eq!(judged(false, 1001, None), Verdict::Leased);
        assert_eq!(judged(false, 1000, None), Verdict::Condemn);
        assert_eq!(judged(false, 0, Some(901)), Verdict::Waiting);
        assert_eq!(judged(false, 0, Some(900)), Verdict::Collect(Condemned { at: at(900), run: 7 }));
    }

    #[test]
    fn what_is_touched_is_pardoned() {
        assert_eq!(judged(true, 0, Some(1)), Verdict::Pardon);
        assert_eq!(judged(false, 1500, Some(1)), Verdict::Pardon);
    }

    #[test]
    fn times_of_a_wrong_clock_decide_nothing() {
        assert_eq!(judged(false, 0, Some(1001)), Verdict::Pardon, "condemned in the future");
        assert_eq!(judged(false, 2001, None), Verdict::Pardon, "leased for longer than leases last");
    }
}
