//! The abuse limit: a 429 that names neither a wait nor a rate limit.
//!
//! Docker Hub has two limits that have nothing to do with each other. The pull limit counts GETs of manifests for an
//! account or address and says so in `ratelimit-*` headers. The abuse limit counts everything, HEAD and logins
//! included, for an address, and answers a bare 429; asking on makes it last longer. Pure. Invariant: each such answer soon
//! after the last one doubles the silence, up to a quarter of an hour.

use std::time::Duration;

use tokio::time::Instant;

/// The first silence.
pub(super) const FIRST_SILENCE: Duration = Duration::from_secs(30);

/// The longest silence.
pub(super) const LONGEST_SILENCE: Duration = Duration::from_mins(15);

/// How long one host's bare 429s are remembered.
#[derive(Debug, Default)]
pub(super) struct Silence {
    last: Option<(Instant, Duration)>,
}

impl Silence {
    /// Another bare 429: until when nobody should ask.
    pub(super) fn after_another(&mut self, now: Instant) -> Instant {
        let length = match self.last {
            // Answers to requests that were already under way belong to the silence that has begun.
            Some((until, length)) if now < until => return self.remember(until, length),
            Some((until, length)) if now < until + length => (length * 2).min(LONGEST_SILENCE),
            Some(_) | None => FIRST_SILENCE,
        };
        self.remember(now + length, length)
    }

    fn remember(&mut self, until: Instant, length: Duration) -> Instant {
        self.last = Some((until, length));
        until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silences_double_while_it_lasts_and_begin_anew_after() {
        let mut now = Instant::now();
        let mut silence = Silence::default();
        let mut lengths = Vec::new();
        for _ in 0..7 {
            let until = silence.after_another(now);
            assert_eq!(silence.after_another(now + Duration::from_secs(1)), until, "late answers change nothing");
            lengths.push((until - now).as_secs());
            now = until + Duration::from_secs(1);
        }
        assert_eq!(lengths, [30, 60, 120, 240, 480, 900, 900]);
        now += LONGEST_SILENCE * 2;
        assert_eq!(silence.after_another(now) - now, FIRST_SILENCE);
    }
}
