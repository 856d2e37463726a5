//! `transship serve`: read the configuration, start, run until told to stop, leave things in order.
//!
//! Must not know how any part works. Invariants: a wrong configuration ends it before anything is touched; after a
//! stop, responses are finished or cut, fills are published or resumable, and the log is written.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use registry::ConfiguredRepository;
use server::{AccessLog, Drained, MakeSpan};
use tokio::runtime::Builder;

use crate::args::ServeArgs;
use crate::banner::Banner;
use crate::cache_dir::CacheDir;
use crate::config::{Config, Environment, Sources};
use crate::logging::{LogFormat, Logging};
use crate::otel::{self, Traces};
use crate::reload::Reloader;
use crate::signals::{Signals, Wish};
use crate::watch::FileWatch;
use crate::wire::{self, House};
use crate::{fail, process_limits, usage_error};

/// How long fills have to write down where they are, at least, and after a second signal.
const LAST_MOMENT: Duration = Duration::from_millis(500);

/// Threads for what blocks: the disk and name resolution. The default of 512 costs more memory in stacks and heaps than
/// any disk gains.
const BLOCKING_THREADS: usize = 128;

/// Runs the server.
pub(crate) fn serve(args: ServeArgs) -> ExitCode {
    let sources = args.sources(Environment::of_process());
    let config = match sources.load() {
        Ok(config) => config,
        Err(problems) => return fail(usage_error(), &problems),
    };
    match prepare_and_run(sources, config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(ExitCode::FAILURE, &format!("{error:#}")),
    }
}

fn prepare_and_run(sources: Sources, config: Config) -> Result<()> {
    process_limits::keep_files_private();
    // The exporter's client blocks, so it is made and ended outside the runtime.
    let traces =
        config.otlp_endpoint.as_ref().map(Traces::start).transpose().context("cannot set up the export of traces")?;
    let format = config.log_format.unwrap_or_else(LogFormat::by_terminal);
    let logging = Logging::install(&config.log_level, format, traces.as_ref()).context("cannot set up the log")?;
    for (name, meant) in sources.environment.misspelt() {
        tracing::warn!(name, meant, "unknown environment variable; did you mean the other?");
    }
    let make_span = traces.is_some().then(|| Arc::new(otel::root_span) as MakeSpan);
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name("transship")
        .build()
        .context("cannot start threads")?;
    let (access_log, lines) = logging.access_log(format).context("cannot start the access log")?;
    let result = runtime.block_on(run(sources, config, &logging, access_log, make_span));
    runtime.shutdown_timeout(LAST_MOMENT);
    lines.finish();
    if let Some(Err(error)) = traces.map(Traces::stop) {
        tracing::warn!(%error, "the last traces were not taken by the collector");
    }
    result
}

async fn run(
    sources: Sources,
    config: Config,
    logging: &Logging,
    access_log: AccessLog,
    make_span: Option<MakeSpan>,
) -> Result<()> {
    // Before anything is made: a signal during the start must not leave half of it.
    let mut signals = Signals::listen().context("cannot listen to signals")?;
    let open_files = process_limits::raise_open_files();
    let cache_dir = CacheDir::open(&config.cache_dir)?;
    // Before the certificate and the keys are read, so that no change of them is missed.
    let mut watch = FileWatch::start(watched(&sources, &config, &cache_dir));
    let house = wire::build(&config, cache_dir, access_log, make_span).await?;
    watch.take_new_files();
    announce(&house, &config, open_files);
    let mut reloader = Reloader::new(sources, config, logging);
    let mut changes = house.registry.changes();
    let signal = loop {
        tokio::select! {
            wish = signals.next() => match wish {
                Wish::Stop(signal) => break signal,
                Wish::Reload => reloader.reload(&house, "SIGHUP").await,
            },
            () = watch.changed() => reloader.reload(&house, "file changed").await,
            Ok(()) = changes.changed() => house.open_repository_listeners().await,
        }
    };
    stop(&house, signals, signal, reloader.current().shutdown_timeout).await;
    Ok(())
}

/// The files whose change reloads.
fn watched(sources: &Sources, config: &Config, cache_dir: &CacheDir) -> Vec<PathBuf> {
    let tls = config.tls.iter().flat_map(|files| [files.cert.clone(), files.key.clone()]);
    let keys = config.sealing_keys.file(cache_dir.sealing_keys());
    let proxies = config.repositories.iter().filter_map(|repo| match repo {
        ConfiguredRepository::Proxy(spec) => Some(spec),
        ConfiguredRepository::Hosted(_) | ConfiguredRepository::Group(_) => None,
    });
    let upstreams = proxies.flat_map(|repo| std::iter::once(&repo.upstream).chain(&repo.mirrors));
    let certificates = upstreams.flat_map(|upstream| upstream.network.files.iter().cloned());
    sources.file.iter().cloned().chain(tls).chain(keys).chain(certificates).collect()
}

fn announce(house: &House, config: &Config, open_files: Option<u64>) {
    let own = config.repositories.first().map(|r| format!("{}/<name>", r.key()));
    let image = if config.builtin_upstreams { Some("dockerhub/library/alpine") } else { own.as_deref() };
    let banner = Banner {
        listen: &house.addresses,
        scheme: if house.tls.is_some() { "https" } else { "http" },
        cache_dir: house.cache_dir.root(),
        budget: house.budget,
        admin_token: house.admin_token.as_deref(),
        image,
    };
    if let Err(error) = std::io::stdout().write_all(banner.text().as_bytes()) {
        tracing::debug!(%error, "standard output takes nothing");
    }
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        listen = ?house.addresses,
        cache_dir = %house.cache_dir.root().display(),
        max_size = %house.budget,
        open_files,
        "serving"
    );
}

/// Finishes responses under way, then leaves fills published or resumable. A second signal cuts both short.
async fn stop(house: &House, mut signals: Signals, signal: &'static str, limit: Duration) {
    tracing::info!(signal, limit_secs = limit.as_secs(), "stopping: no new requests; a second signal stops at once");
    let started = Instant::now();
    house.registry.begin_shutdown();
    let left = tokio::select! {
        drained = house.listeners.drain(limit) => match drained {
            Drained::Clean => limit.saturating_sub(started.elapsed()),
            Drained::Cut(connections) => {
                tracing::warn!(connections, "connections were cut: the time for a stop was over");
                Duration::ZERO
            }
        },
        () = signals.next_stop() => {
            tracing::warn!("second signal: stopping at once");
            house.listeners.cut();
            Duration::ZERO
        }
    };
    tokio::select! {
        () = house.registry.shutdown(left.max(LAST_MOMENT)) => tracing::info!("stopped"),
        () = signals.next_stop() => tracing::warn!("stopped at once; what was being filled resumes at the next start"),
    }
}
