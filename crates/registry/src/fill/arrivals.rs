//! Arrivals: requests for ranges of a blob that are on their way to its fill.
//!
//! A request looks in several places before it joins a fill. Of a thousand that come at once, the first joins while the
//! others still look; the fill is steered by knowing that they come. Must not know fills. Invariant: a request is counted from
//! the moment it is known to want ranges until it has joined or needs no fill, however it ends.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oci::Digest;

/// How many requests are on their way, for each blob that any is for.
#[derive(Clone, Default)]
pub(super) struct Arrivals(Arc<Mutex<HashMap<Digest, usize>>>);

impl Arrivals {
    /// Counts one more.
    pub(super) fn begin(&self, digest: &Digest) -> Arrival {
        *self.counts().entry(*digest).or_default() += 1;
        Arrival { all: self.clone(), digest: *digest, over: AtomicBool::new(false) }
    }

    /// How many there are for a blob.
    pub(super) fn of(&self, digest: &Digest) -> usize {
        self.counts().get(digest).copied().unwrap_or_default()
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<Digest, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request on its way.
pub(crate) struct Arrival {
    all: Arrivals,
    digest: Digest,
    over: AtomicBool,
}

impl Arrival {
    /// It has joined, or needs no fill. Once is enough; being dropped counts too.
    pub(crate) fn end(&self) {
        if self.over.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut counts = self.all.counts();
        if let Some(count) = counts.get_mut(&self.digest) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.digest);
            }
        }
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_counted_until_it_ends_and_nothing_is_left() {
        let (arrivals, one, other) = (Arrivals::default(), Digest::sha256_of(b"1"), Digest::sha256_of(b"2"));
        let (first, second, third) = (arrivals.begin(&one), arrivals.begin(&one), arrivals.begin(&other));
        assert_eq!((arrivals.of(&one), arrivals.of(&other)), (2, 1));
        first.end();
        first.end();
        drop(first);
        assert_eq!((arrivals.of(&one), arrivals.of(&other)), (1, 1));
        drop((second, third));
        assert!(arrivals.counts().is_empty());
    }
}
