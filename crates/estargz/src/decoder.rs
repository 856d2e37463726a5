//! From the compressed bytes of a member to the payload of one chunk.
//!
//! Must not know where the bytes come from or go to. Invariant: exactly the chunk's bytes are given out, never more, whatever the member
//! inflates to; `finish` says yes only when all of them came and match their digest. Memory is one window and one buffer.

use std::io::Write;

use oci::{Digest, Digester};
use zstd::stream::raw::{DParameter, Decoder as ZstdDecoder, Operation};

use crate::chunk::{Chunk, ChunkSource};
use crate::error::{Error, quoted};
use crate::format::Compression;
use crate::inflater::Inflater;
use crate::limits::MAX_ZSTD_WINDOW_LOG;
use crate::verification::{Checked, VerificationError};

const BUFFER: usize = 32 * 1024;

/// Whether a decoder wants more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fed {
    /// The payload is not complete.
    More,
    /// The payload is complete: what follows in the member is not needed, and ignored.
    Done,
}

/// Decodes one chunk. Bytes are given out as they come: they are proven only when [`ChunkDecoder::finish`] returns.
pub struct ChunkDecoder {
    codec: Codec,
    payload: Payload,
}

enum Codec {
    Gzip(Inflater),
    Zstd { decoder: Box<ZstdDecoder<'static>>, buffer: Box<[u8]>, has_ended: bool },
    Stored,
    Zeros,
}

/// What is known of the payload, and how much of it has come.
struct Payload {
    layer: Digest,
    path: String,
    chunk: Chunk,
    skip: u64,
    left: u64,
    digester: Option<Digester>,
}

impl ChunkDecoder {
    pub(crate) fn new(compression: Compression, layer: Digest, path: &str, chunk: Chunk) -> Result<Self, Error> {
        let (codec, skip) = match (chunk.source, compression) {
            (ChunkSource::Zeros, _) => (Codec::Zeros, 0),
            (ChunkSource::Member { inner_offset, .. }, Compression::Gzip) => {
                (Codec::Gzip(Inflater::new()), inner_offset)
            }
            (ChunkSource::Member { inner_offset, .. }, Compression::Zstd) => {
                let mut decoder = ZstdDecoder::new()?;
                decoder.set_parameter(DParameter::WindowLogMax(MAX_ZSTD_WINDOW_LOG))?;
                let buffer = vec![0; BUFFER].into_boxed_slice();
                (Codec::Zstd { decoder: Box::new(decoder), buffer, has_ended: false }, inner_offset)
            }
            (ChunkSource::Member { inner_offset, .. }, Compression::Stored) => (Codec::Stored, inner_offset),
        };
        let digester = chunk.digest.map(|digest| Digester::new(digest.algorithm()));
        let payload = Payload { layer, path: path.to_owned(), chunk, skip, left: chunk.size, digester };
        Ok(Self { codec, payload })
    }

    /// Takes the next bytes of the member, in pieces of any size, and writes what they hold of the payload to `out`. A hole
    /// needs no bytes: feed it an empty slice once.
    ///
    /// # Errors
    /// [`Error::Chunk`] when the bytes are not what they should be; [`Error::Io`] when `out` fails.
    pub fn feed(&mut self, compressed: &[u8], out: &mut dyn Write) -> Result<Fed, Error> {
        let payload = &mut self.payload;
        match &mut self.codec {
            Codec::Gzip(inflater) => inflate(inflater, compressed, payload, out)?,
            Codec::Zstd { decoder, buffer, has_ended } => {
                if !*has_ended {
                    *has_ended = decompress(decoder, buffer, compressed, payload, out)?;
                }
            }
            Codec::Stored => payload.emit(compressed, out)?,
            Codec::Zeros => payload.zeros(out)?,
        }
        Ok(if payload.left == 0 { Fed::Done } else { Fed::More })
    }

    /// How many bytes of the payload are still to come.
    pub fn remaining(&self) -> u64 {
        self.payload.left
    }

    /// Says whether everything given out is right. Call it when the payload is complete or no more bytes come.
    ///
    /// # Errors
    /// [`Error::Chunk`] when bytes are missing, [`Error::Verification`] when they are others than promised.
    pub fn finish(self) -> Result<(), Error> {
        let payload = self.payload;
        if payload.left > 0 {
            return Err(payload.undecodable("its member ends before the payload does"));
        }
        let Some((digester, expected)) = payload.digester.zip(payload.chunk.digest) else { return Ok(()) };
        let found = digester.finish();
        if found == expected {
            return Ok(());
        }
        let (path, offset) = (Some(payload.path), payload.chunk.file_offset);
        Err(VerificationError { checked: Checked::Chunk, layer: payload.layer, path, offset, expected, found }.into())
    }
}

impl std::fmt::Debug for ChunkDecoder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ChunkDecoder").field("chunk", &self.payload.chunk).finish_non_exhaustive()
    }
}

impl Payload {
    /// Decompressed bytes of the member: drops those before the payload, gives out those of it, ignores the rest.
    fn emit(&mut self, bytes: &[u8], out: &mut dyn Write) -> Result<(), Error> {
        let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
        self.skip -= skipped as u64;
        let rest = &bytes[skipped..];
        let wanted = &rest[..usize::try_from(self.left).unwrap_or(usize::MAX).min(rest.len())];
        if let Some(digester) = &mut self.digester {
            digester.update(wanted);
        }
        out.write_all(wanted)?;
        self.left -= wanted.len() as u64;
        Ok(())
    }

    fn zeros(&mut self, out: &mut dyn Write) -> Result<(), Error> {
        const ZEROS: [u8; 4096] = [0; 4096];
        while self.left > 0 {
            let count = usize::try_from(self.left).unwrap_or(usize::MAX).min(ZEROS.len());
            self.emit(&ZEROS[..count], out)?;
        }
        Ok(())
    }

    fn undecodable(&self, reason: &str) -> Error {
        Error::Chunk { path: quoted(&self.path), offset: self.chunk.file_offset, reason: quoted(reason) }
    }
}

/// One gzip member; what follows it is not looked at, because a payload lies in one member. No more is decompressed than is needed.
fn inflate(
    inflater: &mut Inflater,
    mut compressed: &[u8],
    payload: &mut Payload,
    out: &mut dyn Write,
) -> Result<(), Error> {
    while payload.left > 0 {
        let step = inflater.step(compressed, payload.skip.saturating_add(payload.left));
        let step = step.map_err(|reason| payload.undecodable(&reason))?;
        compressed = &compressed[step.consumed..];
        payload.emit(step.produced, out)?;
        if step.is_drained {
            break;
        }
    }
    Ok(())
}

/// One zstd frame. Answers whether it has ended.
fn decompress(
    decoder: &mut ZstdDecoder<'static>,
    buffer: &mut [u8],
    mut compressed: &[u8],
    payload: &mut Payload,
    out: &mut dyn Write,
) -> Result<bool, Error> {
    loop {
        let status = decoder.run_on_buffers(compressed, buffer);
        let status = status.map_err(|error| payload.undecodable(&error.to_string()))?;
        payload.emit(&buffer[..status.bytes_written], out)?;
        compressed = &compressed[status.bytes_read..];
        let has_ended = status.remaining == 0;
        // A full buffer means that more may be waiting; an empty input that nothing comes without new bytes.
        let is_drained = compressed.is_empty() && status.bytes_written < buffer.len();
        if has_ended || is_drained || payload.left == 0 {
            return Ok(has_ended);
        }
        if status.bytes_read == 0 && status.bytes_written == 0 {
            return Ok(has_ended);
        }
    }
}
