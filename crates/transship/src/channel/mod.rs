//! `transship channel`: where channels point, and setting them.
//!
//! Must not know what a channel may point to; the server says it. Invariant: a channel is set to a version by its tag, so
//! that nobody types a digest.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Subcommand;
use registry::{ChannelState, HostedAddress};
use serde_json::json;

use crate::managing::{self, ManagingArgs, short, table};

pub(crate) const EXAMPLES: &str = "\
Examples:
  transship channel list rel/team/app
  transship channel set rel/team/app stable v1.4.0

A channel is a tag that moves only over immutable ones; the repository's `channels` names them.
Exit codes: 0 done, 1 the server says no (the words tell why), 2 it could not be asked (command line, no server, no token).";

#[derive(Subcommand)]
pub(crate) enum ChannelCommand {
    /// List the channels of an image, and the versions they point to.
    #[command(after_help = EXAMPLES)]
    List {
        /// The image: REPOSITORY/NAME
        image: HostedAddress,
        #[command(flatten)]
        managing: ManagingArgs,
    },
    /// Set a channel to a version.
    #[command(after_help = EXAMPLES)]
    Set {
        /// The image: REPOSITORY/NAME
        image: HostedAddress,
        /// The channel
        channel: String,
        /// The version's tag
        version: String,
        #[command(flatten)]
        managing: ManagingArgs,
    },
}

/// Runs the command.
pub(crate) fn run(command: ChannelCommand) -> ExitCode {
    managing::run(async || match command {
        ChannelCommand::List { image, managing } => {
            let name = name_of(&image)?;
            let path = format!("/api/repos/{}/channels", image.repo);
            let answer = managing.client()?.get(&path, &[("name", &name)]).await?;
            managing.show(&answer, |channels: &Vec<ChannelState>| shown(channels))
        }
        ChannelCommand::Set { image, channel, version, managing } => {
            let body = json!({ "name": name_of(&image)?, "channel": channel, "to": version });
            let answer = managing.client()?.post(&format!("/api/repos/{}/channels", image.repo), &body).await?;
            managing.show(&answer, |channel: &ChannelState| shown(std::slice::from_ref(channel)))
        }
    })
}

fn name_of(image: &HostedAddress) -> Result<String> {
    match &image.wanted {
        None => Ok(image.name.to_string()),
        Some(_) => bail!("{image}: write it without a tag, as in rel/team/app"),
    }
}

fn shown(channels: &[ChannelState]) -> String {
    if channels.is_empty() {
        return "No channels.\n".to_owned();
    }
    let row = |one: &ChannelState| {
        let digest = one.digest.as_deref().map_or_else(|| "not set".to_owned(), short);
        vec![one.channel.clone(), one.versions.join(", "), digest, one.over.clone(), one.follow.clone()]
    };
    let rows: Vec<Vec<String>> = channels.iter().map(row).collect();
    table(&["CHANNEL", "VERSIONS", "DIGEST", "OVER", "FOLLOWS"], &rows)
}
