//! Takes over a changed configuration while serving.
//!
//! Must not decide what is good (that is `config`). Invariants: a configuration with problems changes nothing; what
//! waits for a restart is said; pulls under way are not touched.

use anyhow::Result;

use crate::config::{Config, Sources};
use crate::logging::Logging;
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
        if let Err(error) = self.apply(&next, house).await {
            tracing::error!(error = format!("{error:#}"), "the changed configuration could not be taken over in full");
            return;
        }
        tracing::info!(why, repositories = next.repositories.len(), "configuration reloaded");
        self.current = kept(&self.current, next);
    }

    async fn apply(&self, next: &Config, house: &House) -> Result<()> {
        let budget = house.cache_dir.budget(next.max_size)?;
        house.registry.reload(next.repositories.clone(), builtins(next), budget.0).await?;
        self.logging.set_level(&next.log_level)?;
        Ok(())
    }
}

/// `next`, but with what cannot change while running as it is in `running`: the next reload compares with what runs.
fn kept(running: &Config, next: Config) -> Config {
    Config {
        listen: running.listen.clone(),
        cache_dir: running.cache_dir.clone(),
        tls: running.tls.clone(),
        log_format: running.log_format,
        otlp_endpoint: running.otlp_endpoint.clone(),
        admin_token: running.admin_token.clone(),
        upstream: running.upstream.clone(),
        shutdown_timeout: running.shutdown_timeout,
        max_connections: running.max_connections,
        ..next
    }
}

/// The fields that differ and cannot be changed while running.
fn waits_for_restart(running: &Config, next: &Config) -> Vec<&'static str> {
    let timeouts = (&running.upstream.timeouts, running.upstream.max_attempts)
        != (&next.upstream.timeouts, next.upstream.max_attempts);
    [
        ("listen", running.listen != next.listen),
        ("cache_dir", running.cache_dir != next.cache_dir),
        ("tls", running.tls != next.tls),
        ("log.format", running.log_format != next.log_format),
        ("tracing.otlp_endpoint", running.otlp_endpoint != next.otlp_endpoint),
        ("admin.token_file", !running.admin_token.same_place(&next.admin_token)),
        ("upstream", timeouts),
        ("shutdown_timeout", running.shutdown_timeout != next.shutdown_timeout),
        ("limits.max_connections", running.max_connections != next.max_connections),
    ]
    .into_iter()
    .filter_map(|(field, changed)| changed.then_some(field))
    .collect()
}
