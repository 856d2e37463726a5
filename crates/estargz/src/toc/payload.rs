//! From the bytes of a blob that hold a table of contents to the table: decompressed as a stream, bounded, hashed, parsed.
//!
//! Must not know which request brought the bytes. Invariant: the digest is of the exact JSON, to its last byte, and what was
//! decompressed beyond a limit was never kept.

use std::io::Read;

use flate2::bufread::GzDecoder;
use oci::{Digest, DigestAlgorithm};

use crate::error::{Error, quoted};
use crate::format::Compression;
use crate::limits::{MAX_TOC_COMPRESSED, MAX_TOC_RATIO, MAX_TOC_RAW, MAX_ZSTD_WINDOW_LOG, TOC_RATIO_FLOOR};
use crate::toc::guard::GuardedReader;
use crate::toc::json::read_document;
use crate::toc::{Assembler, Toc};

/// The name of the tar entry that holds the JSON.
const TOC_NAME: &[u8] = b"stargz.index.json";

/// Compressed bytes of a table of contents.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TocPayload<'b> {
    /// A gzip member with a tar entry that holds the JSON.
    GzipTar(&'b [u8]),
    /// A zstd frame with the JSON, which is `raw_len` bytes long.
    Zstd { frame: &'b [u8], raw_len: u64 },
}

/// Reads a table of a layer whose data ends at `data_end`. The digest of its JSON comes with it when it is `wanted`.
///
/// A table whose bytes are not those of the wanted digest may also not parse: the digest is told then, because that is the cause.
pub(crate) fn read_toc(
    payload: TocPayload<'_>,
    data_end: u64,
    wanted: Option<DigestAlgorithm>,
) -> (Result<Toc, Error>, Option<Digest>) {
    match payload {
        TocPayload::GzipTar(bytes) => read_gzip_tar(bytes, data_end, wanted),
        TocPayload::Zstd { frame, raw_len } => read_zstd(frame, raw_len, data_end, wanted),
    }
}

type TocAndDigest = (Result<Toc, Error>, Option<Digest>);

fn read_gzip_tar(bytes: &[u8], data_end: u64, wanted: Option<DigestAlgorithm>) -> TocAndDigest {
    let mut decoder = GzDecoder::new(bytes);
    match tar_entry_size(&mut decoder).and_then(|size| check_sizes(bytes.len() as u64, size).map(|()| size)) {
        Ok(size) => read_json(decoder.take(size), size, (data_end, Compression::Gzip), wanted),
        Err(error) => (Err(error), None),
    }
}

/// The size of the tar entry at the front, which must be the table of contents.
fn tar_entry_size(reader: &mut impl Read) -> Result<u64, Error> {
    let mut header = tar::Header::new_old();
    reader.read_exact(header.as_mut_bytes()).map_err(|error| malformed(&error))?;
    if header.path_bytes().as_ref() != TOC_NAME || !header.entry_type().is_file() {
        return Err(Error::TocMalformed { reason: "the tar entry is not stargz.index.json".to_owned() });
    }
    header.entry_size().map_err(|error| malformed(&error))
}

fn read_zstd(frame: &[u8], raw_len: u64, data_end: u64, wanted: Option<DigestAlgorithm>) -> TocAndDigest {
    let decoder = check_sizes(frame.len() as u64, raw_len).and_then(|()| {
        let mut decoder = zstd::stream::read::Decoder::with_buffer(frame).map_err(|error| malformed(&error))?;
        decoder.window_log_max(MAX_ZSTD_WINDOW_LOG).map_err(|error| malformed(&error))?;
        Ok(decoder.single_frame())
    });
    match decoder {
        // One byte more than stated, so that a table that goes on is noticed.
        Ok(decoder) => read_json(decoder.take(raw_len + 1), raw_len, (data_end, Compression::Zstd), wanted),
        Err(error) => (Err(error), None),
    }
}

fn check_sizes(compressed: u64, raw: u64) -> Result<(), Error> {
    if compressed > MAX_TOC_COMPRESSED {
        return Err(Error::TocLimit { what: "compressed bytes", limit: MAX_TOC_COMPRESSED });
    }
    if raw > MAX_TOC_RAW {
        return Err(Error::TocLimit { what: "bytes of JSON", limit: MAX_TOC_RAW });
    }
    if raw > TOC_RATIO_FLOOR && raw / MAX_TOC_RATIO > compressed {
        return Err(Error::TocLimit { what: "bytes of JSON for each compressed byte", limit: MAX_TOC_RATIO });
    }
    Ok(())
}

fn read_json(
    reader: impl Read,
    size: u64,
    (data_end, compression): (u64, Compression),
    wanted: Option<DigestAlgorithm>,
) -> TocAndDigest {
    let mut guarded = GuardedReader::new(reader, wanted);
    let mut assembler = Assembler::new(data_end, compression);
    let parsed = read_document(&mut guarded, &mut assembler);
    // The rest, when parsing stopped early: the digest of all of it says whether the bytes are the right ones.
    let drained = if parsed.is_err() { guarded.drain() } else { Ok(()) };
    let is_whole = drained.is_ok() && guarded.seen() == size;
    let digest = guarded.digest().filter(|_| is_whole);
    let result = parsed.and_then(|()| {
        if is_whole {
            assembler.finish()
        } else {
            Err(Error::TocMalformed { reason: "it is not as long as stated".to_owned() })
        }
    });
    (result, digest)
}

fn malformed(error: &std::io::Error) -> Error {
    Error::TocMalformed { reason: quoted(&error.to_string()) }
}
