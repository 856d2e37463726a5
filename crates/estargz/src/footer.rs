//! Footers: how the last bytes of a blob say what it is and where its table of contents is.
//!
//! Must not know requests. Invariant: an offset that comes out of here lies within the blob.

use oci::ByteRange;

use crate::error::Error;
use crate::format::{LayerFormat, ZstdDialect};
use crate::hints::SKIPPABLE_HEADER;
use crate::limits::{MAX_TOC_COMPRESSED, MAX_TOC_RAW};

const ESTARGZ_LEN: usize = 51;
const LEGACY_LEN: usize = 47;
const EXTERNAL_LEN: usize = 46;
/// Payloads of the skippable frame that ends a zstd:chunked blob: without and with the position of tar-split.
const ZSTD_LENS: [usize; 2] = [40, 64];
/// The longest footer of a gzip layer, in bytes.
pub(crate) const GZIP_FOOTER_MAX: u64 = ESTARGZ_LEN as u64;
/// The longest footer of a zstd layer, in bytes, with the header of its frame.
pub(crate) const ZSTD_FOOTER_MAX: u64 = SKIPPABLE_HEADER + 64;
const GZIP_WITH_EXTRA: [u8; 4] = [0x1f, 0x8b, 0x08, 0x04];
const SKIPPABLE_MAGIC: [u8; 4] = [0x50, 0x2a, 0x4d, 0x18];
const STARGZ_MAGIC: &[u8] = b"GnUlInUx";
const CONTAINERS_MAGIC: &[u8] = b"GNUlInUx";

/// What the footer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) format: LayerFormat,
    /// Where the compressed table is; `None` when it is not in the blob.
    pub(crate) toc: Option<ByteRange>,
    /// How many bytes of JSON, where that is stated.
    pub(crate) raw_len: Option<u64>,
    /// The first byte that is not data.
    pub(crate) data_end: u64,
}

/// Looks for a footer at the end of `tail`, the last bytes of a blob of `size` bytes. `None`: it has none that we know.
pub(crate) fn read_footer(tail: &[u8], size: u64) -> Result<Option<Footer>, Error> {
    if let Some(digits) = estargz_digits(tail) {
        return in_blob(LayerFormat::EStargz, digits, size, ESTARGZ_LEN as u64).map(Some);
    }
    if let Some(digits) = legacy_digits(tail) {
        return in_blob(LayerFormat::LegacyStargz, digits, size, LEGACY_LEN as u64).map(Some);
    }
    if let Some((dialect, fields)) = zstd_fields(tail) {
        return zstd(dialect, &fields, size).map(Some);
    }
    if is_external(tail) {
        let data_end = size - EXTERNAL_LEN as u64;
        return Ok(Some(Footer { format: LayerFormat::ExternalToc, toc: None, raw_len: None, data_end }));
    }
    Ok(None)
}

/// The last `N` bytes, if they are a gzip header with an extra field of the length that makes `N` bytes of it.
fn gzip_footer<const N: usize>(tail: &[u8], extra_len: u16) -> Option<&[u8; N]> {
    let footer = tail.last_chunk::<N>()?;
    (footer.starts_with(&GZIP_WITH_EXTRA) && footer[10..12] == extra_len.to_le_bytes()).then_some(footer)
}

/// The 16 digits of a subfield `SG` of 22 bytes: digits and `STARGZ`.
fn estargz_digits(tail: &[u8]) -> Option<&[u8]> {
    let footer = gzip_footer::<ESTARGZ_LEN>(tail, 26)?;
    (footer[12..16] == *b"SG\x16\0" && footer[32..38] == *b"STARGZ").then_some(&footer[16..32])
}

/// The same without a subfield's head, as CRFS wrote it.
fn legacy_digits(tail: &[u8]) -> Option<&[u8]> {
    let footer = gzip_footer::<LEGACY_LEN>(tail, 22)?;
    (footer[28..34] == *b"STARGZ").then_some(&footer[12..28])
}

fn is_external(tail: &[u8]) -> bool {
    gzip_footer::<EXTERNAL_LEN>(tail, 21).is_some_and(|footer| footer[12..33] == *b"SG\x11\0STARGZEXTERNALTOC")
}

fn in_blob(format: LayerFormat, digits: &[u8], size: u64, footer_len: u64) -> Result<Footer, Error> {
    let is_hex = digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    let digits = std::str::from_utf8(digits).ok().filter(|_| is_hex);
    let offset = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
    let offset = offset.ok_or(Error::Footer { reason: "the offset is not 16 lowercase hexadecimal digits" })?;
    let range = ByteRange::new(offset, size.saturating_sub(footer_len)).filter(|range| range.start > 0);
    let toc = range.ok_or(Error::Footer { reason: "the offset of the table of contents is outside of the blob" })?;
    check_len(toc.len(), 0)?;
    Ok(Footer { format, toc: Some(toc), raw_len: None, data_end: toc.start })
}

/// The numbers of a zstd:chunked footer, without its magic.
fn zstd_fields(tail: &[u8]) -> Option<(ZstdDialect, Vec<u64>)> {
    let dialect = if tail.ends_with(STARGZ_MAGIC) {
        ZstdDialect::Stargz
    } else if tail.ends_with(CONTAINERS_MAGIC) {
        ZstdDialect::Containers
    } else {
        return None;
    };
    let payload = ZSTD_LENS.iter().find_map(|length| {
        let frame = &tail[tail.len().checked_sub(length + SKIPPABLE_HEADER as usize)?..];
        let stated = u32::try_from(*length).ok()?.to_le_bytes();
        (frame[..4] == SKIPPABLE_MAGIC && frame[4..8] == stated).then_some(&frame[8..])
    })?;
    let numbers = payload.chunks_exact(8).filter_map(|bytes| bytes.try_into().ok().map(u64::from_le_bytes));
    Some((dialect, numbers.take(payload.len() / 8 - 1).collect()))
}

fn zstd(dialect: ZstdDialect, fields: &[u64], size: u64) -> Result<Footer, Error> {
    let outside = Error::Footer { reason: "the position of the table of contents is outside of the blob" };
    let [offset, length, raw_len, kind, ref tar_split @ ..] = *fields else {
        return Err(Error::Footer { reason: "the footer has too few fields" });
    };
    if kind != 1 {
        return Err(Error::Footer { reason: "the type of the table of contents is unknown" });
    }
    let end = offset.checked_add(length).filter(|end| *end <= size);
    let range = end.and_then(|end| ByteRange::new(offset, end)).filter(|range| range.start > SKIPPABLE_HEADER);
    let toc = range.ok_or(outside)?;
    check_len(toc.len(), raw_len)?;
    let tar_split = tar_split.first().filter(|start| **start > SKIPPABLE_HEADER);
    let data_end = tar_split.map_or(toc.start, |start| toc.start.min(*start)) - SKIPPABLE_HEADER;
    Ok(Footer { format: LayerFormat::ZstdChunked(dialect), toc: Some(toc), raw_len: Some(raw_len), data_end })
}

/// Before the table is fetched, not after.
fn check_len(compressed: u64, raw: u64) -> Result<(), Error> {
    if compressed > MAX_TOC_COMPRESSED {
        return Err(Error::TocLimit { what: "compressed bytes", limit: MAX_TOC_COMPRESSED });
    }
    if raw > MAX_TOC_RAW {
        return Err(Error::TocLimit { what: "bytes of JSON", limit: MAX_TOC_RAW });
    }
    Ok(())
}
