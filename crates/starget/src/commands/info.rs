//! `starget info`: the layers of an image, and how each can be read.
//!
//! Must not know formats. Invariant: every layer of the manifest is listed, in its order, also one that cannot be read; what
//! is wrong with it decides the exit code after all are listed.

use estargz::{Landmark, Trust};
use serde::Serialize;

use crate::error::StargetError;
use crate::image::{Image, Layer};
use crate::layers::{LayerState, open_all};
use crate::output::{Output, human_bytes};
use crate::report::as_text;
use crate::session::Session;

const EXAMPLES: &str = "\
Examples:
  starget info alpine
  starget info --platform linux/arm64 ghcr.io/org/app:1.2-esgz
  starget info --json ghcr.io/org/app:1.2-esgz";

/// What is typed after `starget info`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct InfoArgs {
    /// The image
    image: String,
}

/// What is known of one layer.
#[derive(Serialize)]
struct LayerInfo {
    index: usize,
    digest: String,
    size: u64,
    media_type: String,
    /// `estargz`, `stargz`, `zstd:chunked`, `estargz-external-toc`, `tar`, `plain`; none when it could not be opened.
    format: Option<String>,
    lazy: bool,
    /// Why it cannot be read in parts, or at all.
    why_not: Option<String>,
    /// `verified`, `unstated` (the manifest has no digest of the table), `unchecked`.
    toc: Option<&'static str>,
    toc_bytes: Option<u64>,
    entries: Option<usize>,
    /// `none`, `no-prefetch`, `prefetch:<bytes>`.
    landmark: Option<String>,
    annotations: std::collections::BTreeMap<String, String>,
}

#[derive(Serialize)]
struct ImageInfo<'i> {
    image: String,
    digest: String,
    media_type: &'i str,
    platform: Option<String>,
    layers: &'i [LayerInfo],
}

/// Runs the command.
pub(crate) async fn run(session: &Session, args: &InfoArgs) -> Result<(), StargetError> {
    let (registry, image) = session.image(&args.image).await?;
    let states = open_all(&registry, &image, &image.layers, &session.settings).await;
    let mut failure = None;
    let mut layers = Vec::with_capacity(states.len());
    for (layer, state) in image.layers.iter().zip(states) {
        layers.push(layer_info(layer, &state));
        failure = failure.or(state.err());
    }
    let mut output = Output::open();
    if session.settings.json {
        output.json(&image_info(&image, &layers))?;
    } else {
        output.line(&format!("Layers for {}:", args.image))?;
        for layer in &layers {
            lines(&mut output, layer)?;
        }
    }
    output.finish()?;
    session.say_stats(image.layers.iter().map(|layer| layer.size).sum());
    failure.map_or(Ok(()), Err)
}

fn image_info<'i>(image: &'i Image, layers: &'i [LayerInfo]) -> ImageInfo<'i> {
    ImageInfo {
        image: image.reference.to_string(),
        digest: image.digest.to_string(),
        media_type: image.media_type.as_str(),
        platform: image.platform.as_ref().map(ToString::to_string),
        layers,
    }
}

fn layer_info(layer: &Layer, state: &Result<LayerState, StargetError>) -> LayerInfo {
    let mut info = LayerInfo {
        index: layer.index,
        digest: layer.digest.to_string(),
        size: layer.size,
        media_type: layer.media_type.to_string(),
        format: None,
        lazy: false,
        why_not: None,
        toc: None,
        toc_bytes: None,
        entries: None,
        landmark: None,
        annotations: layer.annotations.clone().into_iter().collect(),
    };
    match state {
        Ok(LayerState::Open(open, source)) => {
            info.format = Some(open.format().name().to_owned());
            info.lazy = source.is_remote();
            info.toc = Some(match open.trust() {
                Trust::Verified => "verified",
                Trust::Unstated => "unstated",
                Trust::Unchecked => "unchecked",
            });
            info.toc_bytes = Some(open.toc_len());
            info.entries = Some(open.toc().listed());
            info.landmark = Some(match open.toc().landmark() {
                Some(Landmark::Prefetch { end }) => format!("prefetch:{end}"),
                Some(Landmark::NoPrefetch) => "no-prefetch".to_owned(),
                None => "none".to_owned(),
            });
        }
        Ok(LayerState::NotLazy(why)) => {
            info.format = Some("plain".to_owned());
            info.why_not = Some(why.to_string());
        }
        Err(error) => info.why_not = Some(as_text(error)),
    }
    info
}

fn lines(output: &mut Output, layer: &LayerInfo) -> Result<(), StargetError> {
    let LayerInfo { index, digest, size, media_type, .. } = layer;
    output.line(&format!("{index}: {digest} (size: {size} bytes, type: {media_type})"))?;
    if let (Some(format), true) = (&layer.format, layer.toc.is_some()) {
        let (toc, entries) = (layer.toc_bytes.unwrap_or_default(), layer.entries.unwrap_or_default());
        let landmark = layer.landmark.as_deref().unwrap_or("none");
        output.line(&format!(
            "   {format}, table of contents {} ({entries} entries, {}), landmark {landmark}",
            human_bytes(toc),
            match layer.toc {
                Some("verified") => "verified by the manifest",
                Some("unstated") => "the manifest states no digest: content is not proven",
                Some(_) | None => "not checked",
            }
        ))?;
    }
    match (&layer.why_not, layer.format.is_some()) {
        (Some(why), true) => output.line(&format!("   plain, cannot be read in parts: {why}")),
        (Some(why), false) => output.line(&format!("   cannot be read: {why}")),
        (None, _) => Ok(()),
    }
}
