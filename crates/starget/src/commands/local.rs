//! The subcommands that are about this machine and not about an image.
//!
//! Must not know how anything is done. Invariant: they work with a configuration that is wrong, where they are what mends it.

use super::cache::{self, CacheCommand};
use super::config::{self, ConfigCommand};
use super::man::{self, ManArgs};
use super::state::{self, StateCommand};
use crate::args::Options;
use crate::completion::{self, Shell};
use crate::error::StargetError;

/// What can be asked for besides images.
#[derive(clap::Subcommand)]
pub(crate) enum LocalCommand {
    /// Read and change the configuration file; log in and out
    #[command(subcommand)]
    Config(ConfigCommand),
    /// List or remove kept manifests and tables of contents
    #[command(subcommand)]
    Cache(CacheCommand),
    /// List or forget downloads that were broken off
    #[command(subcommand)]
    State(StateCommand),
    /// Print the script that makes a shell complete commands, images and paths inside them
    #[command(after_help = COMPLETION)]
    Completion {
        /// The shell
        shell: Shell,
    },
    /// Write manual pages
    Man(ManArgs),
}

const COMPLETION: &str = "\
In ~/.bashrc:                  source <(starget completion bash)
In ~/.zshrc, after compinit:   source <(starget completion zsh)
In ~/.config/fish/config.fish: starget completion fish | source

Images are those of earlier runs and registries of the configuration; behind a colon, the tags that the registry has. Paths
inside an image are known once it was listed or read.";

impl LocalCommand {
    /// Whether the configuration file must be good.
    pub(crate) fn uses_configuration(&self) -> bool {
        match self {
            Self::Config(command) => command.uses_configuration(),
            Self::Cache(_) | Self::State(_) => true,
            Self::Completion { .. } | Self::Man(_) => false,
        }
    }
}

/// Runs the command.
pub(crate) fn run(options: &Options, command: LocalCommand) -> Result<(), StargetError> {
    match command {
        LocalCommand::Config(command) => config::run(options, command),
        LocalCommand::Cache(command) => cache::run(options, &command),
        LocalCommand::State(command) => state::run(options, &command),
        LocalCommand::Completion { shell } => completion::print(shell),
        LocalCommand::Man(args) => man::run(&args),
    }
}
