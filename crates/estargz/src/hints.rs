//! What the manifest says about a layer before one byte of it is fetched: descriptor and annotations.
//!
//! Must not know the blob. Invariant: values are parsed and in bounds; a malformed or contradictory annotation is an error,
//! because a layer that is verified against the wrong thing is not verified.

use oci::{ByteRange, Descriptor, Digest, MediaType};

use crate::error::{Error, quoted};
use crate::format::{Compression, NotLazy, ZstdDialect};
use crate::limits::{MAX_TOC_COMPRESSED, MAX_TOC_RAW};

/// SHA-256 of the TOC's JSON (estargz.md, "TOC digest").
pub(crate) const TOC_DIGEST: &str = "containerd.io/snapshot/stargz/toc.digest";
const UNCOMPRESSED_SIZE: &str = "io.containers.estargz.uncompressed-size";
const OLD_POSITION: &str = "io.containers.zstd-chunked.manifest-position";
const OLD_CHECKSUM: &str = "io.containers.zstd-chunked.manifest-checksum";
const NEW_POSITION: &str = "io.github.containers.zstd-chunked.manifest-position";
const NEW_CHECKSUM: &str = "io.github.containers.zstd-chunked.manifest-checksum";
const NEW_TAR_SPLIT: &str = "io.github.containers.zstd-chunked.tarsplit-position";

/// The size of a zstd skippable frame's header, which positions point past.
pub(crate) const SKIPPABLE_HEADER: u64 = 8;

/// A layer as its image's manifest describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerHints {
    /// The layer's digest: of the whole compressed blob.
    pub digest: Digest,
    /// The size of the blob, in bytes.
    pub size: u64,
    /// Its media type.
    pub media_type: MediaType,
    /// The digest of the TOC's JSON, when stated.
    pub toc_digest: Option<Digest>,
    /// Where the TOC of a zstd:chunked layer is, when stated.
    pub toc_position: Option<TocPosition>,
    /// How many bytes the decompressed layer has, when stated.
    pub uncompressed_size: Option<u64>,
}

/// Where the TOC of a zstd:chunked layer is, as its annotations say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TocPosition {
    /// Whose annotations.
    pub dialect: ZstdDialect,
    /// The compressed TOC in the blob: the payload of its skippable frame.
    pub range: ByteRange,
    /// How many bytes of JSON it has.
    pub raw_len: u64,
    /// The digest of the compressed TOC, when stated.
    pub checksum: Option<Digest>,
    /// The first byte that is not data: where the first of the skippable frames at the end begins.
    pub data_end: u64,
}

impl LayerHints {
    /// Reads the annotations of a layer's descriptor; those it does not know are ignored.
    ///
    /// # Errors
    /// [`Error::Annotation`] when one is malformed, or when both dialects of zstd:chunked are claimed.
    pub fn new<'a>(
        descriptor: &Descriptor,
        annotations: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Error> {
        let found = Found::collect(annotations);
        Ok(Self {
            digest: descriptor.digest,
            size: descriptor.size,
            media_type: descriptor.media_type.clone(),
            toc_digest: found.toc_digest.map(|value| digest(TOC_DIGEST, value)).transpose()?,
            toc_position: found.position(descriptor.size)?,
            uncompressed_size: found.uncompressed_size.map(|value| number(UNCOMPRESSED_SIZE, value)).transpose()?,
        })
    }

    /// Whether the manifest says that this layer has a table of contents.
    pub fn is_annotated(&self) -> bool {
        self.toc_digest.is_some() || self.toc_position.is_some()
    }

    /// How the media type says the blob is compressed, or why it cannot be a layer that we read lazily.
    pub fn compression(&self) -> Result<Compression, NotLazy> {
        let other = || NotLazy::OtherMediaType { media_type: self.media_type.clone() };
        match self.media_type.as_str() {
            "application/vnd.oci.image.layer.v1.tar+gzip"
            | "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
            | "application/vnd.docker.image.rootfs.diff.tar.gzip"
            | "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" => Ok(Compression::Gzip),
            "application/vnd.oci.image.layer.v1.tar+zstd"
            | "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"
            | "application/vnd.docker.image.rootfs.diff.tar.zstd" => Ok(Compression::Zstd),
            "application/vnd.oci.image.layer.v1.tar"
            | "application/vnd.oci.image.layer.nondistributable.v1.tar"
            | "application/vnd.docker.image.rootfs.diff.tar" => Err(NotLazy::Uncompressed),
            _ => Err(other()),
        }
    }
}

