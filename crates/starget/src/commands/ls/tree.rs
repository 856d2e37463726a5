//! Entries drawn as a tree.
//!
//! Must not know more than paths. Invariant: each entry is one line, below the directory it is in.

use estargz::{EntryKind, Node};

use crate::error::StargetError;
use crate::output::Output;

/// Draws entries that are in path order. Directories that are not among them are left out, what is in them is not.
pub(super) fn draw(output: &mut Output, nodes: &[Node<'_>]) -> Result<(), StargetError> {
    let levels = levels(nodes);
    // For each level, whether more comes on it: found from the end.
    let mut lasts = vec![false; nodes.len()];
    let mut more = Vec::new();
    for (at, level) in levels.iter().enumerate().rev() {
        more.truncate(level + 1);
        more.resize(level + 1, false);
        lasts[at] = !more[*level];
        more[*level] = true;
    }
    let mut open: Vec<bool> = Vec::new();
    for (at, node) in nodes.iter().enumerate() {
        let level = levels[at];
        open.truncate(level);
        let bars: String = open.iter().map(|last| if *last { "    " } else { "│   " }).collect();
        let corner = if lasts[at] { "└── " } else { "├── " };
        open.push(lasts[at]);
        let shown = if level == 0 { node.path() } else { node.name() };
        let end = match (node.kind(), node.entry().link_target()) {
            (EntryKind::Directory, _) => "/".to_owned(),
            (EntryKind::Symlink, Some(target)) => format!(" -> {target}"),
            (_, _) => String::new(),
        };
        output.line(&format!("{bars}{corner}{shown}{end}"))?;
    }
    Ok(())
}

/// How deep each entry is below those that are there.
fn levels<'t>(nodes: &[Node<'t>]) -> Vec<usize> {
    let mut above: Vec<&'t str> = Vec::new();
    let mut levels = Vec::with_capacity(nodes.len());
    for node in nodes {
        let path = node.path();
        let below = |directory: &str| path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'));
        while above.last().is_some_and(|directory| !below(directory)) {
            above.pop();
        }
        levels.push(above.len());
        above.push(path);
    }
    levels
}
