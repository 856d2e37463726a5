//! What kinds of layers there are, and why one cannot be read lazily.
//!
//! Must not know how they are told apart. Invariant: everything but `NotLazy` has a table of contents that this crate reads.

use std::fmt;

/// How the members of a layer are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Each member is a gzip member (RFC 1952).
    Gzip,
    /// Each member is a zstd frame (RFC 8878).
    Zstd,
    /// Payloads stand as they are: an uncompressed tar.
    Stored,
}

/// Which of two incompatible spellings of zstd:chunked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ZstdDialect {
    /// Annotations `io.containers.zstd-chunked.*`: stargz-snapshotter, nerdctl, and containers/storage before 1.44.
    Stargz,
    /// Annotations `io.github.containers.zstd-chunked.*`: containers/storage since 1.44, with tar-split.
    Containers,
}

/// The format of a layer whose files can be read one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LayerFormat {
    /// eStargz: TOC in the blob, 51-byte footer.
    EStargz,
    /// stargz as CRFS wrote it: TOC in the blob, 47-byte footer, no digests of chunks.
    LegacyStargz,
    /// zstd:chunked.
    ZstdChunked(ZstdDialect),
    /// eStargz whose TOC is in another image (`<reference>-esgztoc`).
    ExternalToc,
    /// A plain tar that was fetched whole, decompressed, and indexed here ([`crate::OpenLayer::index_tar`]).
    IndexedTar,
}

impl LayerFormat {
    /// How its members are compressed.
    pub fn compression(self) -> Compression {
        match self {
            Self::EStargz | Self::LegacyStargz | Self::ExternalToc => Compression::Gzip,
            Self::ZstdChunked(_) => Compression::Zstd,
            Self::IndexedTar => Compression::Stored,
        }
    }

    /// A short name, for tables and JSON: `estargz`, `stargz`, `zstd:chunked`, `estargz-external-toc`, `tar`.
    pub fn name(self) -> &'static str {
        match self {
            Self::EStargz => "estargz",
            Self::LegacyStargz => "stargz",
            Self::ZstdChunked(_) => "zstd:chunked",
            Self::ExternalToc => "estargz-external-toc",
            Self::IndexedTar => "tar",
        }
    }
}

impl fmt::Display for LayerFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Why the files of a layer cannot be read one by one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotLazy {
    /// An uncompressed tar has no table of contents.
    #[error("it is an uncompressed tar, which has no table of contents")]
    Uncompressed,
    /// The blob does not end in a footer of a known format.
    #[error("it is a plain compressed tar: the blob does not end in an eStargz or zstd:chunked footer")]
    NoFooter,
    /// The blob does not end in a footer although the manifest says that it has a table of contents.
    #[error(
        "the manifest annotates it as lazily readable, but the blob does not end in a footer: it was compressed anew \
         after its conversion"
    )]
    FooterLost,
    /// The table of contents is in another image; give it to [`crate::LayerOpener::supply_external_toc`].
    #[error("its table of contents is in another image (usually the same reference with -esgztoc)")]
    ExternalTocMissing,
    /// The media type is not one of a file system layer that we know.
    #[error("its media type {media_type} is not that of a file system layer")]
    OtherMediaType {
        /// The media type in the manifest.
        media_type: oci::MediaType,
    },
}
