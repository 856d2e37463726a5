//! `starget man`: the manual pages.
//!
//! Must not know the commands. Invariant: pages and `--help` are made from the same words.

use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};

use crate::args::Args;
use crate::error::StargetError;
use crate::output::note;

/// What is typed after `starget man`.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  starget man ~/.local/share/man/man1 && man starget-get")]
pub(crate) struct ManArgs {
    /// The folder for the pages; made when it is not there
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Writes a page for each command.
pub(super) fn run(args: &ManArgs) -> Result<(), StargetError> {
    let failed = |doing| {
        let path = args.folder.clone();
        move |source| StargetError::Io { doing, path, source }
    };
    std::fs::create_dir_all(&args.folder).map_err(failed("make the folder"))?;
    write(&args.folder).map_err(failed("write the manual pages into"))?;
    note(&format!("the manual pages are in {}", args.folder.display()));
    Ok(())
}

fn write(folder: &Path) -> std::io::Result<()> {
    clap_mangen::generate_to(with_all_help(Args::command()), folder)
}

/// Pages are the long help: what `-h` leaves out is in them.
fn with_all_help(command: Command) -> Command {
    command.mut_args(|argument| argument.hide_short_help(false)).mut_subcommands(with_all_help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path()).unwrap();
        for command in Args::command().get_subcommands() {
            let page = folder.path().join(format!("starget-{}.1", command.get_name()));
            let text = std::fs::read_to_string(&page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
            assert!(text.contains(".TH"), "{}", page.display());
        }
        let text = std::fs::read_to_string(folder.path().join("starget.1")).unwrap();
        assert!(text.contains("Exit codes"), "{text}");
        let text = std::fs::read_to_string(folder.path().join("starget-config-login.1")).unwrap();
        assert!(text.contains("Where downloads that were broken off are remembered"), "{text}");
    }
}
