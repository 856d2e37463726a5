//! `transship tag`: what a tag pointed to, who moved it, and putting it back.
//!
//! Must not know where history is kept; the server says it. Invariant: what is typed as one image is one repository, one
//! name and one tag.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Subcommand;
use registry::{HostedAddress, ResolvedTag, RolledBack, TagHistory, TagMoved, Wanted, show_time};
use serde_json::{Value, json};

use crate::managing::{self, ManagingArgs, short, table};

pub(crate) const EXAMPLES: &str = "\
Examples:
  transship tag history rel/team/app:v1
  transship tag resolve rel/team/app:v1@2026-11-28T10:00:00Z
  transship tag rollback rel/team/app:latest
  transship tag rollback rel/team/app:latest --steps 2
  transship tag rollback rel/team/app:latest --at 2026-11-28T10:00:00Z
  transship tag rollback rel/team/app:latest --to sha256:…

Of a cached repository, the history is what its upstream was seen to say.
Exit codes: 0 done, 1 the server says no (the words tell why), 2 it could not be asked (command line, no server, no token).";

#[derive(Subcommand)]
pub(crate) enum TagCommand {
    /// List the moves of a tag, newest first: when, who, how, from what to what.
    #[command(after_help = EXAMPLES)]
    History {
        /// The tag: REPOSITORY/NAME:TAG
        image: HostedAddress,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: u32,
        #[command(flatten)]
        managing: ManagingArgs,
    },
    /// Say which digest a tag pointed to at a time, as an image that clients can pull.
    #[command(after_help = EXAMPLES)]
    Resolve {
        /// The tag and the time: REPOSITORY/NAME:TAG@TIME, in UTC; without a time, now
        image: HostedAddress,
        #[command(flatten)]
        managing: ManagingArgs,
    },
    /// Put a tag of a hosted repository back to what it pointed to before.
    #[command(after_help = EXAMPLES)]
    Rollback {
        /// The tag: REPOSITORY/NAME:TAG
        image: HostedAddress,
        /// To this manifest
        #[arg(long, value_name = "DIGEST", conflicts_with_all = ["at", "steps"])]
        to: Option<String>,
        /// To what it pointed to at this time, in UTC
        #[arg(long, value_name = "TIME", conflicts_with = "steps")]
        at: Option<String>,
        /// So many moves back [default: 1]
        #[arg(long, value_name = "N")]
        steps: Option<u32>,
        #[command(flatten)]
        managing: ManagingArgs,
    },
}

/// Runs the command.
pub(crate) fn run(command: TagCommand) -> ExitCode {
    managing::run(async || match command {
        TagCommand::History { image, limit, managing } => {
            let (name, tag) = tag_of(&image)?;
            let (path, limit) = (format!("/api/repos/{}/tags/history", image.repo), limit.to_string());
            let query = [("name", name.as_str()), ("tag", &tag), ("limit", &limit)];
            managing.show(&managing.client()?.get(&path, &query).await?, history)
        }
        TagCommand::Resolve { image, managing } => {
            let (name, tag, at) = match &image.wanted {
                Some(Wanted::TagAt(tag, at)) => (image.name.to_string(), tag.to_string(), Some(show_time(*at))),
                Some(Wanted::Tag(_) | Wanted::Digest(_)) | None => {
                    let (name, tag) = tag_of(&image)?;
                    (name, tag, None)
                }
            };
            let mut query = vec![("name", name.as_str()), ("tag", tag.as_str())];
            query.extend(at.as_deref().map(|at| ("at", at)));
            let path = format!("/api/repos/{}/tags/resolve", image.repo);
            let answer = managing.client()?.get(&path, &query).await?;
            managing.show(&answer, |resolved: &ResolvedTag| format!("{}\n", resolved.reference))
        }
        TagCommand::Rollback { image, to, at, steps, managing } => {
            let (name, tag) = tag_of(&image)?;
            let mut body = json!({ "name": name, "tag": tag });
            let given = [("to", to.map(Value::from)), ("at", at.map(Value::from)), ("steps", steps.map(Value::from))];
            for (field, value) in given {
                if let Some(value) = value {
                    body[field] = value;
                }
            }
            let path = format!("/api/repos/{}/tags/rollback", image.repo);
            managing.show(&managing.client()?.post(&path, &body).await?, rolled_back)
        }
    })
}

fn tag_of(image: &HostedAddress) -> Result<(String, String)> {
    match &image.wanted {
        Some(Wanted::Tag(tag)) => Ok((image.name.to_string(), tag.to_string())),
        Some(Wanted::TagAt(..) | Wanted::Digest(_)) | None => bail!("{image}: name a tag, as in rel/team/app:v1"),
    }
}

fn history(history: &TagHistory) -> String {
    let shown = |digest: &Option<String>, none: &str| digest.as_deref().map_or_else(|| none.to_owned(), short);
    let row = |moved: &TagMoved| {
        let how = moved.promotion.as_ref().map_or_else(|| moved.how.clone(), |id| format!("{} {id}", moved.how));
        vec![moved.at.clone(), moved.by.clone(), shown(&moved.from, "-"), shown(&moved.to, "gone"), how]
    };
    let rows: Vec<Vec<String>> = history.moves.iter().map(row).collect();
    table(&["AT", "BY", "FROM", "TO", "HOW"], &rows)
}

fn rolled_back(done: &RolledBack) -> String {
    if !done.changed {
        return format!("{} points to {} already\n", done.image, done.to);
    }
    let before = done.from.as_deref().unwrap_or("nothing");
    format!("{} points to {} again (it pointed to {before})\n", done.image, done.to)
}
