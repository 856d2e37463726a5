//! `starget stat`: all that is known of files, and where their bytes are.
//!
//! Must not fetch content. Invariant: no link is followed at the end of a path, so that links can be looked at.

use estargz::{EntryKind, Node};
use serde::Serialize;

use super::ls::{Listed, mode_text};
use crate::error::StargetError;
use crate::image::Target;
use crate::layers::Layers;
use crate::output::{Output, human_bytes};
use crate::select::{LastLink, Selection};
use crate::session::Session;

const EXAMPLES: &str = "\
Examples:
  starget stat ghcr.io/org/app:1.2-esgz usr/bin/env
  starget stat --json ghcr.io/org/app:1.2-esgz etc/passwd";

/// What is typed after `starget stat`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct StatArgs {
    /// The image
    image: String,
    /// A layer's digest to look at that layer alone, and paths or patterns
    #[arg(value_name = "[BLOB] PATH...", required = true)]
    words: Vec<String>,
}

#[derive(Serialize)]
struct Facts {
    #[serde(flatten)]
    listed: Listed,
    /// Where the content is, in order.
    chunks: Vec<ChunkFacts>,
    xattrs: Vec<String>,
}

#[derive(Serialize)]
struct ChunkFacts {
    file_offset: u64,
    size: u64,
    /// In the layer's blob; none for a hole.
    range: Option<[u64; 2]>,
    digest: Option<String>,
}

/// Runs the command.
pub(crate) async fn run(session: &Session, args: &StatArgs) -> Result<(), StargetError> {
    let target = Target::read(&args.words).map_err(StargetError::Usage)?;
    if target.words.is_empty() {
        return Err(StargetError::Usage("a path is missing".to_owned()));
    }
    let paths: Vec<&str> = target.words.iter().map(String::as_str).collect();
    let layers = Layers::open_for(session, &args.image, target.layer.as_ref(), (&paths, LastLink::Shown)).await?;
    let mut output = Output::open();
    for pattern in &target.words {
        let selection = Selection::of(&layers.tree, &args.image, pattern, LastLink::Shown)?;
        let nodes = match selection {
            Selection::Everything => layers.tree.get("").into_iter().collect(),
            Selection::One(node) | Selection::Directory(node) => vec![node],
            Selection::Matches(nodes) => nodes,
        };
        for node in nodes {
            let facts = facts(node)?;
            if session.settings.json {
                output.json(&facts)?;
            } else {
                lines(&mut output, node, &facts)?;
            }
        }
    }
    output.finish()?;
    session.say_stats(layers.whole);
    Ok(())
}

fn facts(node: Node<'_>) -> Result<Facts, StargetError> {
    let broken = |source| StargetError::Layer { layer: Box::new(node.layer().digest()), source: Box::new(source) };
    let chunks = match node.content() {
        Ok((layer, entry)) if entry.kind() == EntryKind::File => layer.plan(entry).map_err(broken)?,
        Ok(_) | Err(_) => Vec::new(),
    };
    let chunks = chunks.iter().map(|chunk| ChunkFacts {
        file_offset: chunk.file_offset,
        size: chunk.size,
        range: chunk.range().map(|range| [range.start, range.end]),
        digest: chunk.digest.map(|digest| digest.to_string()),
    });
    let xattrs = node.entry().xattrs().map(|(name, _)| name.to_owned()).collect();
    Ok(Facts { listed: Listed::of(node), chunks: chunks.collect(), xattrs })
}

fn lines(output: &mut Output, node: Node<'_>, facts: &Facts) -> Result<(), StargetError> {
    let Listed { path, kind, size, mode, uid, gid, user, group, modified, link, device, digest, layer } = &facts.listed;
    let compressed: u64 = facts.chunks.iter().filter_map(|chunk| chunk.range).map(|[start, end]| end - start).sum();
    let bits = u16::from_str_radix(mode, 8).unwrap_or_default();
    let mut lines = vec![
        format!("  path: /{path}"),
        format!("  type: {kind}"),
        format!("  size: {size} ({}), {compressed} in the layer", human_bytes(*size)),
        format!("  mode: {mode} ({})", mode_text(node.kind(), bits)),
        format!(" owner: {uid} {}", user.as_deref().unwrap_or_default()),
        format!(" group: {gid} {}", group.as_deref().unwrap_or_default()),
        format!("  time: {}", modified.as_deref().unwrap_or("unknown")),
        format!(" layer: {layer}"),
    ];
    lines.extend(link.iter().map(|link| format!("  link: {link}")));
    lines.extend(device.iter().map(|device| format!("device: {device}")));
    lines.extend(digest.iter().map(|digest| format!("digest: {digest}")));
    lines.extend(facts.xattrs.iter().map(|name| format!(" xattr: {name}")));
    for chunk in &facts.chunks {
        let place =
            chunk.range.map_or_else(|| "hole".to_owned(), |[start, end]| format!("layer bytes {start}-{}", end - 1));
        lines.push(format!(" chunk: {}+{} {place}", chunk.file_offset, chunk.size));
    }
    lines.iter().try_for_each(|line| output.line(line.trim_end()))
}
