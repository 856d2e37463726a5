//! Where the bytes of a blob come from, for callers that may block.
//!
//! Must not know formats. Invariant: a source gives the bytes of one blob that does not change.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use oci::ByteRange;

/// A blob that is read by ranges.
pub trait RangeSource {
    /// How many bytes the blob has.
    fn size(&self) -> u64;

    /// The bytes of `range`, in order. The reader may end early only by failing.
    fn read(&self, range: ByteRange) -> io::Result<Box<dyn Read + '_>>;
}

/// A blob in memory.
#[derive(Clone)]
pub struct MemorySource<B>(pub B);

impl<B: AsRef<[u8]>> fmt::Debug for MemorySource<B> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("MemorySource").field(&self.0.as_ref().len()).finish()
    }
}

impl<B: AsRef<[u8]>> RangeSource for MemorySource<B> {
    fn size(&self) -> u64 {
        self.0.as_ref().len() as u64
    }

    fn read(&self, range: ByteRange) -> io::Result<Box<dyn Read + '_>> {
        let bytes = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
        let bytes = bytes.and_then(|(start, end)| self.0.as_ref().get(start..end));
        let bytes = bytes.ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "the range is past the end"))?;
        Ok(Box::new(bytes))
    }
}

/// A blob in a file.
#[derive(Debug)]
pub struct FileSource {
    file: File,
    size: u64,
}

impl FileSource {
    /// The blob that is the content of `file` as it is now.
    pub fn new(file: File) -> io::Result<Self> {
        let size = file.metadata()?.len();
        Ok(Self { file, size })
    }
}

impl RangeSource for FileSource {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&self, range: ByteRange) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(PositionedReader { file: &self.file, range: Some(range) }))
    }
}

/// Reads a range by position, so that many readers can share one file.
struct PositionedReader<'f> {
    file: &'f File,
    range: Option<ByteRange>,
}

impl Read for PositionedReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(range) = self.range else { return Ok(0) };
        let wanted = usize::try_from(range.len()).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read_at(&mut buffer[..wanted], range.start)?;
        if count == 0 && wanted > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file ends within the range"));
        }
        self.range = ByteRange::new(range.start + count as u64, range.end);
        Ok(count)
    }
}
