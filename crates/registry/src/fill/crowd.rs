//! Crowds: many ranges of one blob that are waited for at once, because somebody fetches the blob in parts side by side.
//!
//! Must not know flows. Invariant: a few ranges far apart are never a crowd, so whoever reads here and there gets requests of
//! its own; while more are coming it is awaited whether they become one, but for a bounded time.

use std::time::{Duration, Instant};

use oci::ByteRange;

/// So many ranges waited for at once are a crowd, unless they lie far apart.
const CROWD: usize = 4;
/// A crowd wants at least this many bytes.
const CROWD_BYTES: u64 = 1 << 20;
/// A crowd wants at least one byte in so many of what lies between its first and its last.
const CROWD_SPREAD: u64 = 4;
/// When no range has come for so long, its neighbours are all there are.
const QUIET: Duration = Duration::from_millis(60);
/// How long those are waited for who keep coming, a few at a time.
const PATIENCE: Duration = Duration::from_millis(400);

/// Whether so many ranges are waited for, so close together, that somebody fetches the blob in parts side by side.
pub(super) fn is_crowd(wants: &[ByteRange]) -> bool {
    clusters(wants).iter().any(|cluster| cluster.ranges >= CROWD && cluster.bytes >= CROWD_BYTES)
}

/// Ranges that lie close together.
struct Cluster {
    start: u64,
    end: u64,
    ranges: usize,
    /// Different bytes in them.
    bytes: u64,
}

/// Ranges by where they lie: who is far from the others, such as the first of many that is served already, makes these
/// no less of a crowd.
fn clusters(wants: &[ByteRange]) -> Vec<Cluster> {
    let mut sorted = wants.to_vec();
    sorted.sort_unstable_by_key(|want| want.start);
    let mut clusters: Vec<Cluster> = Vec::new();
    for want in sorted {
        if let Some(last) = clusters.last_mut() {
            let end = last.end.max(want.end);
            let bytes = last.bytes + end - last.end.max(want.start).min(end);
            if bytes >= (end - last.start) / CROWD_SPREAD {
                *last = Cluster { start: last.start, end, ranges: last.ranges + 1, bytes };
                continue;
            }
        }
        clusters.push(Cluster { start: want.start, end: want.end, ranges: 1, bytes: want.end - want.start });
    }
    clusters
}

/// Ranges that have come one after the other and are no crowd yet.
#[derive(Default)]
pub(super) struct Gathering {
    came: u64,
    last: Option<Instant>,
    since: Option<Instant>,
}

/// What is to be seen of those who want something of a blob.
pub(super) struct Seen<'a> {
    /// What is waited for.
    pub(super) wants: &'a [ByteRange],
    /// How many ranges were ever waited for.
    pub(super) came: u64,
    /// How many requests for ranges are on their way here.
    pub(super) arriving: usize,
}

impl Gathering {
    /// Whether more ranges are about to come, or may be: a busy machine takes its time to bring a thousand requests here, and
    /// the first few of them are no crowd.
    pub(super) fn goes_on(&mut self, seen: &Seen<'_>, now: Instant) -> bool {
        if seen.came != self.came {
            self.came = seen.came;
            self.last = Some(now);
        }
        let quiet = self.last.is_none_or(|last| now.duration_since(last) >= QUIET);
        let neighbours = clusters(seen.wants).iter().any(|cluster| cluster.ranges > 1);
        if seen.arriving == 0 && (quiet || !neighbours) {
            self.since = None;
            return false;
        }
        now.duration_since(*self.since.get_or_insert(now)) < PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn ranges(starts: &[u64], len: u64) -> Vec<ByteRange> {
        starts.iter().map(|start| ByteRange { start: *start, end: start + len }).collect()
    }

    #[test]
    fn neighbours_are_a_crowd_and_scattered_or_few_or_tiny_ranges_are_not() {
        assert!(is_crowd(&ranges(&[0, MIB, 2 * MIB, 3 * MIB], MIB)));
        assert!(is_crowd(&ranges(&[9 * MIB, 3 * MIB, 0, 6 * MIB], MIB)), "in any order, with gaps");
        let (parts, len) = ((150..190).map(|part| part * 40_000).collect::<Vec<_>>(), 40_000);
        assert!(is_crowd(&[ranges(&[0], len), ranges(&parts, len)].concat()), "all but one of them");
        assert!(!is_crowd(&ranges(&[0, MIB, 2 * MIB], MIB)), "three");
        assert!(!is_crowd(&ranges(&[0, 30 * MIB, 60 * MIB, 90 * MIB], MIB)), "far apart");
        assert!(!is_crowd(&ranges(&[0, 0, 0, 0], MIB / 2)), "one range asked for by four");
        assert!(!is_crowd(&ranges(&[0, 1000, 2000, 3000], 1000)), "tiny");
    }

    #[test]
    fn neighbours_are_waited_for_while_they_come_and_not_for_ever() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let pile = |len| ranges(&(0..len).map(|place| place * 1000).collect::<Vec<_>>(), 1000);
        let mut gathering = Gathering::default();
        let mut goes_on =
            |wants: &[ByteRange], came, millis| gathering.goes_on(&Seen { wants, came, arriving: 0 }, at(millis));
        assert!(!goes_on(&pile(1), 1, 0), "one has no neighbour");
        assert!(goes_on(&pile(2), 2, 10));
        assert!(goes_on(&pile(3), 3, 60), "another came");
        assert!(goes_on(&pile(3), 3, 119));
        assert!(goes_on(&pile(4), 4, 150), "and on");
        assert!(goes_on(&pile(5), 5, 200));
        assert!(goes_on(&pile(5), 5, 250));
        assert!(goes_on(&pile(6), 6, 300));
        assert!(goes_on(&pile(7), 7, 350));
        assert!(goes_on(&pile(8), 8, 409));
        assert!(!goes_on(&pile(9), 9, 410), "since the second came, patience is over");
        assert!(!goes_on(&pile(9), 9, 470), "quiet");
        assert!(goes_on(&pile(2), 11, 480), "others begin anew");
        assert!(!goes_on(&ranges(&[0, 50 * MIB], 1000), 12, 500), "far apart");
    }

    #[test]
    fn who_is_on_the_way_is_waited_for_and_not_for_ever() {
        let start = Instant::now();
        let one = ranges(&[0], 1000);
        let mut gathering = Gathering::default();
        let mut goes_on = |arriving, millis| {
            let seen = Seen { wants: &one, came: 1, arriving };
            gathering.goes_on(&seen, start + Duration::from_millis(millis))
        };
        assert!(!goes_on(0, 0));
        assert!(goes_on(3, 1));
        assert!(goes_on(1, 300));
        assert!(!goes_on(1, 401));
    }
}
