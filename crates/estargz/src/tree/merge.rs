//! Applying one layer to the tree of those below it (image-spec "Applying Changesets").
//!
//! Must not know blobs. Invariant: both lists are in path order before and after. Whiteouts of a layer remove only what layers below
//! brought; what the layer itself has is there after it, wherever its whiteouts stand in the list.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashMap;

use crate::entry::{Entry, EntryId, EntryKind};
use crate::toc::{Toc, Whiteout, compare_paths, is_below, is_hidden};
use crate::tree::{ImageTree, NOWHERE, NodeRecord};

/// What a layer removes from those below it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// The path and all below it.
    Whole,
    /// All below the path.
    Content,
}

impl ImageTree {
    /// Puts the layer with this position on top.
    pub(super) fn apply(&mut self, layer: u16) {
        let toc = self.layers[usize::from(layer)].toc();
        let cuts = cuts(toc);
        let mut merged = Vec::with_capacity(self.nodes.len() + toc.entries().len());
        let mut upper = toc.entries().filter(|entry| !is_hidden(entry.path())).peekable();
        // The lower node whose content is cut away.
        let mut cut: Option<&str> = None;
        for &node in &self.nodes {
            let path = self.path(node);
            while let Some(entry) = upper.next_if(|entry| compare_paths(entry.path(), path).is_lt()) {
                merged.push(self.upper_node(layer, entry));
            }
            if cut.is_some_and(|cut| is_below(path, cut)) {
                continue;
            }
            let own_cut = cuts.get(path).copied();
            if own_cut.is_some() {
                cut = Some(path);
            }
            let entry = upper.next_if(|entry| compare_paths(entry.path(), path) == Ordering::Equal);
            let lower_kind = self.entry(node.layer, node.entry).kind();
            match entry {
                // Only implied: the directory below has the attributes.
                Some(entry)
                    if entry.is_implied() && lower_kind == EntryKind::Directory && own_cut != Some(Cut::Whole) =>
                {
                    merged.push(node);
                }
                Some(entry) => {
                    if entry.kind() != EntryKind::Directory {
                        cut = Some(path);
                    }
                    merged.push(self.upper_node(layer, entry));
                }
                None if own_cut == Some(Cut::Whole) => {}
                None => merged.push(node),
            }
        }
        merged.extend(upper.map(|entry| self.upper_node(layer, entry)));
        merged.shrink_to_fit();
        self.nodes = merged;
    }

    fn upper_node(&self, layer: u16, entry: Entry<'_>) -> NodeRecord {
        let (content_layer, content) = self.content_of(layer, entry).unwrap_or((NOWHERE, entry.id()));
        NodeRecord { entry: entry.id(), content, layer, content_layer }
    }

    /// Where the content of an entry of this layer is: for a hard link whose target the layer does not have, below.
    fn content_of(&self, layer: u16, entry: Entry<'_>) -> Option<(u16, EntryId)> {
        let toc = self.layers[usize::from(layer)].toc();
        match toc.hardlink_end(entry)? {
            Ok(end) => Some((layer, end.id())),
            Err(missing) => {
                let node = self.nodes[self.find(missing)?];
                let is_directory = self.entry(node.layer, node.entry).kind() == EntryKind::Directory;
                (!is_directory && node.content_layer != NOWHERE).then_some((node.content_layer, node.content))
            }
        }
    }
}

fn cuts(toc: &Toc) -> HashMap<Cow<'_, str>, Cut> {
    let mut cuts = HashMap::new();
    for whiteout in toc.entries().filter_map(|entry| entry.whiteout()) {
        match whiteout {
            Whiteout::Entry { directory: "", name } => {
                cuts.insert(Cow::Borrowed(name), Cut::Whole);
            }
            Whiteout::Entry { directory, name } => {
                cuts.insert(Cow::Owned(format!("{directory}/{name}")), Cut::Whole);
            }
            Whiteout::Opaque { directory } => {
                cuts.entry(Cow::Borrowed(directory)).or_insert(Cut::Content);
            }
            Whiteout::Reserved => {}
        }
    }
    cuts
}
