//! Opens only the upper layers of an image, as far down as it takes to know what some paths are.
//!
//! One layer after the other, which costs round trips and saves the tables of all layers that have no say. Must not know what the
//! paths are for. Invariant: for these paths a tree of what is opened answers as one of all layers.

use std::sync::Arc;

use estargz::{ImageTree, OpenLayer, Settled};

use super::{OpenAt, open_whole};
use crate::error::StargetError;
use crate::image::{Image, Layer};
use crate::registry::Registry;
use crate::select::LastLink;
use crate::settings::Settings;

/// A path, and the one on its way that a lower layer decides.
type Waiting<'p> = (&'p str, String);

/// What the layers that are open say.
enum Answer<'p> {
    /// What all paths are.
    Settled,
    /// That lower layers decide these.
    Waiting(Vec<Waiting<'p>>),
    /// That a path is a directory, which all layers add to.
    Directory,
}

/// Opens as many of the layers as are needed, the lowest first.
pub(super) async fn open(
    registry: &Registry,
    image: &Image,
    layers: &[Layer],
    settings: &Arc<Settings>,
    (paths, last): (&[&str], LastLink),
) -> Result<Vec<OpenAt>, StargetError> {
    // The top one first.
    let mut open: Vec<OpenAt> = Vec::new();
    let mut waiting: Vec<Waiting<'_>> = paths.iter().map(|path| (*path, String::new())).collect();
    for at in (0..layers.len()).rev() {
        open.extend(open_whole(registry, image, &layers[at..=at], settings).await?);
        let Some((newest, _)) = open.last() else { continue };
        if !waiting.iter().any(|(_, step)| newest.decides(step)) {
            continue;
        }
        let upper: Vec<_> = open.iter().rev().map(|(layer, _)| layer.clone()).collect();
        waiting = match tokio::task::block_in_place(|| ask(upper, waiting, last))
            .map_err(|source| StargetError::Layer { layer: Box::new(image.digest), source: Box::new(source) })?
        {
            Answer::Settled => break,
            Answer::Waiting(waiting) => waiting,
            Answer::Directory => {
                let mut rest = open_whole(registry, image, &layers[..at], settings).await?;
                rest.extend(open.into_iter().rev());
                return Ok(rest);
            }
        };
    }
    tracing::info!(opened = open.len(), of = layers.len(), "these layers say what is wanted");
    open.reverse();
    Ok(open)
}

fn ask(upper: Vec<Arc<OpenLayer>>, waiting: Vec<Waiting<'_>>, last: LastLink) -> Result<Answer<'_>, estargz::Error> {
    let tree = ImageTree::merge(upper)?;
    let mut left = Vec::new();
    for (path, _) in waiting {
        match tree.resolve_from_above(path, last.follow()) {
            Settled::Node(_) | Settled::Nowhere(_) => {}
            Settled::Directory => return Ok(Answer::Directory),
            Settled::Below(step) => left.push((path, step)),
        }
    }
    Ok(if left.is_empty() { Answer::Settled } else { Answer::Waiting(left) })
}
