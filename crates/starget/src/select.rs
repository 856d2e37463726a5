//! Which paths of an image are meant: a path, a directory, a glob, or everything.
//!
//! Must not know what is done with them. Invariants: a path that is there as it is written is never read as a glob; links on
//! the way are followed inside the image and nowhere else; what comes out is in path order.

use estargz::{EntryKind, FollowLast, ImageTree, Node};
use globset::GlobBuilder;

use crate::error::StargetError;

/// What was asked for.
pub(crate) enum Selection<'t> {
    /// The whole image.
    Everything,
    /// One thing that is not a directory.
    One(Node<'t>),
    /// A directory with what lies in it.
    Directory(Node<'t>),
    /// Whatever a glob matches.
    Matches(Vec<Node<'t>>),
}

/// What a link at the end of a plain path stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LastLink {
    /// What it points to.
    Followed,
    /// Itself.
    Shown,
}

impl LastLink {
    /// In the terms of a tree.
    pub(crate) fn follow(self) -> FollowLast {
        match self {
            Self::Followed => FollowLast::Yes,
            Self::Shown => FollowLast::No,
        }
    }
}

/// Whether a pattern can only mean one path: no glob, no directory by its spelling, not everything.
pub(crate) fn is_plain_path(pattern: &str) -> bool {
    !means_everything(pattern) && !pattern.ends_with('/') && !may_be_glob(pattern)
}

fn means_everything(pattern: &str) -> bool {
    matches!(pattern, "" | "." | "./" | "/" | "*")
}

fn may_be_glob(pattern: &str) -> bool {
    pattern.contains(['*', '?', '[', '{'])
}

impl<'t> Selection<'t> {
    /// Reads a pattern: `.`, `/` and `*` are everything, `bin/` and `bin` a directory, `bin/echo` a file, `**/*.so` a glob.
    pub(crate) fn of(tree: &'t ImageTree, image: &str, pattern: &str, last: LastLink) -> Result<Self, StargetError> {
        if means_everything(pattern) {
            return Ok(Self::Everything);
        }
        let follow = if pattern.ends_with('/') { FollowLast::Yes } else { last.follow() };
        let missing = match tree.resolve(pattern, follow) {
            Ok(node) if node.path().is_empty() => return Ok(Self::Everything),
            Ok(node) if node.kind() == EntryKind::Directory => return Ok(Self::Directory(node)),
            Ok(node) if pattern.ends_with('/') => {
                let path = node.path().to_owned();
                Some(Box::new(estargz::Error::NotADirectory { path }))
            }
            Ok(node) => return Ok(Self::One(node)),
            // That nothing is there is what the error says anyway.
            Err(estargz::Error::NotFound { .. }) => None,
            Err(error) => Some(Box::new(error)),
        };
        let nothing = |source| StargetError::NoPath { image: image.to_owned(), path: pattern.to_owned(), source };
        if !may_be_glob(pattern) {
            return Err(nothing(missing));
        }
        let found = matches(tree, pattern)?;
        if found.is_empty() { Err(nothing(None)) } else { Ok(Self::Matches(found)) }
    }

    /// The nodes themselves: a directory is given with what lies in it, a match of a glob alone.
    pub(crate) fn nodes(&self, tree: &'t ImageTree) -> Vec<Node<'t>> {
        match self {
            // The root is there whatever the image holds, and is nothing to list.
            Self::Everything => tree.walk().filter(|node| !node.path().is_empty()).collect(),
            Self::One(node) => vec![*node],
            Self::Directory(node) => std::iter::once(*node).chain(node.descendants()).collect(),
            Self::Matches(nodes) => nodes.clone(),
        }
    }

    /// The nodes with everything that lies in those that are directories.
    pub(crate) fn with_content(&self, tree: &'t ImageTree) -> Vec<Node<'t>> {
        let Self::Matches(matches) = self else { return self.nodes(tree) };
        let mut nodes: Vec<Node<'t>> = Vec::new();
        let mut below: Option<&'t str> = None;
        for node in matches {
            // In path order a directory comes before what lies in it, which then is there already.
            if below.is_some_and(|directory| is_below(node.path(), directory)) {
                continue;
            }
            nodes.push(*node);
            nodes.extend(node.descendants());
            below = (node.kind() == EntryKind::Directory).then(|| node.path());
        }
        nodes
    }
}

fn is_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

/// All nodes whose path the glob matches; `*` stays within a directory, `**` does not.
fn matches<'t>(tree: &'t ImageTree, pattern: &str) -> Result<Vec<Node<'t>>, StargetError> {
    let trimmed = pattern.trim_start_matches("./").trim_start_matches('/');
    let (trimmed, only_directories) = match trimmed.strip_suffix('/') {
        Some(rest) => (rest, true),
        None => (trimmed, false),
    };
    let glob = GlobBuilder::new(trimmed)
        .literal_separator(true)
        .build()
        .map_err(|error| StargetError::Usage(format!("the pattern '{pattern}' cannot be read: {error}")))?
        .compile_matcher();
    let fits = |node: &Node<'_>| {
        let wanted = !only_directories || node.kind() == EntryKind::Directory;
        wanted && !node.path().is_empty() && glob.is_match(node.path())
    };
    Ok(tree.walk().filter(fits).collect())
}
