//! `transship secrets rotate`: a new key for the credentials in the metadata database.
//!
//! The new key is written to the key file first, beside the former one. A server that runs notices the file, seals its
//! credentials again and drops the former key from it; without one the command does that itself. Must not print a key.
//! Invariant: stopping it anywhere loses nothing, and running it again finishes.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use metadata::{Metadata, MetadataError};

use crate::args::SecretsCommand;
use crate::cache_dir::CacheDir;
use crate::config::{Config, Environment};
use crate::sealing_keys::{self, KeySource};
use crate::{fail, print, usage_error};

/// How long a running server may take to seal again.
const PATIENCE: Duration = Duration::from_mins(1);

/// Runs the command.
pub(crate) fn run(command: SecretsCommand) -> ExitCode {
    let SecretsCommand::Rotate(place) = command;
    let config = match place.sources(Environment::of_process()).load() {
        Ok(config) => config,
        Err(problems) => return fail(usage_error(), &problems),
    };
    match rotate(&config) {
        Ok(told) => print(&told),
        Err(error) => fail(ExitCode::FAILURE, &format!("{error:#}")),
    }
}

fn rotate(config: &Config) -> Result<String> {
    let cache_dir = CacheDir::open(&config.cache_dir)?;
    let Some(file) = config.sealing_keys.file(cache_dir.sealing_keys()) else {
        bail!(
            "the keys are given in TRANSSHIP_SECRETS_KEY: put a new one before the present one, separated by a comma, and \
             restart; then the former one can go"
        );
    };
    if matches!(config.sealing_keys, KeySource::File(_)) {
        // An operator's file must be there: a new one in its place would seal with a key that nobody kept.
        sealing_keys::read(&file)?;
    }
    sealing_keys::add_key(&file)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let opened = runtime.block_on(async {
        let metadata = Metadata::open(&cache_dir.database(), sealing_keys::read(&file)?).await;
        anyhow::Ok(match metadata {
            Ok(metadata) => {
                metadata.close().await;
                Opened::Ourselves
            }
            Err(MetadataError::InUse { .. }) => Opened::ByServer,
            Err(error) => {
                return Err(error)
                    .context("the stored credentials could not be sealed with the new key; both keys are in the file");
            }
        })
    })?;
    match opened {
        Opened::Ourselves => sealing_keys::drop_former(&file)?,
        Opened::ByServer => wait_for_server(&file)?,
    }
    let id = sealing_keys::read(&file)?.current().id().to_owned();
    Ok(format!("stored credentials are sealed with a new key, {id}, in {}; the former one is gone\n", file.display()))
}

/// Who has the database.
enum Opened {
    Ourselves,
    ByServer,
}

/// The server drops the former key from the file once nothing needs it.
fn wait_for_server(file: &Path) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    while sealing_keys::read(file)?.has_former() {
        if Instant::now() > until {
            bail!(
                "the running server has not taken the new key within {} s: see its log, or restart it; {} holds both keys, \
                 nothing is lost",
                PATIENCE.as_secs(),
                file.display()
            );
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}
