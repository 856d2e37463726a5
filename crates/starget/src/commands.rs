//! The subcommands, one file each.
//!
//! Must not know how anything is done. Invariant: a command that is listed here works.

mod age;
mod cache;
mod cat;
mod config;
mod get;
mod info;
mod local;
mod ls;
mod man;
mod stat;
mod state;
mod verify;

use crate::args::{Args, Options};
use crate::error::StargetError;
use crate::log;
use crate::session::Session;

/// What can be asked for.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// List the layers of an image and say how each can be read
    #[command(visible_alias = "layers")]
    Info(info::InfoArgs),
    /// List files of an image, or of one of its layers
    Ls(ls::LsArgs),
    /// Download files and directories
    Get(Box<get::GetArgs>),
    /// Write the content of files to standard output
    Cat(cat::CatArgs),
    /// Say all that is known of files
    Stat(stat::StatArgs),
    /// Read content and compare it with its digests, without keeping it
    Verify(verify::VerifyArgs),
}

/// All commands.
#[derive(clap::Subcommand)]
pub(crate) enum AnyCommand {
    #[command(flatten)]
    Image(Command),
    #[command(flatten)]
    Local(local::LocalCommand),
}

impl AnyCommand {
    /// Whether the configuration file must be good.
    pub(crate) fn uses_configuration(&self) -> bool {
        match self {
            Self::Image(_) => true,
            Self::Local(command) => command.uses_configuration(),
        }
    }

    /// Whether a configuration file that is not there yet is no mistake.
    pub(crate) fn may_make_configuration(&self) -> bool {
        matches!(self, Self::Local(local::LocalCommand::Config(config::ConfigCommand::Login(_))))
    }
}

/// Runs what was typed.
pub(crate) fn run(args: Args) -> Result<(), StargetError> {
    log::install(&args.options);
    match args.command {
        AnyCommand::Image(command) => on_image(&args.options, command),
        AnyCommand::Local(command) => local::run(&args.options, command),
    }
}

/// Prints where something is.
fn print_path(folder: &std::path::Path) -> Result<(), StargetError> {
    let mut output = crate::output::Output::open();
    output.line(&folder.display().to_string())?;
    output.finish()
}

/// What futures run on.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, StargetError> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|source| StargetError::Stream { doing: "start", source })
}

fn on_image(options: &Options, command: Command) -> Result<(), StargetError> {
    let session = Session::new(options)?;
    runtime()?.block_on(async {
        // A task, because parts of the work say where they block their thread, which the first one must not.
        match command {
            Command::Info(args) => info::run(&session, &args).await,
            Command::Ls(args) => ls::run(&session, &args).await,
            Command::Get(args) => get::run(&session, *args).await,
            Command::Cat(args) => cat::run(&session, &args).await,
            Command::Stat(args) => stat::run(&session, &args).await,
            Command::Verify(args) => verify::run(&session, &args).await,
        }
    })
}
