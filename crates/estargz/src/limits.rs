//! Every bound of this crate, each with where it comes from.
//!
//! Must not know who enforces them. Invariant: a bound is checked before memory is spent in proportion to the input, never
//! after.

/// Smallest tail of a blob that is asked for, in bytes: holds the TOC of a small layer (about 49 bytes an entry).
pub const TAIL_GUESS_MIN: u64 = 64 * 1024;

/// The tail that is asked for, in thousandths of the blob: the TOC of a layer of system files measured 5.7.
pub const TAIL_GUESS_PER_MILLE: u64 = 6;

/// Largest tail that is asked for on a guess, in bytes. A TOC past it costs a second request.
pub const TAIL_GUESS_MAX: u64 = 4 * 1024 * 1024;

/// Largest compressed TOC, in bytes. Ours: over a million entries.
pub const MAX_TOC_COMPRESSED: u64 = 64 * 1024 * 1024;

/// Largest TOC as JSON, in bytes: what containers/storage accepts.
pub const MAX_TOC_RAW: u64 = 150 * 1024 * 1024;

/// Most bytes of JSON for one of the compressed TOC. Real ones are near 7.
pub const MAX_TOC_RATIO: u64 = 100;

/// A TOC up to this many bytes of JSON may be of any ratio: small tables of equal entries compress very well.
pub const TOC_RATIO_FLOOR: u64 = 1024 * 1024;

/// Most entries of a TOC, chunks included. Ours: at the 336 bytes of JSON that an entry of system files measured, [`MAX_TOC_RAW`]
/// holds less than half of that.
pub const MAX_TOC_ENTRIES: usize = 1_000_000;

/// Most memory that a parsed TOC may take, in bytes, with what its lists take while they grow. Ours: paths can imply many times
/// more directories than they are long, and a million real entries stay below.
pub const MAX_TOC_MEMORY: usize = 256 * 1024 * 1024;

/// Longest JSON string of a TOC, in bytes: a maximal extended attribute (64 KiB) in base64, with room for escapes.
pub const MAX_TOC_STRING: usize = 128 * 1024;

/// Most bytes of one value of a TOC's JSON, which is whole in memory while it is read: an entry with the most and the largest extended
/// attributes, with room for their names.
pub const MAX_TOC_VALUE: usize = 40 * 1024 * 1024;

/// Longest path, in bytes (Linux `PATH_MAX`).
pub const MAX_PATH: usize = 4096;

/// Longest component of a path, in bytes (Linux `NAME_MAX`).
pub const MAX_COMPONENT: usize = 255;

/// Most components of a path. Ours: implied parents are made for each, and real trees stay below 50.
pub const MAX_DEPTH: usize = 256;

/// Most extended attributes of one entry. Ours.
pub const MAX_XATTRS: usize = 256;

/// Most hard links followed from one to the next, and most symbolic links in one lookup (Linux follows 40).
pub const MAX_LINKS: usize = 40;

/// Most uncompressed bytes before a payload in its member, in bytes. Ours; writers stay near the chunk size.
pub const MAX_INNER_OFFSET: u64 = 1024 * 1024 * 1024;

/// Largest file, in bytes: what fits the signed 64 bits of a file offset.
pub const MAX_FILE_SIZE: u64 = i64::MAX as u64;

/// Largest window of a zstd frame, as a power of two: 32 MiB, the largest that the writers of zstd:chunked choose.
pub const MAX_ZSTD_WINDOW_LOG: u32 = 25;

/// Most layers of one image tree (a manifest has at most 1000).
pub const MAX_LAYERS: usize = oci::limits::MAX_MANIFEST_LAYERS;
