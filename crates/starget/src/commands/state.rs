//! `starget state`: downloads that were broken off.
//!
//! Must not know how they go on. Invariant: what a run holds is never removed.

use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::json;

use super::age::{ago, rfc3339};
use crate::args::Options;
use crate::error::StargetError;
use crate::output::{Output, note};
use crate::resume::{Leftover, Standing, list, remove};
use crate::settings::Settings;

/// What `starget state` can do.
#[derive(clap::Subcommand)]
pub(crate) enum StateCommand {
    /// List downloads that were broken off
    #[command(
        after_help = "Examples:\n  starget state ls\n  starget state ls --json\n\nThe same `starget get` again goes on where it stopped."
    )]
    Ls,
    /// Forget those of which nothing is left
    #[command(
        after_help = "Examples:\n  starget state clean\n  starget state clean --older-than 30d\n  starget state clean --all"
    )]
    Clean {
        /// Also those that could go on, with their .partial files, when they were not touched for so long: 12h, 30d
        #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
        older_than: Option<Duration>,
        /// All but those that run, with their .partial files
        #[arg(long, conflicts_with = "older_than")]
        all: bool,
    },
    /// Print where they are remembered
    Path,
}

/// Runs the command.
pub(super) fn run(options: &Options, command: &StateCommand) -> Result<(), StargetError> {
    let folder = Settings::without_credential(options)?.state_dir;
    match command {
        StateCommand::Ls => ls(&folder, options.json),
        StateCommand::Clean { older_than, all } => {
            clean(&folder, if *all { Some(Duration::ZERO) } else { *older_than }, options.json)
        }
        StateCommand::Path => super::print_path(&folder),
    }
}

fn ls(folder: &Path, json: bool) -> Result<(), StargetError> {
    let found = list(folder)?;
    let mut output = Output::open();
    for one in &found {
        if json {
            output.json(&as_json(one))?;
        } else {
            output.line(&as_text(one))?;
        }
    }
    if found.is_empty() && !json {
        note("no download was broken off");
    }
    output.finish()
}

fn as_json(one: &Leftover) -> serde_json::Value {
    let header = one.header.as_ref();
    json!({
        "state": one.standing.as_str(),
        "image": header.map(|header| &header.image),
        "manifest": header.map(|header| header.manifest),
        "layer": header.and_then(|header| header.layer),
        "pattern": header.map(|header| &header.pattern),
        "out": header.map(|header| &header.out),
        "files": header.map(|header| header.files),
        "done": one.done,
        "partial": one.partials,
        "touched": rfc3339(one.touched),
        "journal": one.journal,
    })
}

fn as_text(one: &Leftover) -> String {
    let (standing, when) = (one.standing.as_str(), ago(one.touched));
    match &one.header {
        Some(header) => format!(
            "{standing:<9}  {when:>8}  {}/{} files  {} {} -> {}",
            one.done,
            header.files,
            header.image,
            header.pattern,
            header.out.display()
        ),
        None => format!("{standing:<9}  {when:>8}  {} cannot be read", one.journal.display()),
    }
}

fn clean(folder: &Path, older_than: Option<Duration>, json: bool) -> Result<(), StargetError> {
    let now = SystemTime::now();
    let is_old =
        |one: &Leftover| older_than.is_some_and(|limit| now.duration_since(one.touched).unwrap_or_default() >= limit);
    let goes = |one: &Leftover| match one.standing {
        Standing::Running => false,
        Standing::Orphaned => true,
        Standing::Resumable => is_old(one),
    };
    let (going, staying): (Vec<Leftover>, Vec<Leftover>) = list(folder)?.into_iter().partition(goes);
    let partials: usize = going.iter().map(|one| one.partials.len()).sum();
    going.iter().try_for_each(remove)?;
    let mut output = Output::open();
    if json {
        output.json(&json!({"removed": going.len(), "partial_files": partials, "left": staying.len()}))?;
    } else {
        output.line(&format!("{} removed, with {partials} partial files; {} left", going.len(), staying.len()))?;
    }
    output.finish()
}
