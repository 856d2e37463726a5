//! The `transship` program: parse, wire, run, exit code.
//!
//! Must hold no rules of the registry. Exit codes: 0 as asked, 1 something failed while running, 2 the command line
//! or the configuration is wrong. Checks of registries and transfers have their own, see `check` and `transfer`.

mod admin_token;
mod api_client;
mod args;
mod banner;
mod cache_dir;
mod channel;
mod check;
mod client_config;
mod commands;
mod config;
mod explain;
mod gc;
mod group;
mod logging;
mod managing;
mod metrics_reference;
mod mock_script;
mod otel;
mod private_file;
mod process_limits;
mod promote;
mod reload;
mod retention;
mod sealing_keys;
mod signals;
mod tag;
mod transfer;
mod watch;
mod wire;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command, UpstreamCommand};

// Many small buffers of many threads. Without huge pages (the feature `no_thp`): with them a page of 2 MiB stays resident for each small
// piece left in it, which doubled what hundreds of fills at once took.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match Args::parse().command {
        Command::Serve(args) => commands::serve::serve(*args),
        Command::ClientConfig(args) => commands::client_config::run(args),
        Command::Secrets { command } => commands::secrets::run(command),
        Command::Config { command } => commands::config::run(&command),
        Command::Check(args) => check::check(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Promote(args) => promote::run(*args),
        Command::Channel { command } => channel::run(command),
        Command::Retention { command } => retention::run(command),
        Command::Tag { command } => tag::run(command),
        Command::Promotions { command } => promote::run_list(command),
        Command::Gc(args) => gc::run(&args),
        Command::Group { command } => group::run(&command),
        Command::Push(args) => transfer::push(&args),
        Command::Pull(args) => transfer::pull(&args),
        Command::Copy(args) => transfer::copy(&args),
        Command::Export(args) => transfer::export(&args),
        Command::Import(args) => transfer::import(&args),
        Command::Upstream { command: UpstreamCommand::Check(args) } => check::check_upstream(&args),
        Command::MockUpstream(args) => commands::mock_upstream::run(&args),
        Command::MetricsReference => print(&metrics_reference::reference()),
        Command::UpstreamsReference => print(&client::profiles::markdown()),
        Command::Version => print(concat!("transship ", env!("CARGO_PKG_VERSION"), "\n")),
    }
}

/// Writes a command's result to standard output.
fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(ExitCode::FAILURE, &error),
    }
}

/// Says on standard error why the program ends.
fn fail(code: ExitCode, error: &dyn std::fmt::Display) -> ExitCode {
    // When standard error is gone too, the exit code is all that is left.
    let _ = writeln!(std::io::stderr(), "transship: {error}");
    code
}

/// The command line or the configuration is wrong.
fn usage_error() -> ExitCode {
    ExitCode::from(2)
}
