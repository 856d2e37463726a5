//! What can be wrong with one entry of a table of contents, one variant a rule.
//!
//! Must not know where the entry is or what the caller does about it. Invariant: every message is of bounded length.

/// Why an entry is refused, and with it the layer: a reader that skipped it would show another tree than the next reader.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryFault {
    /// There is no name.
    #[error("it has no name")]
    NameEmpty,
    /// The name is longer than [`crate::limits::MAX_PATH`] bytes.
    #[error("its name is longer than 4096 bytes")]
    NameTooLong,
    /// A component is longer than [`crate::limits::MAX_COMPONENT`] bytes.
    #[error("a component of its name is longer than 255 bytes")]
    ComponentTooLong,
    /// The name has more than [`crate::limits::MAX_DEPTH`] components.
    #[error("its name has more than 256 components")]
    NameTooDeep,
    /// The name or link target has a NUL byte.
    #[error("its name or link target contains a NUL byte")]
    Nul,
    /// The name has `..` among its components.
    #[error("its name leads out of the tree: it contains \"..\"")]
    NameEscapes,
    /// Only a directory can be the root.
    #[error("it names the root but is not a directory")]
    RootNotDirectory,
    /// The type is none of those we know.
    #[error("its type \"{found}\" is unknown")]
    UnknownType {
        /// The type as written, shortened and escaped.
        found: String,
    },
    /// A link without a target.
    #[error("it is a link without a target")]
    NoLinkTarget,
    /// A number is negative or too large for what it counts.
    #[error("its {field} is out of range")]
    OutOfRange {
        /// The JSON name of the field.
        field: &'static str,
    },
    /// A time that is not RFC 3339.
    #[error("its modtime is not an RFC 3339 time")]
    InvalidTime,
    /// A digest that does not parse.
    #[error("its {field} is not a digest: {source}")]
    InvalidDigest {
        /// The JSON name of the field.
        field: &'static str,
        /// What is wrong with it.
        source: oci::InvalidDigest,
    },
    /// An extended attribute that is not base64, or too many of them.
    #[error("its extended attributes are not base64, or too many")]
    InvalidXattrs,
    /// A chunk entry that follows no file, or a file without content.
    #[error("it is a chunk that follows no file it could belong to")]
    StrayChunk,
    /// The payload begins before the first or after the last byte of the data.
    #[error("its offset {offset} is outside of the layer's data, which ends at {data_end}")]
    OffsetOutside {
        /// The offset stated.
        offset: u64,
        /// Where the data ends: where the table of contents begins.
        data_end: u64,
    },
    /// Offsets go backwards within one file.
    #[error("its chunks are not in the order of their offsets")]
    ChunksOutOfOrder,
    /// Chunks overlap, leave a gap, or do not add up to the size.
    #[error("its chunks do not cover the file exactly: expected one at {expected}, found {found}")]
    ChunksDoNotTile {
        /// The offset in the file where a chunk, or the end, must be.
        expected: u64,
        /// Where the next chunk, or the end, is.
        found: u64,
    },
    /// The payload begins too far inside of its member.
    #[error("its innerOffset {found} is too large")]
    InnerOffsetTooLarge {
        /// The innerOffset stated.
        found: u64,
    },
    /// More payload than the bytes of its member can hold.
    #[error("its {size} bytes cannot be in a member of {member} bytes")]
    PayloadTooLarge {
        /// The size of the chunk.
        size: u64,
        /// The most bytes that its member has.
        member: u64,
    },
    /// `endOffset` is not after `offset`, or not within the data.
    #[error("its endOffset {found} is not between its offset and the end of the data")]
    EndOffsetOutside {
        /// The endOffset stated.
        found: u64,
    },
    /// A chunk type other than data and zeros.
    #[error("its chunkType is unknown")]
    UnknownChunkType,
    /// Something that is not a directory has entries below it.
    #[error("it lies below \"{parent}\", which is not a directory")]
    BelowNonDirectory {
        /// The parent, escaped.
        parent: String,
    },
}
