//! `starget info`: the layers of an image.
//!
//! Must not know formats. Invariant: every layer of the manifest is listed, in its order.

use crate::error::StargetError;
use crate::output::Output;
use crate::session::Session;

/// What is typed after `starget info`.
#[derive(clap::Args)]
pub(crate) struct InfoArgs {
    /// The image
    image: String,
}

/// Runs the command.
pub(crate) async fn run(session: &Session, args: &InfoArgs) -> Result<(), StargetError> {
    let (_registry, image) = session.image(&args.image).await?;
    let mut output = Output::open();
    output.line(&format!("Layers for {}:", args.image))?;
    for layer in &image.layers {
        let crate::image::Layer { index, digest, size, media_type, .. } = layer;
        output.line(&format!("{index}: {digest} (size: {size} bytes, type: {media_type})"))?;
    }
    output.finish()?;
    session.say_stats(image.layers.iter().map(|layer| layer.size).sum());
    Ok(())
}
