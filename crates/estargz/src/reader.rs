//! A layer over a source that may block: the whole of this crate in two calls, for tests and for callers without a network.
//!
//! Must not know what the source is. Invariant: content is written out in order, and the call fails unless all of it was verified as far
//! as the layer's verification says.

use std::io::{Read, Write};

use crate::chunk::{Chunk, ChunkSource};
use crate::decoder::Fed;
use crate::entry::Entry;
use crate::error::Error;
use crate::hints::LayerHints;
use crate::layer::OpenLayer;
use crate::opener::{LayerOpener, Opened, Progress};
use crate::source::RangeSource;
use crate::verification::{FileCheck, Verification};

/// Reads files of one layer from a [`RangeSource`].
#[derive(Debug)]
pub struct LayerReader<S> {
    source: S,
    layer: OpenLayer,
}

impl<S: RangeSource> LayerReader<S> {
    /// Opens the layer whose blob `source` has.
    ///
    /// # Errors
    /// [`Error::NotLazy`] when it cannot be read lazily, and all that opening and verifying can find.
    pub fn open(source: S, hints: LayerHints, verification: Verification) -> Result<Self, Error> {
        if source.size() != hints.size {
            return Err(Error::WrongLength { expected: hints.size, found: source.size() });
        }
        let mut opener = LayerOpener::new(hints, verification);
        let done: Opened = loop {
            match opener.advance()? {
                Progress::Need(range) => {
                    let mut bytes = Vec::new();
                    source.read(range)?.take(range.len()).read_to_end(&mut bytes)?;
                    opener.supply(bytes)?;
                }
                Progress::Ready(ready) => break *ready,
                Progress::NotLazy(reason) => return Err(opener.not_lazy(reason)),
            }
        };
        Ok(Self { source, layer: done.layer })
    }

    /// A reader of a layer that is open already. For an indexed tar, `source` is the tar.
    pub fn new(source: S, layer: OpenLayer) -> Self {
        Self { source, layer }
    }

    /// The layer.
    pub fn layer(&self) -> &OpenLayer {
        &self.layer
    }

    /// Writes the content of a file to `out`. `entry` must be of this layer; hard links of the layer are followed.
    ///
    /// # Errors
    /// When it is not a file, cannot be read or decoded, or is not what was promised: then `out` has bytes that are wrong.
    pub fn read_file(&self, entry: Entry<'_>, out: &mut dyn Write) -> Result<(), Error> {
        let entry = self.layer.toc().follow_hardlinks(entry)?;
        let mut sink = Checked { out, check: self.layer.file_check(entry) };
        for chunk in self.layer.plan(entry)? {
            self.read_chunk(entry, &chunk, &mut sink)?;
        }
        sink.check.finish()
    }

    /// Writes the content of one chunk of a file to `out`.
    ///
    /// # Errors
    /// As [`LayerReader::read_file`].
    pub fn read_chunk(&self, entry: Entry<'_>, chunk: &Chunk, out: &mut dyn Write) -> Result<(), Error> {
        let mut decoder = self.layer.decoder(entry, chunk)?;
        match chunk.source {
            ChunkSource::Zeros => {
                decoder.feed(&[], out)?;
            }
            ChunkSource::Member { range, .. } => {
                let mut body = self.source.read(range)?;
                let mut buffer = [0; 16 * 1024];
                loop {
                    let count = body.read(&mut buffer)?;
                    if count == 0 || decoder.feed(&buffer[..count], out)? == Fed::Done {
                        break;
                    }
                }
            }
        }
        decoder.finish()
    }
}

/// A sink that hashes what passes.
struct Checked<'o> {
    out: &'o mut dyn Write,
    check: FileCheck,
}

impl Write for Checked<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.check.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}
