//! The subcommands, one file each.
//!
//! Must not know how anything is done. Invariant: a command that is listed here works; `config`, `completion`, `man`,
//! `state` and `cache` join when they do.

mod cat;
mod get;
mod info;
mod ls;
mod stat;
mod verify;

use crate::args::Args;
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

/// Runs what was typed.
pub(crate) fn run(args: Args) -> Result<(), StargetError> {
    log::install(&args.options);
    let session = Session::new(&args.options)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|source| StargetError::Stream { doing: "start", source })?;
    runtime.block_on(async {
        // A task, because parts of the work say where they block their thread, which the first one must not.
        match args.command {
            Command::Info(args) => info::run(&session, &args).await,
            Command::Ls(args) => ls::run(&session, &args).await,
            Command::Get(args) => get::run(&session, *args).await,
            Command::Cat(args) => cat::run(&session, &args).await,
            Command::Stat(args) => stat::run(&session, &args).await,
            Command::Verify(args) => verify::run(&session, &args).await,
        }
    })
}
