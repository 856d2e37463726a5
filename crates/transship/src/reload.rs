//! Takes over a changed configuration while serving.
//!
//! Must not decide what is good (that is `config`). Invariants: a configuration with problems changes nothing; what
//! waits for a restart is said; pulls under way are not touched.

use anyhow::Result;

use crate::config::{Config, Sources};
use crate::logging::Logging;
use crate::sealing_keys;
use crate::wire::{House, builtins};

/// Reads the configuration again when told.
pub(crate) struct Reloader<'a> {
    sources: Sources,
    current: Config,
    logging: &'a Logging,
}

impl<'a> Reloader<'a> {
    /// `current` is what runs, read from `sources`.
    pub(crate) fn new(sources: Sources, current: Config, logging: &'a Logging) -> Self {
        Self { sources, current, logging }
    }

    /// The configuration in use.
    pub(crate) fn current(&self) -> &Config {
        &self.current
    }

    /// Reads the configuration and takes over what can be. `why` is what caused it, for the log.
    pub(crate) async fn reload(&mut self, house: &House, why: &'static str) {
        let sources = self.sources.clone();
        let loaded = tokio::task::spawn_blocking(move || sources.load()).await;
        match loaded {
            Ok(Ok(next)) => self.take_over(next, house, why).await,
            Ok(Err(problems)) => {
                for problem in problems.iter() {
                    tracing::error!(%problem, "wrong in the changed configuration");
                }
                tracing::error!(why, "the changed configuration has problems; the old one stays in use");
            }
            Err(error) => tracing::error!(%error, "the configuration could not be read; the old one stays in use"),
        }
    }

    async fn take_over(&mut self, next: Config, house: &House, why: &'static str) {
        for field in waits_for_restart(&self.current, &next) {
            tracing::warn!(field, "changed, but takes effect at the next start only");
        }
        if let Some(Err(error)) = house.tls.as_ref().map(server::Tls::reload) {
            tracing::error!(%error, "the certificate could not be read again; the old one stays in use");
        }
        if let Err(error) = self.change_keys(house).await {
            tracing::error!(
                error = format!("{error:#}"),
                "the keys for stored credentials could not be changed; the former ones stay in use"
            );
        }
        if let Err(error) = self.apply(&next, house).await {
            tracing::error!(error = format!("{error:#}"), "the changed configuration could not be taken over in full");
            return;
        }
        tracing::info!(why, repositories = next.repositories.len(), "configuration reloaded");
        self.current = kept(&self.current, next);
    }

    /// Reads the key file again. Once nothing is sealed with a former key, that leaves the file: who rotates waits for it.
    async fn change_keys(&self, house: &House) -> Result<()> {
        let Some(file) = self.current.sealing_keys.file(house.cache_dir.sealing_keys()) else { return Ok(()) };
        let keys = sealing_keys::read(&file)?;
        let rotated = keys.has_former();
        let resealed = house.metadata.change_keys(keys).await?;
        if rotated {
            tracing::info!(documents = resealed, "stored credentials are sealed with a new key");
            if let Err(error) = sealing_keys::drop_former(&file) {
                let error = format!("{error:#}");
                tracing::warn!(error, "nothing needs the former key any more; take it out of the file");
            }
        }
        Ok(())
    }

    async fn apply(&self, next: &Config, house: &House) -> Result<()> {
        let budget = house.cache_dir.budget(next.max_size)?;
        house.registry.reload(next.repositories.clone(), builtins(next), next.upstream.clone(), budget.0).await?;
        house.registry.set_entrance_login(next.v2_login);
        house.registry.set_gc(next.gc);
        self.logging.set_level(&next.log_level)?;
        Ok(())
    }
}

/// `next`, but with what cannot change while running as it is in `running`: the next reload compares with what runs.
fn kept(running: &Config, next: Config) -> Config {
    Config {
        listen: running.listen.clone(),
        public_url: running.public_url.clone(),
        cache_dir: running.cache_dir.clone(),
        tls: running.tls.clone(),
        log_format: running.log_format,
        otlp_endpoint: running.otlp_endpoint.clone(),
        admin_token: running.admin_token.clone(),
        sealing_keys: running.sealing_keys.clone(),
        shutdown_timeout: running.shutdown_timeout,
        max_connections: running.max_connections,
        ..next
    }
}

/// The fields that differ and cannot be changed while running.
fn waits_for_restart(running: &Config, next: &Config) -> Vec<&'static str> {
    [
        ("listen", running.listen != next.listen),
        ("cache_dir", running.cache_dir != next.cache_dir),
        ("tls", running.tls != next.tls),
        ("log.format", running.log_format != next.log_format),
        ("public_url", running.public_url != next.public_url),
        ("tracing.otlp_endpoint", running.otlp_endpoint != next.otlp_endpoint),
        ("admin.token_file", !running.admin_token.same_place(&next.admin_token)),
        ("secrets.key_file", !running.sealing_keys.same_place(&next.sealing_keys)),
        ("shutdown_timeout", running.shutdown_timeout != next.shutdown_timeout),
        ("limits.max_connections", running.max_connections != next.max_connections),
    ]
    .into_iter()
    .filter_map(|(field, changed)| changed.then_some(field))
    .collect()
}
