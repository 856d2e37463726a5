//! Read buffers that are used again instead of being allocated and cleared for each read.
//!
//! It must not know what the bytes mean or where they come from.
//!
//! Invariants: a buffer is handed to one owner at a time; a reader sees only the bytes that its own read filled in;
//! idle buffers never hold more than the pool's bound.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use crate::locks::lock;

/// Sizes in which buffers are kept, ascending. Larger requests get a buffer of their own that is freed after use.
const CLASS_BYTES: [usize; 4] = [32 * 1024, 64 * 1024, 256 * 1024, 1024 * 1024];

const DEFAULT_IDLE_BYTES: usize = 16 * 1024 * 1024;

/// A shared pool of read buffers. Cheap to clone; clones share the buffers.
#[derive(Clone, Debug)]
pub struct BufferPool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// One stack per class. The buffer returned last goes out first: its memory is likely still in the CPU's cache.
    idle: [Mutex<Vec<Vec<u8>>>; CLASS_BYTES.len()],
    idle_bytes: AtomicUsize,
    max_idle_bytes: usize,
    lent_bytes: AtomicUsize,
}

impl BufferPool {
    /// A pool that keeps at most `max_idle_bytes` of unused buffers. Buffers in use are not limited here.
    pub fn new(max_idle_bytes: usize) -> Self {
        let shared = Shared {
            idle: [const { Mutex::new(Vec::new()) }; CLASS_BYTES.len()],
            idle_bytes: AtomicUsize::new(0),
            max_idle_bytes,
            lent_bytes: AtomicUsize::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// A buffer of exactly `len` writable bytes. What it held before is left in it: the caller overwrites it.
    pub fn take(&self, len: usize) -> PoolBuffer {
        let class = CLASS_BYTES.iter().position(|size| len <= *size);
        let recycled = class.and_then(|class| self.shared.pop(class));
        let memory = recycled.unwrap_or_else(|| vec![0; class.map_or(len, |class| CLASS_BYTES[class])]);
        self.shared.lent_bytes.fetch_add(memory.len(), Ordering::Relaxed);
        PoolBuffer { memory, len, class, shared: Arc::clone(&self.shared) }
    }

    /// Bytes held by buffers that nobody uses now.
    pub fn idle_bytes(&self) -> usize {
        self.shared.idle_bytes.load(Ordering::Relaxed)
    }

    /// Bytes held by buffers that are in use now.
    pub fn lent_bytes(&self) -> usize {
        self.shared.lent_bytes.load(Ordering::Relaxed)
    }
}

impl Default for BufferPool {
    /// A pool that keeps 16 MiB of unused buffers.
    fn default() -> Self {
        Self::new(DEFAULT_IDLE_BYTES)
    }
}

impl Shared {
    fn pop(&self, class: usize) -> Option<Vec<u8>> {
        let memory = lock(&self.idle[class]).pop()?;
        self.idle_bytes.fetch_sub(memory.len(), Ordering::Relaxed);
        Some(memory)
    }

    fn put_back(&self, class: usize, memory: Vec<u8>) {
        let size = memory.len();
        // Reserve first, so that two threads that return buffers at once cannot exceed the bound together.
        if self.idle_bytes.fetch_add(size, Ordering::Relaxed) + size > self.max_idle_bytes {
            self.idle_bytes.fetch_sub(size, Ordering::Relaxed);
            return;
        }
        lock(&self.idle[class]).push(memory);
    }
}

/// A buffer on loan. Dropping it, or the last of the [`Bytes`] made from it, returns it to the pool.
#[derive(Debug)]
pub struct PoolBuffer {
    /// Initialised up to the size of its class; never cleared between uses.
    memory: Vec<u8>,
    len: usize,
    class: Option<usize>,
    shared: Arc<Shared>,
}

impl PoolBuffer {
    /// The first `len` bytes as shareable bytes, without a copy. `len` beyond the buffer is cut to it.
    pub fn freeze(mut self, len: usize) -> Bytes {
        self.len = self.len.min(len);
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for PoolBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.memory[..self.len]
    }
}

impl AsMut<[u8]> for PoolBuffer {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.memory[..self.len]
    }
}

impl Drop for PoolBuffer {
    fn drop(&mut self) {
        let memory = std::mem::take(&mut self.memory);
        self.shared.lent_bytes.fetch_sub(memory.len(), Ordering::Relaxed);
        if let Some(class) = self.class {
            self.shared.put_back(class, memory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_returned_buffer_is_used_again_and_only_its_new_bytes_are_visible() {
        let pool = BufferPool::default();
        let mut first = pool.take(100_000);
        first.as_mut().fill(7);
        let address = first.as_ref().as_ptr();
        drop(first.freeze(100_000));
        assert_eq!(pool.idle_bytes(), 256 * 1024);

        let mut second = pool.take(70_000);
        assert_eq!(second.as_ref().as_ptr(), address, "same class: the same memory");
        second.as_mut()[..3].copy_from_slice(b"new");
        let bytes = second.freeze(3);
        assert_eq!(&bytes[..], b"new");
    }

    #[test]
    fn slices_keep_the_buffer_until_the_last_one_is_dropped() {
        let pool = BufferPool::default();
        let bytes = pool.take(10).freeze(10);
        let tail = bytes.slice(5..);
        drop(bytes);
        assert_eq!((pool.idle_bytes(), pool.lent_bytes()), (0, 32 * 1024));
        drop(tail);
        assert_eq!((pool.idle_bytes(), pool.lent_bytes()), (32 * 1024, 0));
    }

    #[test]
    fn buffers_beyond_the_idle_bound_are_freed() {
        let pool = BufferPool::new(600 * 1024);
        let lent: Vec<_> = (0..5).map(|_| pool.take(256 * 1024)).collect();
        assert_eq!(pool.lent_bytes(), 5 * 256 * 1024);
        drop(lent);
        assert_eq!((pool.idle_bytes(), pool.lent_bytes()), (2 * 256 * 1024, 0));
    }

    #[test]
    fn a_request_above_the_largest_class_gets_what_it_asked_for_and_is_not_kept() {
        let pool = BufferPool::default();
        let large = pool.take(3 * 1024 * 1024);
        assert_eq!(large.as_ref().len(), 3 * 1024 * 1024);
        drop(large);
        assert_eq!((pool.idle_bytes(), pool.lent_bytes()), (0, 0));
    }

    #[test]
    fn two_threads_never_share_a_buffer_and_the_bound_holds() {
        let pool = BufferPool::new(512 * 1024);
        std::thread::scope(|scope| {
            for mark in 0..4_u8 {
                let pool = pool.clone();
                scope.spawn(move || {
                    for _ in 0..2_000 {
                        let mut buffer = pool.take(64 * 1024);
                        buffer.as_mut()[..64].fill(mark);
                        std::thread::yield_now();
                        assert!(buffer.as_ref()[..64].iter().all(|byte| *byte == mark));
                        drop(buffer.freeze(64));
                    }
                });
            }
        });
        assert_eq!(pool.lent_bytes(), 0);
        let kept: usize = pool.shared.idle.iter().map(|class| lock(class).iter().map(Vec::len).sum::<usize>()).sum();
        assert_eq!(kept, pool.idle_bytes());
        assert!(kept <= 512 * 1024);
    }
}
