//! The subcommands that are about this machine and not about an image.
//!
//! Must not know how anything is done. Invariant: they work with a configuration that is wrong, where they are what mends it.

use crate::args::Options;
use crate::error::StargetError;

use super::config::{self, ConfigCommand};

/// What can be asked for besides images.
#[derive(clap::Subcommand)]
pub(crate) enum LocalCommand {
    /// Read and change the configuration file; log in and out
    #[command(subcommand)]
    Config(ConfigCommand),
}

impl LocalCommand {
    /// Whether the configuration file must be good.
    pub(crate) fn uses_configuration(&self) -> bool {
        match self {
            Self::Config(command) => command.uses_configuration(),
        }
    }
}

/// Runs the command.
pub(crate) fn run(options: &Options, command: LocalCommand) -> Result<(), StargetError> {
    match command {
        LocalCommand::Config(command) => config::run(options, command),
    }
}
