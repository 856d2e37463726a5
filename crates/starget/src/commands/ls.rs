//! `starget ls`: what is in an image.
//!
//! Must not know layers. Invariants: the order is that of paths; in a pipe, with `-0` and in JSON names are exact.

mod long;
mod tree;

use estargz::{EntryKind, Node};
use oci::Digest;

use crate::error::StargetError;
use crate::image::Target;
use crate::layers::Layers;
use crate::output::Output;
use crate::select::{LastLink, Selection};
use crate::session::Session;
pub(super) use long::{Listed, mode_text};

const EXAMPLES: &str = "\
Examples:
  starget ls ghcr.io/org/app:1.2-esgz
  starget ls -l ghcr.io/org/app:1.2-esgz usr/bin/
  starget ls ghcr.io/org/app:1.2-esgz '**/*.so'
  starget ls ghcr.io/org/app:1.2-esgz sha256:6c3c62… etc/";

/// What is typed after `starget ls`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct LsArgs {
    /// The image
    image: String,
    /// A layer's digest to list that layer alone, and a path or pattern: `bin/`, `etc/passwd`, `**/*.so`
    #[arg(value_name = "[BLOB] [PATTERN]")]
    words: Vec<String>,
    /// Show modes, owners, sizes and times
    #[arg(short = 'l', long)]
    long: bool,
    /// End each path with a NUL instead of a line end
    #[arg(short = '0', long = "null", conflicts_with_all = ["long", "tree"])]
    null: bool,
    /// Draw a tree
    #[arg(long, conflicts_with = "long")]
    tree: bool,
}

/// Runs the command.
pub(crate) async fn run(session: &Session, args: &LsArgs) -> Result<(), StargetError> {
    let (only, pattern) = target(&args.words)?;
    let layers = Layers::open(session, &args.image, only.as_ref()).await?;
    let selection = Selection::of(&layers.tree, &args.image, &pattern, LastLink::Shown)?;
    let nodes = selection.nodes(&layers.tree);
    let mut output = Output::open();
    let written = tokio::task::block_in_place(|| write(&mut output, session, args, &nodes));
    written?;
    output.finish()?;
    session.say_stats(layers.whole);
    Ok(())
}

/// `[BLOB] [PATTERN]`.
pub(super) fn target(words: &[String]) -> Result<(Option<Digest>, String), StargetError> {
    let target = Target::read(words).map_err(StargetError::Usage)?;
    match &target.words[..] {
        [] => Ok((target.layer, ".".to_owned())),
        [pattern] => Ok((target.layer, pattern.clone())),
        [_, extra, ..] => Err(StargetError::Usage(format!("'{extra}' is one word too many; quote patterns"))),
    }
}

fn write(output: &mut Output, session: &Session, args: &LsArgs, nodes: &[Node<'_>]) -> Result<(), StargetError> {
    if session.settings.json {
        return nodes.iter().try_for_each(|node| output.json(&Listed::of(*node)));
    }
    if args.tree {
        return tree::draw(output, nodes);
    }
    let widths = args.long.then(|| long::Widths::of(nodes));
    for node in nodes {
        match (&widths, args.null) {
            (Some(widths), _) => output.line(&long::line(*node, widths))?,
            (None, true) => output.bytes(&[name(*node).as_bytes(), b"\0"].concat())?,
            (None, false) => output.line(&name(*node))?,
        }
    }
    Ok(())
}

/// The path; a directory's ends with a slash.
fn name(node: Node<'_>) -> String {
    let slash = if node.kind() == EntryKind::Directory { "/" } else { "" };
    format!("{}{slash}", node.path())
}
