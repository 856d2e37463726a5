//! Fetches the content of many files: which bytes, in which requests, by how many workers.
//!
//! Must not know where content goes; a `Sink` does. Invariant: every chunk of every file is given to the sink once, proven,
//! or its file is reported as failed with the reason.

mod pieces;
mod pool;
mod worker;

use std::sync::Arc;

use estargz::{Chunk, EntryId, OpenLayer};

use crate::error::StargetError;
pub(crate) use pieces::plan;
pub(crate) use pool::{Outcome, Work, fetch};

/// One file whose content is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// Its path in the image.
    pub(crate) path: String,
    /// The layer that has its content.
    pub(crate) layer: Arc<OpenLayer>,
    /// The place of that layer among those that are open.
    pub(crate) layer_index: usize,
    /// Its entry there.
    pub(crate) entry: EntryId,
    /// In bytes.
    pub(crate) size: u64,
    /// Where its content is.
    pub(crate) chunks: Vec<Chunk>,
    /// Whether each chunk has a digest; otherwise the whole file is checked when it is there.
    pub(crate) proven_by_chunks: bool,
}

impl Job {
    /// For a node that stands for a file; `layer_index` tells the place of a layer.
    pub(crate) fn of(
        path: &str,
        layer: &Arc<OpenLayer>,
        layer_index: usize,
        entry: estargz::Entry<'_>,
    ) -> Result<Self, StargetError> {
        let broken = |source| StargetError::Layer { layer: Box::new(layer.digest()), source: Box::new(source) };
        let mut chunks = layer.plan(entry).map_err(broken)?;
        if let [only] = &mut chunks[..] {
            // A file of one chunk is proven by its own digest too.
            only.digest = only.digest.or(entry.digest());
        }
        Ok(Self {
            path: path.to_owned(),
            layer: layer.clone(),
            layer_index,
            entry: entry.id(),
            size: entry.size(),
            proven_by_chunks: chunks.iter().all(|chunk| chunk.digest.is_some()),
            chunks,
        })
    }
}

/// Takes content.
pub(crate) trait Sink: Send + Sync {
    /// What one file is written with.
    type File: Send + Sync;

    /// Begins a file, before its first chunk. Called once for each file that has content.
    fn open(&self, job: usize) -> Result<Self::File, StargetError>;

    /// Writes bytes of a chunk, which are not proven yet, at their place in the file.
    fn write(&self, file: &Self::File, offset: u64, bytes: &[u8]) -> std::io::Result<()>;

    /// A chunk is there, and is what its digest says.
    fn chunk_done(&self, job: usize, chunk: usize) -> Result<(), StargetError>;

    /// All chunks are there.
    fn file_done(&self, job: usize, file: &Self::File) -> Result<(), StargetError>;

    /// The file will not be completed.
    fn file_failed(&self, job: usize, file: Option<&Self::File>);
}
