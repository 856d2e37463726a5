//! Fetches the content of many files: which bytes, in which requests, by how many workers.
//!
//! Must not know where content goes; a `Sink` does. Invariant: every chunk of every file is given to the sink once, proven,
//! or its file is reported as failed with the reason.

mod pieces;
mod pool;
mod worker;

use std::sync::Arc;

use estargz::{Chunk, ChunkSource, EntryId, EntryKind, OpenLayer};

use crate::error::StargetError;
pub(crate) use pieces::{Part, plan};
pub(crate) use pool::{Outcome, Work, fetch};

/// One file whose content is wanted. There may be a million: what the table has is looked up there.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// Its path, when that is not its entry's.
    name: Option<Box<str>>,
    /// The layer that has its content.
    pub(crate) layer: Arc<OpenLayer>,
    /// The place of that layer among those that are open.
    layer_index: u32,
    /// Its entry there.
    entry: EntryId,
}

impl Job {
    /// For a node that stands for a file, to be written at `path`; `layer_index` tells the place of a layer.
    pub(crate) fn of(
        path: &str,
        layer: &Arc<OpenLayer>,
        layer_index: usize,
        entry: estargz::Entry<'_>,
    ) -> Result<Self, StargetError> {
        if entry.kind() != EntryKind::File {
            let source = Box::new(estargz::Error::NotAFile { path: path.to_owned() });
            return Err(StargetError::Layer { layer: Box::new(layer.digest()), source });
        }
        let name = (path != entry.path()).then(|| path.into());
        // Image trees have a thousand layers at most.
        Ok(Self { name, layer: layer.clone(), layer_index: layer_index as u32, entry: entry.id() })
    }

    /// Where it is written, and how it is called in messages.
    pub(crate) fn path(&self) -> &str {
        self.name.as_deref().unwrap_or_else(|| self.entry().path())
    }

    /// Its entry.
    pub(crate) fn entry(&self) -> estargz::Entry<'_> {
        self.layer.toc().entry(self.entry)
    }

    /// The place of its layer among those that are open.
    pub(crate) fn layer_index(&self) -> usize {
        self.layer_index as usize
    }

    /// In bytes.
    pub(crate) fn size(&self) -> u64 {
        self.entry().size()
    }

    /// Where its content is, in order.
    pub(crate) fn chunks(&self) -> impl ExactSizeIterator<Item = Chunk> {
        let entry = self.entry();
        let chunks = self.layer.chunks(entry);
        // A file of one chunk is proven by its own digest too.
        let whole = entry.digest().filter(|_| chunks.len() == 1);
        chunks.map(move |chunk| Chunk { digest: chunk.digest.or(whole), ..chunk })
    }

    /// One of them.
    pub(crate) fn chunk(&self, at: usize) -> Option<Chunk> {
        self.chunks().nth(at)
    }

    /// Whether each chunk has a digest; otherwise the whole file is checked when it is there.
    pub(crate) fn is_proven_by_chunks(&self) -> bool {
        self.chunks().all(|chunk| chunk.digest.is_some())
    }

    /// Whether there are regions that are not stored.
    pub(crate) fn has_holes(&self) -> bool {
        self.chunks().any(|chunk| chunk.source == ChunkSource::Zeros)
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
