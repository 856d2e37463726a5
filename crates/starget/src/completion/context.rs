//! What the words before the cursor say: the image, the layer, and the settings that would hold.
//!
//! Must not ask anybody. Invariant: words that are wrong or incomplete leave something out, and nothing fails.

use std::ffi::OsString;
use std::sync::Arc;

use clap::{ArgMatches, CommandFactory, FromArgMatches};
use oci::Digest;

use crate::args::{Args, Options};
use crate::config::{Config, FieldPath, Place};
use crate::history::{self, Remembered};
use crate::image::{ImageRef, Target};
use crate::settings::Settings;

/// What is known at the cursor.
pub(super) struct Context {
    command: String,
    /// The image that stands before the cursor.
    pub(super) image: Option<String>,
    /// The words behind it.
    target: Target,
    pub(super) settings: Option<Settings>,
}

impl Context {
    /// Reads the words before the one that is being typed.
    pub(super) fn read(words: &[OsString]) -> Self {
        let place = |options: Option<&Options>| Place::find(options.and_then(|options| options.config.as_deref()));
        let lenient = |command: clap::Command| command.ignore_errors(true).try_get_matches_from(words).ok();
        let first = lenient(Args::command());
        let first = first.and_then(|matches| Options::from_arg_matches(&matches).ok());
        let config = place(first.as_ref()).and_then(|place| Config::load(&place).ok()).unwrap_or_default();
        let matches = lenient(config.defaults.apply(Args::command()));
        let settings = matches.as_ref().and_then(|matches| settings(matches, config));
        let (command, image, typed) = matches.as_ref().and_then(ArgMatches::subcommand).map(typed).unwrap_or_default();
        let target = Target::read(&typed).unwrap_or(Target { layer: None, words: typed });
        Self { command, image, target, settings }
    }

    /// The layer that was named.
    pub(super) fn layer(&self) -> Option<&Digest> {
        self.target.layer.as_ref()
    }

    /// Whether the word at the cursor may be a layer: the first one behind the image.
    pub(super) fn may_be_layer(&self) -> bool {
        self.target.layer.is_none() && self.target.words.is_empty()
    }

    /// Whether the word at the cursor is where to write to.
    pub(super) fn is_local_path(&self) -> bool {
        self.command == "get" && !self.target.words.is_empty()
    }

    /// The images of earlier runs, the latest first.
    pub(super) fn history(&self) -> Vec<Remembered> {
        let cache_dir = self.settings.as_ref().and_then(|settings| settings.cache_dir.as_deref());
        cache_dir.map(history::read).unwrap_or_default()
    }

    /// The registries of the configuration and of earlier runs.
    pub(super) fn registries(&self) -> Vec<String> {
        let configured = self.settings.iter().flat_map(|settings| settings.registries.hosts().map(str::to_owned));
        let used = self.history().into_iter().filter_map(|one| one.image.parse::<ImageRef>().ok());
        let mut hosts: Vec<String> = configured.chain(used.map(|image| image.registry.to_string())).collect();
        hosts.sort();
        hosts.dedup();
        hosts
    }

    /// The paths of fields of the configuration.
    pub(super) fn fields(&self) -> Vec<String> {
        let hosts: Vec<String> =
            self.settings.iter().flat_map(|settings| settings.registries.hosts().map(str::to_owned)).collect();
        FieldPath::all(&hosts)
    }
}

fn settings(matches: &ArgMatches, config: Config) -> Option<Settings> {
    let mut options = Options::from_arg_matches(matches).ok()?;
    options.registries = Arc::new(config.registries);
    // A password is not read from a terminal that waits for candidates.
    options.password_stdin = false;
    Settings::new(&options).or_else(|_| Settings::without_credential(&options)).ok()
}

fn typed((name, matches): (&str, &ArgMatches)) -> (String, Option<String>, Vec<String>) {
    let image = matches.try_get_one::<String>("image").ok().flatten().cloned();
    let words = matches.try_get_many::<String>("words").ok().flatten();
    (name.to_owned(), image, words.map(|words| words.cloned().collect()).unwrap_or_default())
}
