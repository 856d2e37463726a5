//! The `starget` program: lists and fetches single files of eStargz images with range requests.
//!
//! Parse, run, exit code. Must hold no rules of its own. Exit codes are those of `error::ExitReason`.

#![expect(dead_code, reason = "the commands that use the rest follow")]

mod args;
mod cache;
mod commands;
mod error;
mod image;
mod log;
mod output;
mod registry;
mod report;
mod session;
mod settings;
mod traffic;

use std::process::ExitCode;

use clap::Parser;

use args::Args;

// Entries are many small values of many sizes: the system's allocator keeps much more memory for them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return report::clap(&error),
    };
    let json_errors = args.options.json;
    match commands::run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report::error(&error, json_errors),
    }
}
