//! One run: settings, traffic, and the image a command is about.
//!
//! Must not know what the command does with it. Invariant: whatever is asked of a registry in this run is counted here.

use std::sync::Arc;
use std::time::Instant;

use crate::args::Options;
use crate::error::StargetError;
use crate::image::{self, Image, ImageRef};
use crate::registry::Registry;
use crate::settings::Settings;
use crate::traffic::Traffic;

/// What all commands share.
pub(crate) struct Session {
    pub(crate) settings: Arc<Settings>,
    pub(crate) traffic: Arc<Traffic>,
    started: Instant,
}

impl Session {
    /// Reads the settings.
    pub(crate) fn new(options: &Options) -> Result<Self, StargetError> {
        let settings = Arc::new(Settings::new(options)?);
        let traffic = Arc::new(Traffic::new(options.debug));
        Ok(Self { settings, traffic, started: Instant::now() })
    }

    /// Finds the image, at a mirror or at its registry.
    pub(crate) async fn image(&self, text: &str) -> Result<(Registry, Image), StargetError> {
        let reference: ImageRef = text.parse().map_err(StargetError::Usage)?;
        let mut places = Registry::places(&self.settings, &reference.registry, &self.traffic)?.into_iter().peekable();
        while let Some(registry) = places.next() {
            let found = image::resolve(&registry, &reference, &self.settings.platform).await;
            match found {
                Ok(image) => {
                    if let Some(cache_dir) = &self.settings.cache_dir {
                        crate::history::remember(cache_dir, text, &image.digest);
                    }
                    return Ok((registry, image));
                }
                Err(error) if places.peek().is_some() && registry.may_be_passed_over(&error) => {
                    tracing::warn!(at = %registry.label(), error = %crate::report::as_text(&error), "asking the next place");
                }
                Err(error) => return Err(error),
            }
        }
        Err(StargetError::Usage(format!("there is no place to ask for {reference}")))
    }

    /// Says what it took, when that was asked for. `whole`: the bytes of all layers.
    pub(crate) fn say_stats(&self, whole: u64) {
        if !self.settings.stats {
            return;
        }
        let sums = self.traffic.sums();
        let text = if self.settings.json {
            let seconds = self.started.elapsed().as_secs_f64();
            serde_json::json!({"stats": {"traffic": sums, "image_bytes": whole, "seconds": seconds}}).to_string()
        } else {
            crate::output::stats(&sums, whole, self.started.elapsed())
        };
        crate::output::note(&text);
    }
}
