//! The subcommands, one file each.
//!
//! Must not know how anything is done. Invariant: a command that is listed here works; `config`, `completion`, `man`,
//! `state` and `cache` join when they do.

mod info;

use crate::args::Args;
use crate::error::StargetError;
use crate::log;
use crate::session::Session;

/// What can be asked for.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// List the layers of an image and say how each can be read.
    Info(info::InfoArgs),
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
        match args.command {
            Command::Info(args) => info::run(&session, &args).await,
        }
    })
}
