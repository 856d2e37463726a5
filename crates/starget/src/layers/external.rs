//! The table of contents of a layer that has it in another image: the same name and tag with `-esgztoc`.
//!
//! Must not know tables. Invariant: what is given out matched the digest of its descriptor; that it is the layer's table is for
//! the opener to verify.

use client::BlobParts;
use estargz::limits::MAX_TOC_COMPRESSED;
use oci::{ByteRange, Digest, Reference, Tag};

use super::open::{Opening, collect};
use super::source::Remote;
use crate::error::StargetError;
use crate::image::{self, ImageRef, Layer};

/// On a layer of the other image: the layer whose table it is.
const LAYER_DIGEST: &str = "containerd.io/snapshot/stargz/layer.digest";
const SUFFIX: &str = "-esgztoc";

/// The compressed table of a layer, if there is such an image and it has one.
pub(super) async fn table(opening: &Opening, layer: &Layer) -> Result<Option<Vec<u8>>, StargetError> {
    let Some(reference) = other_image(&opening.image) else { return Ok(None) };
    let image = match image::resolve(&opening.registry, &reference, &opening.settings.platform).await {
        Ok(image) => image,
        Err(StargetError::NoImage { .. } | StargetError::NoPlatform { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let digest = layer.digest.to_string();
    let of_layer = |one: &&Layer| one.annotations.get(LAYER_DIGEST) == Some(&digest);
    let found = image.layers.iter().find(of_layer).filter(|one| one.size <= MAX_TOC_COMPRESSED);
    let Some((found, range)) = found.and_then(|one| Some((one, ByteRange::new(0, one.size)?))) else { return Ok(None) };
    tracing::info!(layer = %layer.digest, image = %reference, "its table of contents is in another image");
    let bytes = collect(&remote(opening, &reference, found), range).await?;
    let actual = Digest::of(found.digest.algorithm(), &bytes);
    if actual != found.digest {
        return Err(StargetError::WrongLayer { expected: Box::new(found.digest), found: Box::new(actual) });
    }
    Ok(Some(bytes))
}

/// An image by digest has no name that the other could be found by.
fn other_image(image: &ImageRef) -> Option<ImageRef> {
    let tag: Tag = format!("{}{SUFFIX}", image.reference.tag()?).parse().ok()?;
    Some(ImageRef { reference: Reference::Tag(tag), ..image.clone() })
}

fn remote(opening: &Opening, image: &ImageRef, layer: &Layer) -> Remote {
    let parts = BlobParts::new(opening.registry.client().clone(), image.name.clone(), layer.digest);
    opening.remote_of(parts, layer.size)
}
