//! `transship config …`: check a file, print the schema or the reference.
//!
//! Must not start anything. Invariant: `check` reports what `serve` would report for the same file.

use std::process::ExitCode;

use crate::args::ConfigCommand;
use crate::config::{Config, Environment, Sources, env_vars, reference, schema};
use crate::{fail, print, usage_error};

/// Runs the command.
pub(crate) fn run(command: &ConfigCommand) -> ExitCode {
    match command {
        ConfigCommand::Check { file } => {
            let environment = Environment::of_process();
            let file = file.clone().or_else(|| environment.get(env_vars::CONFIG).map(Into::into));
            if file.is_none() {
                return fail(usage_error(), &"no file to check; name one: transship config check FILE");
            }
            match (Sources { file, flags: Vec::new(), environment }).load() {
                Ok(config) => print(&summary(&config)),
                Err(problems) => fail(usage_error(), &problems),
            }
        }
        ConfigCommand::Schema => print(&format!("{:#}\n", schema())),
        ConfigCommand::Reference => print(&reference()),
    }
}

fn summary(config: &Config) -> String {
    let listen: Vec<String> = config.listen.iter().map(ToString::to_string).collect();
    let keys: Vec<&str> = config.repositories.iter().map(|r| r.key().as_ref()).collect();
    let keys = if keys.is_empty() { "none".to_owned() } else { keys.join(", ") };
    format!("good: listens on {}, caches in {}, repositories: {keys}\n", listen.join(", "), config.cache_dir.display())
}
