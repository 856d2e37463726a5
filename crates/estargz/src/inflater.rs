//! Decompression of gzip members, by decompressors that are used again: an image has tens of thousands of members, most of them
//! smaller than the memory that a new decompressor clears.
//!
//! Must not know chunks. Invariants: a decompressor that is lent out is as good as new; at most `MOST_SPARE` are kept.

use std::sync::{Mutex, PoisonError};

use flate2::{Decompress, FlushDecompress, Status};

use crate::gzip_header::GzipHeader;

/// Bytes decompressed at a time.
const BUFFER: usize = 64 * 1024;
/// As many as workers of a busy program use at a time.
const MOST_SPARE: usize = 16;

static SPARE: Mutex<Vec<Parts>> = Mutex::new(Vec::new());

struct Parts {
    stream: Decompress,
    buffer: Box<[u8]>,
}

/// Decompresses one gzip member.
pub(crate) struct Inflater {
    /// Lent out until this is dropped.
    parts: Option<Parts>,
    header: GzipHeader,
    has_ended: bool,
}

/// One step of decompression.
pub(crate) struct Step<'b> {
    /// How many bytes were taken.
    pub(crate) consumed: usize,
    /// What they hold.
    pub(crate) produced: &'b [u8],
    /// Whether nothing more comes without more bytes.
    pub(crate) is_drained: bool,
}

impl Inflater {
    pub(crate) fn new() -> Self {
        let spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let parts = spare
            .unwrap_or_else(|| Parts { stream: Decompress::new(false), buffer: vec![0; BUFFER].into_boxed_slice() });
        Self { parts: Some(parts), header: GzipHeader::new(), has_ended: false }
    }

    /// Decompresses some of `compressed`, into at most `most` bytes. After the end of the member nothing is taken any more.
    ///
    /// The checksum at the end of a member is not looked at: a payload ends before it, and has a digest.
    pub(crate) fn step(&mut self, compressed: &[u8], most: u64) -> Result<Step<'_>, String> {
        let Some(Parts { stream, buffer }) = self.parts.as_mut().filter(|_| !self.has_ended) else {
            return Ok(Step { consumed: 0, produced: &[], is_drained: true });
        };
        let passed = self.header.pass(compressed).ok_or("invalid gzip header")?;
        if !self.header.is_done() {
            return Ok(Step { consumed: passed, produced: &[], is_drained: true });
        }
        let compressed = &compressed[passed..];
        let room = usize::try_from(most).unwrap_or(usize::MAX).min(buffer.len());
        let before = (stream.total_in(), stream.total_out());
        let status = stream.decompress(compressed, &mut buffer[..room], FlushDecompress::None);
        let status = status.map_err(|error| error.to_string())?;
        let consumed = (stream.total_in() - before.0) as usize;
        let produced = (stream.total_out() - before.1) as usize;
        self.has_ended = status == Status::StreamEnd;
        let is_drained =
            self.has_ended || (produced < room && consumed == compressed.len()) || consumed + produced == 0;
        Ok(Step { consumed: passed + consumed, produced: &buffer[..produced], is_drained })
    }
}

impl Drop for Inflater {
    fn drop(&mut self) {
        let Some(mut parts) = self.parts.take() else { return };
        parts.stream.reset(false);
        let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < MOST_SPARE {
            spare.push(parts);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn inflate(mut compressed: &[u8], most: u64) -> Result<Vec<u8>, String> {
        let (mut inflater, mut content) = (Inflater::new(), Vec::new());
        loop {
            let step = inflater.step(compressed, most)?;
            content.extend_from_slice(step.produced);
            compressed = &compressed[step.consumed..];
            if step.is_drained {
                return Ok(content);
            }
        }
    }

    #[test]
    fn one_that_was_used_is_as_good_as_new() {
        let long: Vec<u8> = (0..300_000_u32).flat_map(|at| (at % 1000).to_le_bytes()).collect();
        let mut broken = gzip(&long);
        let middle = broken.len() / 2;
        broken[middle..].fill(0xff);
        for _ in 0..3 * MOST_SPARE {
            assert_eq!(inflate(&gzip(b"short"), 100).unwrap(), b"short");
            assert_eq!(inflate(&gzip(&long), u64::MAX).unwrap(), long);
            assert_ne!(inflate(&broken, u64::MAX), Ok(long.clone()));
            // Given back in the middle of a member.
            Inflater::new().step(&gzip(&long)[..50], 1000).unwrap();
        }
        assert!(SPARE.lock().unwrap().len() <= MOST_SPARE);
    }

    #[test]
    fn what_follows_the_member_is_not_looked_at() {
        let mut two = gzip(b"one");
        two.extend(gzip(b"two"));
        assert_eq!(inflate(&two, 1000).unwrap(), b"one");
    }
}
