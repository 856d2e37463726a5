//! Names that mean something in a layer: whiteouts and landmarks.
//!
//! Must not know other layers. Invariant: what is special is decided by the path alone, as every reader of layers does.

use crate::entry::EntryKind;
use crate::toc::Toc;

const WHITEOUT: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";
/// Names that AUFS keeps for itself; they are never content.
const RESERVED: &str = ".wh..wh.";
const PREFETCH: &str = ".prefetch.landmark";
const NO_PREFETCH: &str = ".no.prefetch.landmark";

/// What an entry of a layer removes from the layers below (image-spec "Whiteouts").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whiteout<'p> {
    /// The entry `name` in `directory`, with all that lies in it.
    Entry {
        /// The directory's path.
        directory: &'p str,
        /// The name of what is removed.
        name: &'p str,
    },
    /// All that lies in `directory`.
    Opaque {
        /// The directory's path.
        directory: &'p str,
    },
    /// A name that is reserved and removes nothing.
    Reserved,
}

impl<'p> Whiteout<'p> {
    pub(crate) fn read(path: &'p str) -> Option<Self> {
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        if name == OPAQUE {
            return Some(Self::Opaque { directory });
        }
        if name.starts_with(RESERVED) {
            return Some(Self::Reserved);
        }
        let name = name.strip_prefix(WHITEOUT)?;
        // `.wh.`, `.wh..` and `.wh...` would name the directory itself, itself again, and its parent.
        Some(if matches!(name, "" | "." | "..") { Self::Reserved } else { Self::Entry { directory, name } })
    }
}

/// Whether a path never shows in an image: a whiteout, or a landmark at the root, or something below one of them.
pub(crate) fn is_hidden(path: &str) -> bool {
    let first = path.split_once('/').map_or(path, |(first, _)| first);
    matches!(first, PREFETCH | NO_PREFETCH) || path.starts_with(WHITEOUT) || path.contains("/.wh.")
}

impl Toc {
    /// Whether the layer takes away what the layers below have at `path`, without having it itself: by a whiteout of it or of a
    /// directory above, an opaque directory above, or something else where a directory above would be.
    pub(crate) fn hides(&self, path: &str) -> bool {
        let removed = |path: &str| {
            let (directory, name) = path.rsplit_once('/').map_or(("", path), |(directory, name)| (directory, name));
            let marker = below(directory, &format!("{WHITEOUT}{name}"));
            matches!(Whiteout::read(&marker), Some(Whiteout::Entry { .. })) && self.get(&marker).is_some()
        };
        let above = path.rmatch_indices('/').map(|(at, _)| &path[..at]);
        let is_cut = |above: &str| {
            let other = self.get(above).is_some_and(|entry| entry.kind() != EntryKind::Directory);
            other || removed(above) || self.get(&below(above, OPAQUE)).is_some()
        };
        !path.is_empty() && (removed(path) || self.get(OPAQUE).is_some() || above.into_iter().any(is_cut))
    }
}

fn below(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}

/// What a layer says about being fetched ahead (estargz.md "Prioritized Files and Landmark Files").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Landmark {
    /// `.prefetch.landmark`: files before this offset of the blob are wanted first.
    Prefetch {
        /// The offset of the landmark in the blob.
        end: u64,
    },
    /// `.no.prefetch.landmark`: nothing is to be fetched ahead.
    NoPrefetch,
}

impl Landmark {
    pub(crate) fn of(toc: &Toc) -> Option<Self> {
        if let Some(landmark) = toc.get(PREFETCH) {
            let end = toc.chunks(landmark.record()).first()?.offset;
            return Some(Self::Prefetch { end });
        }
        toc.get(NO_PREFETCH).map(|_| Self::NoPrefetch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whiteouts_are_read_from_names() {
        assert_eq!(Whiteout::read("a/.wh.b"), Some(Whiteout::Entry { directory: "a", name: "b" }));
        assert_eq!(Whiteout::read(".wh.b"), Some(Whiteout::Entry { directory: "", name: "b" }));
        assert_eq!(Whiteout::read("a/.wh..wh..opq"), Some(Whiteout::Opaque { directory: "a" }));
        assert_eq!(Whiteout::read(".wh..wh.plnk"), Some(Whiteout::Reserved));
        assert_eq!(Whiteout::read(".wh..."), Some(Whiteout::Reserved));
        assert_eq!(Whiteout::read("wh.b"), None);
        for hidden in [".prefetch.landmark", ".no.prefetch.landmark/x", ".wh.a", "a/.wh.b", ".wh./a", "a/.wh.b/c/d"] {
            assert!(is_hidden(hidden), "{hidden}");
        }
        for shown in ["a/.prefetch.landmark", ".prefetch.landmark2", "", "wh.a", "a/b.wh.c"] {
            assert!(!is_hidden(shown), "{shown}");
        }
    }
}
