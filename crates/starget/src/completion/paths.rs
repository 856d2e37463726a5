//! Paths inside an image, and its layers, as the cache knows them from an earlier run.
//!
//! Must not ask anybody. Invariant: what is not in the cache is not offered.

use std::sync::Arc;

use clap_complete::engine::CompletionCandidate;
use estargz::{EntryKind, FollowLast, ImageTree};
use oci::Digest;

use super::context::Context;
use super::images::beginning_with;
use crate::cache::Cache;
use crate::image::{ImageRef, Layer, layers_of_manifest};
use crate::layers::in_cache;
use crate::output::human_bytes;

/// What the text may become: a path, or the digest of a layer where one may stand.
pub(super) fn paths(context: &Context, text: &str) -> Vec<CompletionCandidate> {
    let Some((cache, layers)) = layers(context) else { return Vec::new() };
    if context.may_be_layer() && text.starts_with("sha") {
        let digests = layers.iter().map(|layer| (layer.digest.to_string(), human_bytes(layer.size)));
        let fits = digests.filter(|(digest, _)| digest.starts_with(text));
        return fits.map(|(digest, size)| CompletionCandidate::new(digest).help(Some(size.into()))).collect();
    }
    let wanted = |layer: &&Layer| context.layer().is_none_or(|digest| *digest == layer.digest);
    // From the top down, as far as they are known: without one in between, files would show that it removes.
    let known = layers.iter().filter(wanted).rev().map_while(|layer| in_cache(&cache, layer));
    let mut open: Vec<_> = known.map(Arc::new).collect();
    open.reverse();
    ImageTree::merge(open).map(|tree| in_tree(&tree, text)).unwrap_or_default()
}

/// What lies in the directory that is typed, as far as its name begins with what is typed behind it.
fn in_tree(tree: &ImageTree, text: &str) -> Vec<CompletionCandidate> {
    let (typed, beginning) = text.rfind('/').map_or(("", text), |slash| text.split_at(slash + 1));
    let directory = typed.trim_start_matches("./").trim_matches('/');
    let directory = if directory.is_empty() {
        tree.get("")
    } else {
        tree.resolve(directory, FollowLast::Yes).ok().filter(|node| node.kind() == EntryKind::Directory)
    };
    let named = directory.into_iter().flat_map(|directory| directory.children());
    let named = named.filter(|node| node.name().starts_with(beginning)).map(|node| {
        let end = if node.kind() == EntryKind::Directory { "/" } else { "" };
        format!("{typed}{}{end}", node.name())
    });
    beginning_with(text, named)
}

/// The layers of the image at the cursor, from the cache.
fn layers(context: &Context) -> Option<(Cache, Vec<Layer>)> {
    let settings = context.settings.as_ref()?;
    let cache = Cache::open(settings).ok()?;
    let manifest = manifest(context, context.image.as_deref()?)?;
    let (bytes, _) = cache.manifest(&manifest)?;
    let layers = layers_of_manifest(&bytes)?;
    Some((cache, layers))
}

/// The manifest that the image came to when it was asked for last, under whatever name.
fn manifest(context: &Context, image: &str) -> Option<Digest> {
    let reference: ImageRef = image.parse().ok()?;
    let same = |one: &crate::history::Remembered| one.image.parse().is_ok_and(|known: ImageRef| known == reference);
    let remembered = context.history().into_iter().find(same).map(|one| one.manifest);
    remembered.or_else(|| reference.reference.digest().copied())
}