/// The annotations we know, as written.
#[derive(Default)]
struct Found<'a> {
    toc_digest: Option<&'a str>,
    uncompressed_size: Option<&'a str>,
    old: Family<'a>,
    new: Family<'a>,
}

#[derive(Clone, Copy, Default)]
struct Family<'a> {
    position: Option<&'a str>,
    checksum: Option<&'a str>,
    tar_split: Option<&'a str>,
}

impl<'a> Found<'a> {
    fn collect(annotations: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut found = Self::default();
        for (key, value) in annotations {
            let slot = match key {
                TOC_DIGEST => &mut found.toc_digest,
                UNCOMPRESSED_SIZE => &mut found.uncompressed_size,
                OLD_POSITION => &mut found.old.position,
                OLD_CHECKSUM => &mut found.old.checksum,
                NEW_POSITION => &mut found.new.position,
                NEW_CHECKSUM => &mut found.new.checksum,
                NEW_TAR_SPLIT => &mut found.new.tar_split,
                _ => continue,
            };
            *slot = Some(value);
        }
        found
    }

    fn position(&self, size: u64) -> Result<Option<TocPosition>, Error> {
        let (dialect, family, keys) = match (self.old.position, self.new.position) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => {
                return Err(fault(NEW_POSITION, format!("{OLD_POSITION} is there too, and a layer has one dialect")));
            }
            (Some(_), None) => (ZstdDialect::Stargz, self.old, (OLD_POSITION, OLD_CHECKSUM)),
            (None, Some(_)) => (ZstdDialect::Containers, self.new, (NEW_POSITION, NEW_CHECKSUM)),
        };
        let Some(text) = family.position else { return Ok(None) };
        let (range, raw_len) = position(keys.0, text, size)?;
        let mut data_end = range.start - SKIPPABLE_HEADER;
        if let Some(text) = family.tar_split {
            data_end = data_end.min(position(NEW_TAR_SPLIT, text, size)?.0.start - SKIPPABLE_HEADER);
        }
        let checksum = family.checksum.map(|value| digest(keys.1, value)).transpose()?;
        Ok(Some(TocPosition { dialect, range, raw_len, checksum, data_end }))
    }
}

fn fault(key: &'static str, reason: String) -> Error {
    Error::Annotation { key, reason }
}

fn digest(key: &'static str, value: &str) -> Result<Digest, Error> {
    value.parse().map_err(|error: oci::InvalidDigest| fault(key, error.to_string()))
}

fn number(key: &'static str, text: &str) -> Result<u64, Error> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let parsed = digits.then(|| text.parse().ok()).flatten();
    parsed.ok_or_else(|| fault(key, format!("\"{}\" is not a number of bytes", quoted(text))))
}

/// `offset:compressedLength:rawLength[:type]`, with type 1; the frame must lie within the blob.
fn position(key: &'static str, text: &str, size: u64) -> Result<(ByteRange, u64), Error> {
    let malformed = || fault(key, format!("\"{}\" is not offset:length:length:1", quoted(text)));
    let parts: Vec<&str> = text.splitn(5, ':').collect();
    let ([offset, length, raw_len] | [offset, length, raw_len, "1"]) = parts[..] else { return Err(malformed()) };
    let (offset, length, raw_len) = (number(key, offset)?, number(key, length)?, number(key, raw_len)?);
    let end = offset.checked_add(length).filter(|end| *end <= size);
    let range = end.and_then(|end| ByteRange::new(offset, end)).filter(|range| range.start >= SKIPPABLE_HEADER);
    let range = range.ok_or_else(|| fault(key, format!("{offset}:{length} is not within a blob of {size} bytes")))?;
    if range.len() > MAX_TOC_COMPRESSED || raw_len > MAX_TOC_RAW {
        let limit = if raw_len > MAX_TOC_RAW { MAX_TOC_RAW } else { MAX_TOC_COMPRESSED };
        return Err(Error::TocLimit { what: "a position annotation with a length", limit });
    }
    Ok((range, raw_len))
}
