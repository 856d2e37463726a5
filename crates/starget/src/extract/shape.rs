//! What a selection becomes on disk: directories, files, hard links and other things, each with its place.
//!
//! Must not write anything. Invariants: the first name of a file has its content, the others are links to it; what lies in
//! a directory comes after it.

use std::collections::{HashMap, HashSet};

use estargz::{DeviceNumber, EntryId, EntryKind, Node};

use super::attributes::Attributes;
use crate::error::StargetError;
use crate::fetch::Job;
use crate::layers::Layers;

/// Something that has no content to fetch.
#[derive(Clone, Debug)]
pub(crate) enum Special {
    /// A symbolic link with this text.
    Symlink(String),
    /// Another name of the file at this path.
    Hardlink(String),
    /// A named pipe.
    Fifo,
    /// A character device.
    Character(DeviceNumber),
    /// A block device.
    Block(DeviceNumber),
}

/// All of it.
#[derive(Default)]
pub(crate) struct Shape {
    /// With the directories above what was selected.
    pub(crate) directories: Vec<(String, Attributes)>,
    pub(crate) jobs: Vec<Job>,
    pub(crate) special: Vec<(String, Special, Attributes)>,
    /// What cannot be made, with the reason.
    pub(crate) failed: Vec<(String, StargetError)>,
    /// Where in `jobs` the content of an entry is that has several names.
    first_names: HashMap<(usize, EntryId), usize>,
    /// Those entries.
    shared: HashSet<(usize, EntryId)>,
}

impl Shape {
    /// The shape of these nodes, which are in path order.
    pub(crate) fn of(layers: &Layers, nodes: &[Node<'_>]) -> Self {
        let mut shape = Self { shared: shared(layers, nodes), ..Self::default() };
        if let Some(first) = nodes.first() {
            shape.add_ancestors(layers, first.path());
        }
        let mut above = String::new();
        for node in nodes {
            let path = node.path();
            let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
            if parent != above {
                shape.add_ancestors(layers, path);
                parent.clone_into(&mut above);
            }
            shape.add(layers, *node, path);
        }
        shape.directories.sort_by(|(one, _), (other, _)| one.cmp(other));
        shape.directories.dedup_by(|(one, _), (other, _)| one == other);
        shape
    }

    /// With the attributes of the image's root for the folder itself.
    pub(crate) fn with_root(mut self, layers: &Layers) -> Self {
        let root = layers.tree.get("").map(|root| (String::new(), Attributes::of(root.entry())));
        self.directories.splice(0..0, root);
        self
    }

    /// One node under a name of the caller's.
    pub(crate) fn of_one(layers: &Layers, node: Node<'_>, name: &str) -> Self {
        let mut shape = Self::default();
        shape.add(layers, node, name);
        shape
    }

    fn add_ancestors(&mut self, layers: &Layers, path: &str) {
        for (at, _) in path.match_indices('/') {
            if let Some(node) = layers.tree.get(&path[..at]) {
                self.directories.push((path[..at].to_owned(), Attributes::of(node.entry())));
            }
        }
    }

    fn add(&mut self, layers: &Layers, node: Node<'_>, path: &str) {
        let entry = node.entry();
        let special = match node.kind() {
            EntryKind::Directory => return self.directories.push((path.to_owned(), Attributes::of(entry))),
            EntryKind::File | EntryKind::Hardlink => return self.add_content(layers, node, path),
            EntryKind::Symlink => Special::Symlink(entry.link_target().unwrap_or_default().to_owned()),
            EntryKind::Fifo => Special::Fifo,
            EntryKind::CharDevice => Special::Character(device(node)),
            EntryKind::BlockDevice => Special::Block(device(node)),
        };
        self.special.push((path.to_owned(), special, Attributes::of(entry)));
    }

    /// A file, or another name of one; a hard link may also be to a link or device.
    fn add_content(&mut self, layers: &Layers, node: Node<'_>, path: &str) {
        let (layer, entry) = match node.content() {
            Ok(found) => found,
            Err(source) => {
                let layer = Box::new(node.layer().digest());
                return self.failed.push((path.to_owned(), StargetError::Layer { layer, source: Box::new(source) }));
            }
        };
        let index = layers.index_of(layer);
        let special = match entry.kind() {
            EntryKind::File | EntryKind::Directory | EntryKind::Hardlink => None,
            EntryKind::Symlink => Some(Special::Symlink(entry.link_target().unwrap_or_default().to_owned())),
            EntryKind::Fifo => Some(Special::Fifo),
            EntryKind::CharDevice => entry.device().map(Special::Character),
            EntryKind::BlockDevice => entry.device().map(Special::Block),
        };
        if let Some(special) = special {
            return self.special.push((path.to_owned(), special, Attributes::of(entry)));
        }
        let key = (index, entry.id());
        if let Some(first) = self.first_names.get(&key) {
            let first = self.jobs[*first].path().to_owned();
            return self.special.push((path.to_owned(), Special::Hardlink(first), Attributes::of(entry)));
        }
        match Job::of(path, layer, index, entry) {
            Ok(job) => {
                if self.shared.contains(&key) {
                    self.first_names.insert(key, self.jobs.len());
                }
                self.jobs.push(job);
            }
            Err(error) => self.failed.push((path.to_owned(), error)),
        }
    }
}

/// What hard links stand for: only these files have more than one name.
fn shared(layers: &Layers, nodes: &[Node<'_>]) -> HashSet<(usize, EntryId)> {
    let links = nodes.iter().filter(|node| node.kind() == EntryKind::Hardlink);
    links.filter_map(|node| node.content().ok()).map(|(layer, entry)| (layers.index_of(layer), entry.id())).collect()
}

fn device(node: Node<'_>) -> DeviceNumber {
    node.entry().device().unwrap_or(DeviceNumber { major: 0, minor: 0 })
}
