//! From words to arguments, with the configuration's defaults under them.
//!
//! The words are read twice: first to learn which configuration file counts, then with that file's values as the defaults
//! of the flags. Must not know what any flag means. Invariant: flags win over variables, variables over the file.

use std::ffi::OsString;
use std::sync::Arc;

use clap::parser::ValueSource;
use clap::{ArgMatches, Command, CommandFactory, FromArgMatches};

use crate::args::Args;
use crate::config::{Config, Place};
use crate::error::StargetError;

/// Why there are no arguments.
pub(crate) enum Stop {
    /// The words are wrong, or ask for help.
    Clap(Box<clap::Error>),
    /// The configuration is wrong; `json` says how to tell it.
    Config(StargetError, Form),
}

/// How errors are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    Json,
}

impl Form {
    /// What was asked for in words that cannot be read.
    pub(crate) fn asked_for(words: &[OsString]) -> Self {
        if words.iter().any(|word| word == "--json") { Self::Json } else { Self::Text }
    }
}

impl From<clap::Error> for Stop {
    fn from(error: clap::Error) -> Self {
        Self::Clap(Box::new(error))
    }
}

/// Reads the words, the program's name first.
pub(crate) fn read(words: &[OsString]) -> Result<Args, Stop> {
    let args = Args::from_arg_matches(&Args::command().try_get_matches_from(words)?)?;
    if !args.command.uses_configuration() {
        return Ok(args);
    }
    let Some(place) = Place::find(args.options.config.as_deref()) else { return Ok(args) };
    let form = if args.options.json { Form::Json } else { Form::Text };
    let config = match Config::load(&place) {
        // A file that was named is made when something is written to it.
        Err(_) if args.command.may_make_configuration() && !place.file().exists() => Config::default(),
        loaded => loaded.map_err(|problems| Stop::Config(StargetError::Config(problems), form))?,
    };
    with(config, |command| command.try_get_matches_from(words)).map_err(Stop::from)
}

/// The arguments that `read` gets from the command line once it has the file's defaults.
pub(crate) fn with(
    config: Config,
    read: impl FnOnce(Command) -> Result<ArgMatches, clap::Error>,
) -> Result<Args, clap::Error> {
    let matches = read(config.defaults.apply(Args::command()))?;
    let mut args = Args::from_arg_matches(&matches)?;
    let mut registries = config.registries;
    let of_file = matches.value_source("mirrors") == Some(ValueSource::DefaultValue);
    registries.mirrors_are_defaults = of_file && config.defaults.has("mirrors");
    args.options.registries = Arc::new(registries);
    Ok(args)
}
