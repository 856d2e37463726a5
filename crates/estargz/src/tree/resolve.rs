//! Finding what a path means inside of the image, through its symbolic links.
//!
//! Must not know the file system of this machine. Invariant: no path leads out of the tree (`..` at the root stays there, absolute links start at
//! the image's root), and a loop ends after [`MAX_LINKS`] links.

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

impl ImageTree {
    /// What `path` means, however it is spelled: `/bin/sh`, `./usr/../bin/`, `""`.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotADirectory`], [`Error::SymlinkLoop`].
    pub fn resolve(&self, path: &str, follow: FollowLast) -> Result<Node<'_>, Error> {
        let asked = || quoted(path);
        // Components still to go, the next one last.
        let mut ahead: Vec<&str> = components(path).collect();
        let mut node = self.get("").ok_or_else(|| Error::NotFound { path: asked() })?;
        let mut links = 0;
        while let Some(component) = ahead.pop() {
            let (parent, current) = (node, node.path());
            if parent.kind() != EntryKind::Directory {
                return Err(Error::NotADirectory { path: quoted(current) });
            }
            let step = match component {
                ".." => current.rsplit_once('/').map_or("", |(parent, _)| parent).to_owned(),
                name if current.is_empty() => name.to_owned(),
                name => format!("{current}/{name}"),
            };
            node = self.get(&step).ok_or_else(|| Error::NotFound { path: asked() })?;
            let Some(target) = link_target(node).filter(|_| follow == FollowLast::Yes || !ahead.is_empty()) else {
                continue;
            };
            links += 1;
            if links > MAX_LINKS || target.len() > MAX_PATH {
                return Err(Error::SymlinkLoop { path: asked() });
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
