//! The tree of an image: its layers on top of each other, as a container would see them.
//!
//! Must not know blobs or fetching. Invariant: nodes are unique and in path order, every node's parent is a directory and is there, no
//! whiteout or landmark shows, and every hard link's content was looked up in what was there when its layer was applied.

mod merge;
mod resolve;

use std::fmt;
use std::sync::Arc;

pub use resolve::{FollowLast, Settled};

use crate::entry::{Entry, EntryId, EntryKind};
use crate::error::{Error, quoted};
use crate::layer::OpenLayer;
use crate::limits::MAX_LAYERS;
use crate::toc::{compare_paths, is_below};

/// The merged tree of an image. Twelve bytes a node, beside the tables of its layers.
pub struct ImageTree {
    layers: Vec<Arc<OpenLayer>>,
    nodes: Vec<NodeRecord>,
}

/// Which entry of which layer shows at a path, and which one has its content.
#[derive(Clone, Copy, Debug)]
struct NodeRecord {
    entry: EntryId,
    content: EntryId,
    layer: u16,
    /// `NOWHERE` for a hard link that leads nowhere.
    content_layer: u16,
}

const NOWHERE: u16 = u16::MAX;

impl ImageTree {
    /// Merges layers, the lowest first. All layers of the image must be there: a tree without one of them shows files that were
    /// replaced or removed. A tree of the upper ones alone answers [`ImageTree::resolve_from_above`].
    ///
    /// # Errors
    /// [`Error::TooManyLayers`].
    pub fn merge(layers: Vec<Arc<OpenLayer>>) -> Result<Self, Error> {
        if layers.len() > MAX_LAYERS {
            return Err(Error::TooManyLayers { limit: MAX_LAYERS });
        }
        let mut tree = Self { layers, nodes: Vec::new() };
        for layer in 0..tree.layers.len() {
            tree.apply(layer as u16);
        }
        Ok(tree)
    }

    /// The layers, the lowest first.
    pub fn layers(&self) -> &[Arc<OpenLayer>] {
        &self.layers
    }

    /// How many files, directories, links and devices, the root included.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is nothing: an image without layers.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The node with exactly this path, in the form of [`Entry::path`] (`""` is the root); no link is followed.
    pub fn get(&self, path: &str) -> Option<Node<'_>> {
        self.find(path).map(|index| Node { tree: self, index })
    }

    /// All nodes in path order: a directory, then what lies in it.
    pub fn walk(&self) -> impl Iterator<Item = Node<'_>> {
        (0..self.nodes.len()).map(|index| Node { tree: self, index })
    }

    fn find(&self, path: &str) -> Option<usize> {
        self.nodes.binary_search_by(|node| compare_paths(self.path(*node), path)).ok()
    }

    fn path(&self, node: NodeRecord) -> &str {
        self.entry(node.layer, node.entry).path()
    }

    fn entry(&self, layer: u16, entry: EntryId) -> Entry<'_> {
        self.layers[usize::from(layer)].toc().entry(entry)
    }

    /// The index after the last node that lies in the node at `index`.
    fn end_of(&self, index: usize) -> usize {
        let path = self.path(self.nodes[index]);
        index + 1 + self.nodes[index + 1..].partition_point(|node| is_below(self.path(*node), path))
    }
}

impl fmt::Debug for ImageTree {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (layers, nodes) = (self.layers.len(), self.nodes.len());
        formatter.debug_struct("ImageTree").field("layers", &layers).field("nodes", &nodes).finish()
    }
}

/// What shows at one path of an image.
#[derive(Clone, Copy)]
pub struct Node<'t> {
    tree: &'t ImageTree,
    index: usize,
}

impl<'t> Node<'t> {
    fn record(self) -> NodeRecord {
        self.tree.nodes[self.index]
    }

    /// Its path; `""` for the root.
    pub fn path(&self) -> &'t str {
        self.tree.path(self.record())
    }

    /// The last component of its path; `""` for the root.
    pub fn name(&self) -> &'t str {
        self.entry().name()
    }

    /// What it is; a hard link is told as one ([`Node::content`] is what it stands for).
    pub fn kind(&self) -> EntryKind {
        self.entry().kind()
    }

    /// Its entry in the layer that it shows from.
    pub fn entry(&self) -> Entry<'t> {
        self.tree.entry(self.record().layer, self.record().entry)
    }

    /// The position of that layer, from 0 for the lowest.
    pub fn layer_index(&self) -> usize {
        usize::from(self.record().layer)
    }

    /// That layer.
    pub fn layer(&self) -> &'t Arc<OpenLayer> {
        &self.tree.layers[self.layer_index()]
    }

    /// The entry that has its content, mode, owner, times and attributes, and the layer that entry is of: its own, or for a hard
    /// link that of the file it is another name of.
    ///
    /// # Errors
    /// [`Error::BrokenHardlink`].
    pub fn content(&self) -> Result<(&'t Arc<OpenLayer>, Entry<'t>), Error> {
        let record = self.record();
        if record.content_layer == NOWHERE {
            let entry = self.entry();
            let target = quoted(entry.link_target().unwrap_or_default());
            return Err(Error::BrokenHardlink { path: quoted(entry.path()), target });
        }
        let layer = &self.tree.layers[usize::from(record.content_layer)];
        Ok((layer, self.tree.entry(record.content_layer, record.content)))
    }

    /// What lies in it, at any depth, in path order; nothing for what is not a directory.
    pub fn descendants(&self) -> impl Iterator<Item = Node<'t>> + use<'t> {
        let tree = self.tree;
        (self.index + 1..tree.end_of(self.index)).map(move |index| Node { tree, index })
    }

    /// What lies directly in it, in the order of names.
    pub fn children(&self) -> impl Iterator<Item = Node<'t>> + use<'t> {
        let tree = self.tree;
        let end = tree.end_of(self.index);
        let first = (self.index + 1 < end).then_some(self.index + 1);
        let next = move |index: &usize| Some(tree.end_of(*index)).filter(|next| *next < end);
        std::iter::successors(first, next).map(move |index| Node { tree, index })
    }
}

impl fmt::Debug for Node<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Node").field("path", &self.path()).field("kind", &self.kind()).finish_non_exhaustive()
    }
}
