//! The layers of an image, open: what is in them, and where their bytes come from.
//!
//! Invariants: a tree is made of all layers of the image, or of one that was named, or of the upper ones when those say what the
//! wanted paths are; a layer that is needed and cannot be read is an error, never left out.

mod external;
mod full;
mod open;
mod ranges;
mod source;
mod upper;

use std::sync::Arc;

use estargz::{ImageTree, OpenLayer};
use futures_util::StreamExt;
use futures_util::stream;
use oci::Digest;

use crate::error::StargetError;
use crate::image::{Image, Layer};
use crate::registry::Registry;
use crate::select::{LastLink, is_plain_path};
use crate::session::Session;
use crate::settings::Settings;
pub(crate) use open::{LayerState, Opening, in_cache};
pub(crate) use source::LayerSource;

/// Layers opened at a time: each needs one connection and the memory of its table.
const AT_A_TIME: usize = 16;

/// The layers and what they show together.
pub(crate) struct Layers {
    pub(crate) tree: ImageTree,
    /// In the order of the tree's layers.
    sources: Vec<Arc<LayerSource>>,
    pub(crate) image: Image,
    /// Of all layers of the image, in bytes.
    pub(crate) whole: u64,
}

impl Layers {
    /// Opens the image, or one layer of it.
    pub(crate) async fn open(session: &Session, image: &str, only: Option<&Digest>) -> Result<Self, StargetError> {
        let (registry, image) = session.image(image).await?;
        let wanted = wanted(&image, only)?;
        let open = open_whole(&registry, &image, &wanted, &session.settings).await?;
        Self::merged(image, open)
    }

    /// Opens as much as is needed to know what these paths are: the layers from the top down. Patterns and directories need all.
    pub(crate) async fn open_for(
        session: &Session,
        image: &str,
        only: Option<&Digest>,
        (paths, last): (&[&str], LastLink),
    ) -> Result<Self, StargetError> {
        if !paths.iter().all(|path| is_plain_path(path)) {
            return Self::open(session, image, only).await;
        }
        let (registry, image) = session.image(image).await?;
        let wanted = wanted(&image, only)?;
        let open = upper::open(&registry, &image, &wanted, &session.settings, (paths, last)).await?;
        Self::merged(image, open)
    }

    fn merged(image: Image, open: Vec<OpenAt>) -> Result<Self, StargetError> {
        let whole = image.layers.iter().map(|layer| layer.size).sum();
        let (layers, sources) = open.into_iter().map(|(layer, source)| (layer, Arc::new(source))).unzip();
        let broken = |source| StargetError::Layer { layer: Box::new(image.digest), source: Box::new(source) };
        let tree = tokio::task::block_in_place(|| ImageTree::merge(layers)).map_err(broken)?;
        Ok(Self { tree, sources, image, whole })
    }

    /// Where the bytes of a layer come from.
    pub(crate) fn source(&self, layer: &OpenLayer) -> Arc<LayerSource> {
        let at = self.tree.layers().iter().position(|one| std::ptr::eq(Arc::as_ptr(one), layer));
        self.sources[at.expect("a node's layer is one of its tree's")].clone()
    }

    /// Where the bytes of all layers come from, in the order of the tree's.
    pub(crate) fn sources(&self) -> Vec<Arc<LayerSource>> {
        self.sources.clone()
    }

    /// The place of a layer among the tree's.
    pub(crate) fn index_of(&self, layer: &OpenLayer) -> usize {
        let at = self.tree.layers().iter().position(|one| std::ptr::eq(Arc::as_ptr(one), layer));
        at.expect("a node's layer is one of its tree's")
    }
}

/// A layer that is open, and where its bytes come from.
type OpenAt = (Arc<OpenLayer>, LayerSource);

/// Opens all of these layers.
async fn open_whole(
    registry: &Registry,
    image: &Image,
    layers: &[Layer],
    settings: &Arc<Settings>,
) -> Result<Vec<OpenAt>, StargetError> {
    let states = open_all(registry, image, layers, settings).await;
    layers.iter().zip(states).map(|(layer, state)| state?.into_open(layer)).collect()
}

/// All layers, or the one that was named.
fn wanted(image: &Image, only: Option<&Digest>) -> Result<Vec<Layer>, StargetError> {
    let Some(digest) = only else { return Ok(image.layers.clone()) };
    let found = image.layers.iter().find(|layer| layer.digest == *digest).cloned();
    let missing = || StargetError::NoLayer { image: image.reference.to_string(), digest: digest.to_string() };
    Ok(vec![found.ok_or_else(missing)?])
}

/// Opens layers side by side, in their order.
pub(crate) async fn open_all(
    registry: &Registry,
    image: &Image,
    layers: &[Layer],
    settings: &Arc<Settings>,
) -> Vec<Result<LayerState, StargetError>> {
    let open = |layer: &Layer| {
        let opening =
            Opening { registry: registry.clone(), image: image.reference.clone(), settings: settings.clone() };
        let layer = layer.clone();
        async move { opening.layer(&layer).await }
    };
    stream::iter(layers.iter().map(open)).buffered(AT_A_TIME).collect().await
}
