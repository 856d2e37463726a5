//! Single files out of layers that were made for it: eStargz (and its ancestor stargz), zstd:chunked in both dialects.
//!
//! Such a layer is an ordinary compressed tar with a table of contents (TOC) that says where each file's bytes begin. This
//! crate reads the TOC, merges the layers of an image into the tree a container would see, says which bytes of which
//! blob hold a file, and turns those bytes into verified content.
//!
//! It must not know the network or any async runtime: it does no I/O of its own. [`LayerOpener`] and [`OpenLayer::plan`]
//! say which [`oci::ByteRange`]s they need, the caller fetches them however it likes, [`ChunkDecoder`] takes what came.
//! [`LayerReader`] does all of that over a blocking [`RangeSource`]. Invariant: whatever the bytes, the answer is content
//! that matches the digests stated for it, or an [`Error`]; memory is bounded by [`limits`].
//!
//! ```text
//! manifest ── annotations ──> LayerHints ──> LayerOpener ──Need(range)──> (caller fetches) ──> OpenLayer
//!     OpenLayer, bottom to top ──> ImageTree ──> Node ── content() ──> OpenLayer::plan ──> [Chunk]
//!     Chunk ── its bytes, in pieces ──> ChunkDecoder ──> payload, checked against the chunk's digest
//! ```

mod chunk;
mod decoder;
mod entry;
mod error;
mod fault;
mod footer;
mod format;
mod gzip_header;
mod hints;
mod inflater;
mod layer;
pub mod limits;
mod opener;
mod raw_toc;
mod reader;
mod source;
mod toc;
mod tree;
mod verification;

pub use chunk::{Chunk, ChunkSource};
pub use decoder::{ChunkDecoder, Fed};
pub use entry::{DeviceNumber, Entry, EntryId, EntryKind, Timestamp};
pub use error::Error;
pub use fault::EntryFault;
pub use format::{Compression, LayerFormat, NotLazy, ZstdDialect};
pub use hints::{LayerHints, TocPosition};
pub use layer::OpenLayer;
pub use opener::{LayerOpener, Opened, Progress};
pub use raw_toc::RawToc;
pub use reader::LayerReader;
pub use source::{FileSource, MemorySource, RangeSource};
pub use toc::{Landmark, Toc, Whiteout};
pub use tree::{FollowLast, ImageTree, Node, Settled};
pub use verification::{Checked, FileCheck, Trust, Verification, VerificationError};
