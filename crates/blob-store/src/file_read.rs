//! Positioned reads of a file: from the page cache without waiting, or on the blocking pool.
//!
//! It must not know digests or where the file lives.
//!
//! Invariant: no read moves a file position, so one open file serves any number of readers at once.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use crate::buffer_pool::BufferPool;

/// How far apart the looks at the page cache are: the kernel's usual unit of reading ahead.
const LOOK_EVERY_BYTES: usize = 128 * 1024;

/// Whether the filesystem can say "not in memory" instead of waiting. Learnt from its first refusal, then remembered
/// for every file of the same store.
#[derive(Clone, Debug, Default)]
pub(crate) struct PageCacheReads {
    unsupported: Arc<AtomicBool>,
}

impl PageCacheReads {
    #[cfg(test)]
    pub(crate) fn is_unsupported(&self) -> bool {
        self.unsupported.load(Ordering::Relaxed)
    }

    /// Reads up to `len` bytes from the page cache alone; `None` when the first byte is not there.
    pub(crate) fn try_read(
        &self,
        file: &File,
        offset: u64,
        len: usize,
        pool: &BufferPool,
    ) -> io::Result<Option<Bytes>> {
        if self.unsupported.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let mut buffer = pool.take(len);
        match nowait::read(file, buffer.as_mut(), offset) {
            nowait::Outcome::Read(0) => Err(lost_bytes(offset)),
            nowait::Outcome::Read(count) => Ok(Some(buffer.freeze(count))),
            nowait::Outcome::WouldBlock => Ok(None),
            nowait::Outcome::Unsupported => {
                self.remember_unsupported();
                Ok(None)
            }
            nowait::Outcome::Failed(error) => Err(error),
        }
    }

    /// How many of `len` bytes from `offset` are in the page cache, as far as a look at every 128 KiB can tell.
    ///
    /// Memory is given up in larger units than pages and roughly in the order it was filled, so holes between two
    /// looks are rare; a look costs a fraction of a microsecond.
    pub(crate) fn resident(&self, file: &File, offset: u64, len: usize) -> io::Result<usize> {
        if !self.has_byte(file, offset)? {
            return Ok(0);
        }
        let mut resident = 0;
        while resident < len {
            let next = (resident + LOOK_EVERY_BYTES).min(len);
            if !self.has_byte(file, offset + next as u64 - 1)? {
                break;
            }
            resident = next;
        }
        Ok(resident)
    }

    fn has_byte(&self, file: &File, at: u64) -> io::Result<bool> {
        if self.unsupported.load(Ordering::Relaxed) {
            return Ok(false);
        }
        match nowait::read(file, &mut [0], at) {
            nowait::Outcome::Read(0) => Err(lost_bytes(at)),
            nowait::Outcome::Read(_) => Ok(true),
            nowait::Outcome::WouldBlock => Ok(false),
            nowait::Outcome::Unsupported => {
                self.remember_unsupported();
                Ok(false)
            }
            nowait::Outcome::Failed(error) => Err(error),
        }
    }

    fn remember_unsupported(&self) {
        self.unsupported.store(true, Ordering::Relaxed);
        tracing::debug!("this filesystem has no non-blocking reads: every read uses the blocking pool");
    }
}

/// Reads exactly `len` bytes on the blocking pool. The caller has cut `len` to what the file holds.
pub(crate) async fn read(file: Arc<File>, offset: u64, len: usize, pool: &BufferPool) -> io::Result<Bytes> {
    let pool = pool.clone();
    let task = tokio::task::spawn_blocking(move || {
        let mut buffer = pool.take(len);
        file.read_exact_at(buffer.as_mut(), offset)?;
        Ok(buffer.freeze(len))
    });
    task.await.map_err(io::Error::other)?
}

/// Cuts a read to what is there: `end` is one past the last byte that may be read.
pub(crate) fn readable(offset: u64, len: usize, end: u64) -> io::Result<usize> {
    let available = end.saturating_sub(offset);
    if available == 0 || len == 0 {
        let what = format!("no bytes to read at {offset}: readable up to {end}, {len} asked");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    Ok(usize::try_from(available).map_or(len, |available| available.min(len)))
}

fn lost_bytes(offset: u64) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, format!("the file ends before {offset}: it was cut after opening"))
}

#[cfg(target_os = "linux")]
mod nowait {
    use std::fs::File;
    use std::io::{self, IoSliceMut};

    use rustix::io::{Errno, ReadWriteFlags, preadv2};

    pub(super) enum Outcome {
        Read(usize),
        WouldBlock,
        Unsupported,
        Failed(io::Error),
    }

    pub(super) fn read(file: &File, buffer: &mut [u8], offset: u64) -> Outcome {
        match preadv2(file, &mut [IoSliceMut::new(buffer)], offset, ReadWriteFlags::NOWAIT) {
            Ok(count) => Outcome::Read(count),
            Err(Errno::AGAIN | Errno::INTR) => Outcome::WouldBlock,
            // Which of the three depends on the age of the kernel, or of what stands in for one.
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Outcome::Unsupported,
            Err(error) => Outcome::Failed(error.into()),
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod nowait {
    use std::fs::File;
    use std::io;

    #[expect(dead_code, reason = "the same outcomes as on Linux; only one occurs here")]
    pub(super) enum Outcome {
        Read(usize),
        WouldBlock,
        Unsupported,
        Failed(io::Error),
    }

    pub(super) fn read(_file: &File, _buffer: &mut [u8], _offset: u64) -> Outcome {
        Outcome::Unsupported
    }
}
