//! Completion of what is being typed, for bash, zsh and fish.
//!
//! ```text
//! shell ─ script ─ words, each ended by NUL ─▶ starget __complete SHELL ─▶ a candidate a line: value [TAB help]
//! ```
//!
//! clap's engine knows commands and flags; images and paths inside them are completed here. Words come through a pipe, because
//! among them may be a password. Must not print anything else. Invariants: paths are completed from the cache and ask
//! nobody; tags are asked for with short patience; whatever goes wrong, there is nothing to choose from and no error.

mod context;
mod images;
mod paths;
mod quoting;

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Command, CommandFactory};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter, complete};

use crate::args::Args;
use crate::error::StargetError;
use crate::output::Output;
use context::Context;

/// The hidden command that the scripts call.
const COMMAND: &str = "__complete";
/// Most bytes of words that are read.
const LONGEST: u64 = 1024 * 1024;

/// The shells that are completed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Shell {
    /// The script that makes the shell ask us.
    const fn script(self) -> &'static str {
        match self {
            Self::Bash => include_str!("completion/starget.bash"),
            Self::Zsh => include_str!("completion/starget.zsh"),
            Self::Fish => include_str!("completion/starget.fish"),
        }
    }
}

/// Prints the script.
pub(crate) fn print(shell: Shell) -> Result<(), StargetError> {
    let mut output = Output::open();
    output.bytes(shell.script().as_bytes())?;
    output.finish()
}

/// Answers a shell, if it is one that asks.
pub(crate) fn answer(words: &[OsString]) -> Option<ExitCode> {
    if words.get(1).is_none_or(|word| word != COMMAND) {
        return None;
    }
    let shell = words.get(2).and_then(|name| name.to_str());
    let shell = shell.and_then(|name| <Shell as clap::ValueEnum>::from_str(name, false).ok());
    let (Some(shell), Some(typed)) = (shell, typed()) else { return Some(ExitCode::FAILURE) };
    let text = candidates(shell, typed);
    // A shell that does not listen any more needs no answer.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Some(ExitCode::SUCCESS)
}

/// The words before the cursor; the last one is being typed.
fn typed() -> Option<Vec<OsString>> {
    let mut bytes = Vec::new();
    std::io::stdin().take(LONGEST).read_to_end(&mut bytes).ok()?;
    let words: Vec<OsString> =
        bytes.strip_suffix(b"\0")?.split(|byte| *byte == 0).map(|word| OsString::from_vec(word.to_vec())).collect();
    (words.len() >= 2).then_some(words)
}

/// The lines for the shell.
fn candidates(shell: Shell, typed: Vec<OsString>) -> String {
    let raw = typed.last().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    let words: Vec<OsString> = match shell {
        Shell::Bash => typed.iter().map(|word| quoting::unquoted(&word.to_string_lossy()).into()).collect(),
        Shell::Zsh | Shell::Fish => typed,
    };
    let at = words.len() - 1;
    let is_flag = words[at].to_string_lossy().starts_with('-');
    let context = Arc::new(Context::read(&words[..at]));
    let mut command = with_completers(Args::command(), &context);
    let found = complete(&mut command, words, at, std::env::current_dir().ok().as_deref()).unwrap_or_default();
    let mut text = String::new();
    for candidate in found {
        let Some(value) = candidate.get_value().to_str().filter(|value| !value.contains(char::is_control)) else {
            continue;
        };
        // The engine offers every flag when nothing is typed yet.
        if value.starts_with('-') && value != "-" && !is_flag {
            continue;
        }
        let value = if shell == Shell::Bash { quoting::for_bash(&raw, value) } else { value.to_owned() };
        text.push_str(&value);
        if let Some(help) = candidate.get_help().filter(|_| shell != Shell::Bash) {
            let help = help.to_string();
            text.push('\t');
            text.push_str(help.lines().next().unwrap_or_default());
        }
        text.push('\n');
    }
    text
}

/// The command line with the completers of images, paths, fields and registries.
fn with_completers(command: Command, context: &Arc<Context>) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    names
        .into_iter()
        .fold(command, |command, name| command.mut_subcommand(&name, |subcommand| with_arguments(subcommand, context)))
}

fn with_arguments(command: Command, context: &Arc<Context>) -> Command {
    let nested: Vec<String> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    let command = nested
        .into_iter()
        .fold(command, |command, name| command.mut_subcommand(&name, |subcommand| with_arguments(subcommand, context)));
    let names: Vec<String> = command.get_arguments().map(|argument| argument.get_id().to_string()).collect();
    names.into_iter().fold(command, |command, name| {
        // All are touched, because what is touched goes to the end and positions follow the order.
        command.mut_arg(&name, |argument| match Completed::of(&name) {
            Some(kind) => {
                let context = context.clone();
                argument.add(ArgValueCompleter::new(move |current: &OsStr| kind.candidates(&context, current)))
            }
            None => argument,
        })
    })
}

/// What is completed here, by the names of arguments.
#[derive(Clone, Copy)]
enum Completed {
    Image,
    Words,
    Output,
    Field,
    Registry,
}

impl Completed {
    fn of(argument: &str) -> Option<Self> {
        match argument {
            "image" => Some(Self::Image),
            "words" => Some(Self::Words),
            "output" => Some(Self::Output),
            "field" => Some(Self::Field),
            "registry" => Some(Self::Registry),
            _ => None,
        }
    }

    fn candidates(self, context: &Context, current: &OsStr) -> Vec<CompletionCandidate> {
        let Some(text) = current.to_str() else { return Vec::new() };
        match self {
            Self::Image => images::images(context, text),
            Self::Words if context.is_local_path() => PathCompleter::any().stdio().complete(current),
            Self::Words => paths::paths(context, text),
            Self::Output => PathCompleter::any().stdio().complete(current),
            Self::Field => images::beginning_with(text, context.fields()),
            Self::Registry => images::beginning_with(text, context.registries()),
        }
    }
}

#[cfg(test)]
mod tests;
