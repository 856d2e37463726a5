//! From a reference to the layers of one image: tag, index, platform, manifest.
//!
//! One exchange a level, and none for what the cache holds by its digest. Must not know layers' content. Invariant: each
//! manifest hashes to the digest it was asked by.

use bytes::Bytes;
use client::{ClientError, ManifestFetch};
use oci::{Digest, ManifestFacts, MediaType, Reference};

use super::annotated::{self, Child, Layer};
use super::reference::ImageRef;
use crate::error::StargetError;
use crate::registry::Registry;
use oci::Platform;

/// Most indexes inside indexes that are followed.
const MOST_LEVELS: usize = 3;

/// One image for one platform.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    /// As it was asked for.
    pub(crate) reference: ImageRef,
    /// Of the manifest.
    pub(crate) digest: Digest,
    /// The kind of manifest.
    pub(crate) media_type: MediaType,
    /// For what it is, when an index said so.
    pub(crate) platform: Option<Platform>,
    /// The lowest first.
    pub(crate) layers: Vec<Layer>,
}

/// A manifest that was read.
struct Manifest {
    bytes: Bytes,
    digest: Digest,
    facts: ManifestFacts,
}

/// Finds the image.
pub(crate) async fn resolve(registry: &Registry, image: &ImageRef, wanted: &Platform) -> Result<Image, StargetError> {
    let mut reference = image.reference.clone();
    let mut platform = None;
    for _ in 0..=MOST_LEVELS {
        let manifest = fetch(registry, image, &reference).await?;
        let bad = |what: String| StargetError::BadManifest { digest: Box::new(manifest.digest), what };
        if !manifest.facts.media_type.is_index() {
            let layers = annotated::layers(&manifest.bytes, &manifest.facts).map_err(bad)?;
            let media_type = manifest.facts.media_type;
            return Ok(Image { reference: image.clone(), digest: manifest.digest, media_type, platform, layers });
        }
        let children = annotated::children(&manifest.bytes, &manifest.facts).map_err(bad)?;
        let child = choose(children, wanted).map_err(|offered| StargetError::NoPlatform {
            image: image.to_string(),
            wanted: wanted.to_string(),
            offered,
        })?;
        platform = child.platform;
        reference = Reference::Digest(child.descriptor.digest);
    }
    Err(StargetError::BadManifest {
        digest: Box::new(reference.digest().copied().unwrap_or_else(|| Digest::sha256_of(b""))),
        what: format!("it stands below more than {MOST_LEVELS} indexes"),
    })
}

/// The first that fits; an only child that says nothing of its platform fits. The error lists what there is.
fn choose(children: Vec<Child>, wanted: &Platform) -> Result<Child, Vec<String>> {
    let known = |child: &Child| child.platform.as_ref().is_some_and(Platform::is_known);
    let offered: Vec<String> = children
        .iter()
        .filter(|child| known(child))
        .filter_map(|child| child.platform.as_ref())
        .map(ToString::to_string)
        .collect();
    let alone = children.len() == 1 && children.iter().all(|child| child.platform.is_none());
    let fits = |child: &Child| alone || child.platform.as_ref().is_some_and(|platform| wanted.accepts(platform));
    let nothing = if offered.is_empty() { vec!["none that says its platform".to_owned()] } else { offered };
    children.into_iter().find(fits).ok_or(nothing)
}

async fn fetch(registry: &Registry, image: &ImageRef, reference: &Reference) -> Result<Manifest, StargetError> {
    let kept = reference.digest().and_then(|digest| registry.cache().manifest(digest));
    let (bytes, digest, media_type) = if let Some((bytes, digest)) = kept {
        (bytes, digest, None)
    } else {
        let (bytes, digest, media_type) = ask(registry, image, reference).await?;
        registry.cache().keep_manifest(&digest, &bytes);
        (bytes, digest, Some(media_type))
    };
    let facts = ManifestFacts::parse(&bytes, media_type.as_ref())
        .map_err(|error| StargetError::BadManifest { digest: Box::new(digest), what: error.to_string() })?;
    Ok(Manifest { bytes, digest, facts })
}

async fn ask(
    registry: &Registry,
    image: &ImageRef,
    reference: &Reference,
) -> Result<(Bytes, Digest, MediaType), StargetError> {
    match registry.manifest(&image.name, reference).await {
        Ok(ManifestFetch::Fetched { bytes, digest, media_type }) => Ok((bytes, digest, media_type)),
        Ok(ManifestFetch::NotModified) => Err(StargetError::Registry {
            doing: format!("read the manifest of {image}"),
            source: Box::new(ClientError::Protocol {
                upstream: image.registry.as_ref().into(),
                what: "an answer 304 that nobody asked for".to_owned(),
            }),
        }),
        Err(source @ ClientError::NotFound { .. }) => {
            Err(StargetError::NoImage { image: image.to_string(), source: Box::new(source) })
        }
        Err(source) => {
            Err(StargetError::Registry { doing: format!("read the manifest of {image}"), source: Box::new(source) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn child(platform: Option<&str>) -> Child {
        let digest = Digest::sha256_of(platform.unwrap_or_default().as_bytes());
        let descriptor = oci::Descriptor { media_type: MediaType::OCI_IMAGE_MANIFEST, digest, size: 1 };
        Child { descriptor, platform: platform.map(|text| text.parse().unwrap()) }
    }

    fn chosen(children: &[Option<&str>], wanted: &str) -> Result<String, Vec<String>> {
        let children = children.iter().map(|one| child(*one)).collect();
        let found = choose(children, &wanted.parse().unwrap())?;
        Ok(found.platform.map_or_else(|| "unnamed".to_owned(), |platform| platform.to_string()))
    }

    #[test]
    fn the_platform_that_fits_is_taken() {
        let both = [Some("linux/amd64"), Some("linux/arm64/v8"), Some("unknown/unknown")];
        assert_eq!(chosen(&both, "linux/arm64").unwrap(), "linux/arm64/v8");
        assert_eq!(chosen(&both, "linux/s390x").unwrap_err(), ["linux/amd64", "linux/arm64/v8"]);
        assert_eq!(chosen(&[None], "linux/s390x").unwrap(), "unnamed");
        assert_eq!(chosen(&[None, None], "linux/amd64").unwrap_err(), ["none that says its platform"]);
    }
}
