//! Images: those of earlier runs, registries of the configuration, and the tags that the registry has.
//!
//! Must not know paths. Invariant: the registry is asked only for the tags of a name that is typed out, once, and waited
//! for no longer than a person would.

use std::sync::Arc;
use std::time::Duration;

use clap_complete::engine::CompletionCandidate;

use super::context::Context;
use crate::image::ImageRef;
use crate::registry::Registry;
use crate::settings::Settings;
use crate::traffic::Traffic;

/// How long the registry may take for its tags.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Tags asked for: a page.
const MOST_TAGS: u32 = 1000;

/// What the text may become.
pub(super) fn images(context: &Context, text: &str) -> Vec<CompletionCandidate> {
    let known = context.history().into_iter().map(|one| one.image);
    let Some((name, _)) = split_tag(text) else {
        let registries = context.registries().into_iter().filter(|host| host != "docker.io");
        return beginning_with(text, known.chain(registries.map(|host| format!("{host}/"))));
    };
    let of_registry = context.settings.as_ref().map(|settings| tags(settings, name)).unwrap_or_default();
    beginning_with(text, known.chain(of_registry.into_iter().map(|tag| format!("{name}:{tag}"))))
}

/// The candidates that begin with what is typed, each once, in their order.
pub(super) fn beginning_with(text: &str, all: impl IntoIterator<Item = String>) -> Vec<CompletionCandidate> {
    let mut seen = std::collections::HashSet::new();
    let fits = all.into_iter().filter(|one| one.starts_with(text) && seen.insert(one.clone()));
    fits.enumerate().map(|(at, one)| CompletionCandidate::new(one).display_order(Some(at))).collect()
}

/// Name and beginning of a tag: a colon behind the last slash is no port's.
fn split_tag(text: &str) -> Option<(&str, &str)> {
    let last = text.rfind('/').map_or(0, |slash| slash + 1);
    let colon = last + text[last..].find(':')?;
    let is_digest = text[..colon].contains('@');
    (!is_digest && colon > last).then(|| (&text[..colon], &text[colon + 1..]))
}

/// The tags that the registry has; none when it does not say soon.
fn tags(settings: &Settings, name: &str) -> Vec<String> {
    let Ok(image) = format!("{name}:latest").parse::<ImageRef>() else { return Vec::new() };
    let settings = Settings { max_retries: 0, ..settings.clone() };
    let traffic = Arc::new(Traffic::new(false));
    let places = Registry::places(&settings, &image.registry, &traffic).unwrap_or_default();
    let Ok(runtime) = crate::commands::runtime() else { return Vec::new() };
    let asking = async {
        for place in &places {
            if let Ok(page) = place.client().list_tags(&image.name, Some(MOST_TAGS), None).await {
                return page.tags.iter().map(ToString::to_string).collect();
            }
        }
        Vec::new()
    };
    let found = runtime.block_on(async { tokio::time::timeout(PATIENCE, asking).await });
    // What still runs is not waited for.
    runtime.shutdown_background();
    found.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::split_tag;

    #[test]
    fn a_tag_begins_behind_the_name_and_not_at_a_port() {
        for (text, found) in [
            ("alpine:3", Some(("alpine", "3"))),
            ("ghcr.io/org/app:", Some(("ghcr.io/org/app", ""))),
            ("127.0.0.1:5000/app:1.", Some(("127.0.0.1:5000/app", "1."))),
            ("127.0.0.1:5000/app", None),
            ("ghcr.io/org/", None),
            ("app@sha256:ab", None),
            (":", None),
        ] {
            assert_eq!(split_tag(text), found, "{text}");
        }
    }
}
