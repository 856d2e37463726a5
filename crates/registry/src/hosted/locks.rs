//! One lock a digest, so that publishing a blob and removing its bytes never run at the same time.
//!
//! Must not know what is done under them. Invariant: there is a fixed number of locks; digests that share one wait for
//! each other, which costs time and nothing else.

use std::hash::{DefaultHasher, Hash, Hasher};

use oci::Digest;
use tokio::sync::{Mutex, MutexGuard};

const LOCKS: usize = 256;

/// The locks.
pub(super) struct DigestLocks([Mutex<()>; LOCKS]);

impl Default for DigestLocks {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::new(())))
    }
}

impl DigestLocks {
    /// Waits until nobody else is at work on the digest.
    pub(super) async fn lock(&self, digest: &Digest) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        digest.hash(&mut hasher);
        let at = usize::try_from(hasher.finish() % LOCKS as u64).unwrap_or_default();
        self.0[at].lock().await
    }
}
