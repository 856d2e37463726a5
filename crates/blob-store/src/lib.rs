//! Content-addressed bytes: blobs that are complete and never change ([`BlobStore`]), and blobs that still grow: filled
//! from elsewhere ([`Staging`]) or pushed here ([`Uploads`]).
//!
//! It must not know repositories, tags, HTTP or SQL: a blob is a digest and its bytes.
//!
//! Invariants: a blob visible through a [`BlobStore`] is complete and durable, and its bytes never change; a staged
//! blob never claims a byte that was not written in this boot of the machine; what a crash leaves behind is either
//! resumed or swept at the next open, without a human.

mod blob_store;
mod buffer_pool;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod error;
mod file_piece;
mod file_read;
mod local;
mod locks;
mod memory;
mod range_set;
mod staging;
mod uploads;

pub use blob_store::{BlobRead, BlobStore, StoredBlob};
pub use buffer_pool::{BufferPool, PoolBuffer};
pub use error::{StoreError, is_no_space};
pub use file_piece::FilePiece;
pub use local::{LocalStore, Shard};
pub use memory::MemoryStore;
pub use range_set::RangeSet;
pub use staging::blob::StagedBlob;
pub use staging::map::StagedNote;
pub use staging::{StagedSummary, Staging};
pub use uploads::{Mark, Unpublished, Upload, Uploads};
