//! The hash over a growing object, from its first byte up to the first gap.
//!
//! Must not know upstreams. Invariant: the hash always covers exactly the bytes `0..at`. Bytes that arrive in order
//! are hashed while still in memory; those that came out of order are read back once the gap before them closes.

use std::io;
use std::sync::{Mutex, PoisonError, TryLockError};

use blob_store::StagedBlob;
use bytes::Bytes;
use oci::{Digest, Digester};

use super::growing::Unfinished;

/// Bytes read back at a time.
const READ_BYTES: usize = 256 << 10;

struct Inner {
    digester: Digester,
    at: u64,
}

/// The running hash.
pub(super) struct Frontier {
    inner: Mutex<Inner>,
}

impl Frontier {
    pub(super) fn new(digest: &Digest) -> Self {
        Self { inner: Mutex::new(Inner { digester: Digester::new(digest.algorithm()), at: 0 }) }
    }

    /// Forgets everything that was hashed.
    pub(super) fn start_over(&self, digest: &Digest) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        *inner = Inner { digester: Digester::new(digest.algorithm()), at: 0 };
    }

    /// Feeds bytes that were just written at `offset`, and whatever lies contiguous behind the hash. Blocking.
    ///
    /// Does nothing while another thread hashes: that one, or the last call before verification, catches up.
    pub(super) fn feed(&self, staged: &StagedBlob, offset: u64, chunks: &[Bytes], present_end: u64) -> io::Result<()> {
        let mut inner = match self.inner.try_lock() {
            Ok(inner) => inner,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(()),
        };
        if inner.at == offset {
            for chunk in chunks {
                inner.digester.update(chunk);
                inner.at += chunk.len() as u64;
            }
        }
        if inner.at < present_end { inner.read_up_to(staged, present_end) } else { Ok(()) }
    }

    /// Hashes up to `present_end`, waiting for another thread if one is at it. Blocking.
    pub(super) fn catch_up(&self, staged: &StagedBlob, present_end: u64) -> io::Result<Unfinished> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.read_up_to(staged, present_end)?;
        Ok(Unfinished { hashed: inner.at, digester: inner.digester.clone() })
    }
}

impl Inner {
    fn read_up_to(&mut self, staged: &StagedBlob, end: u64) -> io::Result<()> {
        let mut buffer = vec![0; READ_BYTES];
        while self.at < end {
            let len = (end - self.at).min(READ_BYTES as u64) as usize;
            staged.read_exact_at(self.at, &mut buffer[..len])?;
            self.digester.update(&buffer[..len]);
            self.at += len as u64;
        }
        Ok(())
    }
}
