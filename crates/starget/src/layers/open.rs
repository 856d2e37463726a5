//! Opens one layer: its table of contents, from the cache or in at most two requests.
//!
//! Must not know other layers. Invariant: a table from the cache is verified like one from the registry; one that no digest
//! proves is neither kept nor taken from there.

use std::sync::Arc;

use client::BlobParts;
use estargz::{LayerHints, LayerOpener, NotLazy, OpenLayer, Opened, Progress, RawToc, Verification};
use oci::{ByteRange, Descriptor, Digest};

use super::source::{LayerSource, Remote};
use super::{external, full};
use crate::cache::{Cache, Kept, file_name};
use crate::error::StargetError;
use crate::image::{ImageRef, Layer};
use crate::registry::Registry;
use crate::settings::{FullLayers, Settings, Verify};

/// What opening a layer needs.
pub(crate) struct Opening {
    pub(crate) registry: Registry,
    pub(crate) image: ImageRef,
    pub(crate) settings: Arc<Settings>,
}

/// How a layer can be read.
pub(crate) enum LayerState {
    /// File by file.
    Open(Arc<OpenLayer>, LayerSource),
    /// Not in parts.
    NotLazy(NotLazy),
}

impl LayerState {
    /// The open layer, or the error that names it.
    pub(crate) fn into_open(self, layer: &Layer) -> Result<(Arc<OpenLayer>, LayerSource), StargetError> {
        match self {
            Self::Open(open, source) => Ok((open, source)),
            Self::NotLazy(why) => Err(StargetError::NotLazy { layer: Box::new(layer.digest), size: layer.size, why }),
        }
    }
}

impl Opening {
    /// Opens the layer.
    pub(crate) async fn layer(&self, layer: &Layer) -> Result<LayerState, StargetError> {
        let hints = hints(layer)?;
        let remote = self.remote(layer);
        let kept_as = kept_as(&hints);
        if let Some(open) = kept_as.as_deref().and_then(|name| self.cached(name, &hints)) {
            return Ok(LayerState::Open(Arc::new(open), LayerSource::Remote(remote)));
        }
        let opener = LayerOpener::new(hints.clone(), self.verification()).with_tail(self.settings.tail);
        match self.drive(opener, &remote, layer).await? {
            Ok(found) => {
                if let Some(name) = kept_as {
                    self.registry.cache().keep(Kept::Toc, &name, &found.raw.to_bytes());
                }
                let Opened { layer, .. } = *found;
                Ok(LayerState::Open(Arc::new(layer), LayerSource::Remote(remote)))
            }
            Err(why) => match self.settings.full_layers {
                FullLayers::Refuse => Ok(LayerState::NotLazy(why)),
                FullLayers::Allow => full::read(&remote, hints, &why).await,
            },
        }
    }

    /// Content without a digest in the manifest is read too: `info` and a warning say that it is not proven.
    fn verification(&self) -> Verification {
        match self.settings.verify {
            Verify::Everything => Verification::IfStated,
            Verify::Nothing => Verification::Off,
        }
    }

    fn remote(&self, layer: &Layer) -> Remote {
        let parts = BlobParts::new(self.registry.client().clone(), self.image.name.clone(), layer.digest);
        self.remote_of(parts, layer.size)
    }

    pub(super) fn remote_of(&self, parts: BlobParts, size: u64) -> Remote {
        Remote {
            parts,
            registry: self.registry.label().to_owned(),
            size,
            max_retries: self.settings.max_retries,
            backoff: self.settings.backoff,
        }
    }

    fn cached(&self, name: &str, hints: &LayerHints) -> Option<OpenLayer> {
        let bytes = self.registry.cache().get(Kept::Toc, name)?;
        let read = || {
            let raw = RawToc::from_bytes(&bytes)?;
            LayerOpener::reopen(hints.clone(), self.verification(), &raw)
        };
        tokio::task::block_in_place(read)
            .inspect_err(|error| tracing::warn!(name, %error, "what the cache has cannot be used"))
            .ok()
    }

    /// Fetches what the opener asks for.
    async fn drive(
        &self,
        mut opener: LayerOpener,
        remote: &Remote,
        layer: &Layer,
    ) -> Result<Result<Box<Opened>, NotLazy>, StargetError> {
        loop {
            let step = tokio::task::block_in_place(|| opener.advance());
            match step.map_err(broken(&layer.digest))? {
                Progress::Need(range) => {
                    tracing::info!(layer = %layer.digest, %range, "reading the table of contents");
                    let bytes = collect(remote, range).await?;
                    opener.supply(bytes).map_err(broken(&layer.digest))?;
                }
                Progress::Ready(found) => {
                    let entries = found.layer.toc().listed();
                    tracing::info!(layer = %layer.digest, format = %found.layer.format(), entries, "layer is open");
                    return Ok(Ok(found));
                }
                Progress::NotLazy(NotLazy::ExternalTocMissing) => match external::table(self, layer).await? {
                    Some(table) => opener.supply_external_toc(table).map_err(broken(&layer.digest))?,
                    None => return Ok(Err(NotLazy::ExternalTocMissing)),
                },
                Progress::NotLazy(why) => return Ok(Err(why)),
            }
        }
    }
}

/// The layer as the cache has it. Asks nobody.
pub(crate) fn in_cache(cache: &Cache, layer: &Layer) -> Option<OpenLayer> {
    let hints = hints(layer).ok()?;
    let bytes = cache.get(Kept::Toc, &kept_as(&hints)?)?;
    LayerOpener::reopen(hints, Verification::IfStated, &RawToc::from_bytes(&bytes).ok()?).ok()
}

/// What the manifest says of the layer.
fn hints(layer: &Layer) -> Result<LayerHints, StargetError> {
    let descriptor = Descriptor { media_type: layer.media_type.clone(), digest: layer.digest, size: layer.size };
    let annotations = layer.annotations.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    LayerHints::new(&descriptor, annotations).map_err(broken(&layer.digest))
}

/// The name of a table in the cache: by the digest that proves it, and the layer's size, which it must fit.
fn kept_as(hints: &LayerHints) -> Option<String> {
    let proof = hints.toc_digest.or_else(|| hints.toc_position.and_then(|position| position.checksum))?;
    Some(format!("{}-{}", file_name(&proof), hints.size))
}

fn broken(layer: &Digest) -> impl Fn(estargz::Error) -> StargetError {
    let layer = *layer;
    move |source| StargetError::Layer { layer: Box::new(layer), source: Box::new(source) }
}

/// All bytes of a range; tables have a limit that the opener keeps to.
pub(super) async fn collect(remote: &Remote, range: ByteRange) -> Result<Vec<u8>, StargetError> {
    let mut bytes = Vec::with_capacity(range.len() as usize);
    let mut reader = remote.read(range);
    while let Some(piece) = reader.next().await? {
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}
