//! `starget cache`: manifests and tables of contents that are kept.
//!
//! Must not know what is in them. Invariant: whatever is removed here is fetched again when it is needed.

use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::json;

use super::age::{ago, rfc3339};
use crate::args::Options;
use crate::cache::{CacheEntry, entries};
use crate::error::StargetError;
use crate::history;
use crate::output::{Output, human_bytes, note};
use crate::settings::Settings;

/// What `starget cache` can do.
#[derive(clap::Subcommand)]
pub(crate) enum CacheCommand {
    /// List what is kept, what was used last first
    Ls,
    /// Remove what is kept, and what is remembered of images for completion
    #[command(after_help = "Examples:\n  starget cache clean\n  starget cache clean --older-than 30d")]
    Clean {
        /// Only what was not used for so long: 12h, 30d
        #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
        older_than: Option<Duration>,
    },
    /// Print where it is kept
    Path,
}

/// Runs the command.
pub(super) fn run(options: &Options, command: &CacheCommand) -> Result<(), StargetError> {
    let settings = Settings::without_credential(options)?;
    let Some(folder) = settings.cache_dir else {
        return Err(StargetError::Usage("nothing is kept: --no-cache, or `no_cache` in the configuration".to_owned()));
    };
    match command {
        CacheCommand::Ls => ls(&folder, settings.cache_size, options.json),
        CacheCommand::Clean { older_than } => clean(&folder, *older_than, options.json),
        CacheCommand::Path => super::print_path(&folder),
    }
}

fn ls(folder: &Path, most: u64, json: bool) -> Result<(), StargetError> {
    let mut found = entries(folder);
    found.sort_by_key(|one| std::cmp::Reverse(one.used));
    let mut output = Output::open();
    for one in &found {
        let (kind, name) = (kind(&one.path), name(&one.path));
        if json {
            output.json(
                &json!({"kind": kind, "digest": name, "size": one.size, "used": rfc3339(one.used), "path": one.path}),
            )?;
        } else {
            output.line(&format!("{kind:<8}  {:>9}  {:>8}  {name}", human_bytes(one.size), ago(one.used)))?;
        }
    }
    output.finish()?;
    if !json {
        let sum = found.iter().map(|one| one.size).sum();
        note(&format!(
            "{} files, {} of at most {} in {}",
            found.len(),
            human_bytes(sum),
            human_bytes(most),
            folder.display()
        ));
    }
    Ok(())
}

fn kind(path: &Path) -> &'static str {
    let folder = path.parent().and_then(Path::file_name).and_then(|name| name.to_str());
    if folder == Some("manifests") { "manifest" } else { "toc" }
}

/// `sha256-ab…` as `sha256:ab…`; of a table, the size of its layer behind it is left out.
fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut parts = name.splitn(3, '-');
    match (parts.next(), parts.next()) {
        (Some(algorithm), Some(hex)) => format!("{algorithm}:{hex}"),
        _ => name.into_owned(),
    }
}

fn clean(folder: &Path, older_than: Option<Duration>, json: bool) -> Result<(), StargetError> {
    let now = SystemTime::now();
    let goes =
        |one: &CacheEntry| older_than.is_none_or(|limit| now.duration_since(one.used).unwrap_or_default() >= limit);
    let going: Vec<CacheEntry> = entries(folder).into_iter().filter(goes).collect();
    for one in &going {
        match std::fs::remove_file(&one.path) {
            // Another run may have been first.
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(StargetError::Io { doing: "remove", path: one.path.clone(), source: error });
            }
            Ok(()) | Err(_) => {}
        }
    }
    if older_than.is_none() {
        // It may not be there, and is of use to completion alone.
        let _ = std::fs::remove_file(folder.join(history::FILE));
    }
    let (count, bytes): (usize, u64) = (going.len(), going.iter().map(|one| one.size).sum());
    let mut output = Output::open();
    if json {
        output.json(&json!({"removed": count, "bytes": bytes}))?;
    } else {
        output.line(&format!("{count} files removed, {}", human_bytes(bytes)))?;
    }
    output.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_named_by_their_digests() {
        assert_eq!(name(Path::new("/c/tocs/sha256-ab12-9491932")), "sha256:ab12");
        assert_eq!(name(Path::new("/c/manifests/sha256-ab12")), "sha256:ab12");
        assert_eq!((kind(Path::new("/c/manifests/x")), kind(Path::new("/c/tocs/x"))), ("manifest", "toc"));
    }
}
