//! `starget config edit`: the file in an editor.
//!
//! A copy is edited; it takes the file's place when it is good. Must not know fields. Invariant: what was typed into the
//! editor is never lost: a copy that is wrong stays beside the file.

use std::io::{BufRead, IsTerminal};
use std::path::Path;
use std::process::Command;

use super::{text, usage};
use crate::config::{self, Config, Place};
use crate::error::StargetError;
use crate::output::note;
use crate::report::as_lines;

/// What a new file begins with.
const FIRST: &str = "\
# starget's configuration; `starget config reference` says what can stand here.
#defaults:
#  concurrency: 8
#registries:
#  ghcr.io:
#    mirrors: [http://127.0.0.1:5000]
";

/// Runs the editor until the copy is good.
pub(super) fn run(place: &Place) -> Result<(), StargetError> {
    let before = text(place)?;
    let copy = place.file().with_file_name("config.edit.yaml");
    if copy.exists() {
        note(&format!("going on with what the last edit left in {}", copy.display()));
    } else {
        config::publish(&copy, if before.is_empty() { FIRST } else { &before })?;
    }
    loop {
        edit(&copy)?;
        let after = std::fs::read_to_string(&copy).map_err(|source| StargetError::Io {
            doing: "read",
            path: copy.clone(),
            source,
        })?;
        if after == before || (before.is_empty() && after == FIRST) {
            note("nothing was changed");
            return discard(&copy);
        }
        match Config::parse(&after, place.file()) {
            Ok(_) => {
                config::publish(place.file(), &after)?;
                return discard(&copy);
            }
            Err(problems) => {
                let error = StargetError::Config(problems);
                if !wants_again(&error) {
                    note(&format!("{} is as it was; what you wrote is in {}", place.file().display(), copy.display()));
                    return Err(error);
                }
            }
        }
    }
}

fn discard(copy: &Path) -> Result<(), StargetError> {
    std::fs::remove_file(copy).map_err(|source| StargetError::Io { doing: "remove", path: copy.to_owned(), source })
}

fn wants_again(error: &StargetError) -> bool {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return false;
    }
    as_lines(error).lines().for_each(note);
    note("edit it again? [Y/n] ");
    let mut answer = String::new();
    let read = stdin.lock().read_line(&mut answer);
    matches!(read, Ok(count) if count > 0) && !answer.trim().eq_ignore_ascii_case("n")
}

/// `$VISUAL` and `$EDITOR` may have arguments, so a shell reads them, as for git and crontab.
fn edit(file: &Path) -> Result<(), StargetError> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    let editor = variable("VISUAL").or_else(|| variable("EDITOR")).unwrap_or_else(|| "vi".to_owned());
    let status = Command::new("sh").arg("-c").arg(format!("{editor} \"$1\"")).arg("sh").arg(file).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(usage(format!(
            "the editor '{editor}' ended with {status}; set VISUAL or EDITOR, or edit {} and copy it yourself",
            file.display()
        ))),
        Err(source) => Err(StargetError::Stream { doing: "start the editor", source }),
    }
}
