//! The log: what is done, on standard error, when it was asked for.
//!
//! Must not know what is logged. Invariants: nothing without `--verbose` or `--debug` but warnings; libraries say
//! warnings only, because at finer levels HTTP libraries print headers.

use std::io::IsTerminal;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::args::Options;

/// Installs the log for this run.
pub(crate) fn install(options: &Options) {
    let level = match (options.debug, options.verbose) {
        (true, _) => LevelFilter::DEBUG,
        (false, true) => LevelFilter::INFO,
        (false, false) => LevelFilter::WARN,
    };
    let ours = Targets::new().with_default(LevelFilter::WARN).with_target("starget", level);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .with_span_events(FmtSpan::NONE);
    let registry = tracing_subscriber::registry().with(ours);
    // A second log in one process is a mistake of ours that a user need not hear of.
    let _ = if options.json { registry.with(lines.json()).try_init() } else { registry.with(lines).try_init() };
}
