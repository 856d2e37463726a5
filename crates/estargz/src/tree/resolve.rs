//! Finding what a path means inside of the image, through its symbolic links.
//!
//! Must not know the file system of this machine. Invariants: no path leads out of the tree (`..` at the root stays there, absolute links start at
//! the image's root), and a loop ends after [`MAX_LINKS`] links; an answer from the upper layers alone is that of all layers.

use crate::entry::EntryKind;
use crate::error::{Error, quoted};
use crate::limits::{MAX_LINKS, MAX_PATH};
use crate::tree::{ImageTree, Node};

/// Whether a symbolic link at the end of a path is followed. Links on the way always are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowLast {
    /// The answer is what the link points to.
    Yes,
    /// The answer is the link.
    No,
}

/// What the upper layers of an image say of a path, when those below are not known.
#[derive(Debug)]
pub enum Settled<'t> {
    /// It is this, whatever is below; never a directory.
    Node(Node<'t>),
    /// It leads nowhere, whatever is below.
    Nowhere(Error),
    /// It is a directory: what else lies in it, and its attributes, may come from below.
    Directory,
    /// A layer below decides what this path is, the first for which [`crate::OpenLayer::decides`] says yes.
    Below(String),
}

/// Why a walk stops before its end.
enum Stop {
    Error(Error),
    Below(String),
}

impl ImageTree {
    /// What `path` means, however it is spelled: `/bin/sh`, `./usr/../bin/`, `""`.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotADirectory`], [`Error::SymlinkLoop`].
    pub fn resolve(&self, path: &str, follow: FollowLast) -> Result<Node<'_>, Error> {
        self.follow(path, follow, |_| None).map_err(|stop| match stop {
            Stop::Error(error) => error,
            Stop::Below(_) => Error::NotFound { path: quoted(path) },
        })
    }

    /// What `path` means, when the layers of this tree are only the upper ones of an image: what they say for certain.
    pub fn resolve_from_above(&self, path: &str, follow: FollowLast) -> Settled<'_> {
        let below = |step: &str| (!self.layers.iter().any(|layer| layer.hides(step))).then(|| step.to_owned());
        match self.follow(path, follow, below) {
            Ok(node) if node.kind() == EntryKind::Directory => Settled::Directory,
            // What a hard link stands for may be below.
            Ok(node) if node.content().is_err() => Settled::Below(String::new()),
            Ok(node) => Settled::Node(node),
            Err(Stop::Error(error)) => Settled::Nowhere(error),
            Err(Stop::Below(step)) => Settled::Below(step),
        }
    }

    /// Walks; `below` tells of a path that is not here whether it may be in a layer that is not known.
    fn follow(&self, path: &str, follow: FollowLast, below: impl Fn(&str) -> Option<String>) -> Result<Node<'_>, Stop> {
        let missing = || Stop::Error(Error::NotFound { path: quoted(path) });
        // Components still to go, the next one last.
        let mut ahead: Vec<&str> = components(path).collect();
        let mut node = self.get("").ok_or_else(missing)?;
        let mut links = 0;
        while let Some(component) = ahead.pop() {
            let (parent, current) = (node, node.path());
            if parent.kind() == EntryKind::Hardlink && parent.content().is_err() && below("").is_some() {
                return Err(Stop::Below(String::new()));
            }
            if parent.kind() != EntryKind::Directory {
                return Err(Stop::Error(Error::NotADirectory { path: quoted(current) }));
            }
            let step = match component {
                ".." => current.rsplit_once('/').map_or("", |(parent, _)| parent).to_owned(),
                name if current.is_empty() => name.to_owned(),
                name => format!("{current}/{name}"),
            };
            node = self.get(&step).ok_or_else(|| below(&step).map_or_else(missing, Stop::Below))?;
            let Some(target) = link_target(node).filter(|_| follow == FollowLast::Yes || !ahead.is_empty()) else {
                continue;
            };
            links += 1;
            if links > MAX_LINKS || target.len() > MAX_PATH {
                return Err(Stop::Error(Error::SymlinkLoop { path: quoted(path) }));
            }
            ahead.extend(components(target));
            node = if target.starts_with('/') { self.get("").unwrap_or(parent) } else { parent };
        }
        Ok(node)
    }
}

/// The components of a path, the first one last.
fn components(path: &str) -> impl Iterator<Item = &str> {
    path.rsplit('/').filter(|component| !matches!(*component, "" | "."))
}

/// The text of a symbolic link, also through a hard link to one.
fn link_target(node: Node<'_>) -> Option<&str> {
    let (_, entry) = node.content().ok()?;
    entry.link_target().filter(|_| entry.kind() == EntryKind::Symlink)
}
