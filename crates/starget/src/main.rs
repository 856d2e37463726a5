//! The `starget` program: lists and fetches single files of eStargz images with range requests.
//!
//! Parse, run, exit code. The system's allocator is used: it moves large tables as they grow, where others copy them, which
//! halves the memory for a large image. Must hold no rules of its own. Exit codes are those of `error::ExitReason`.

mod advice;
mod args;
mod cache;
mod command_line;
mod commands;
mod completion;
mod config;
mod error;
mod extract;
mod fetch;
mod history;
mod image;
mod layers;
mod log;
mod output;
mod patience;
mod progress;
mod registry;
mod report;
mod resume;
mod select;
mod session;
mod settings;
mod traffic;
mod typed_values;

use std::ffi::OsString;
use std::process::ExitCode;

use command_line::{Form, Stop};

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    if let Some(code) = completion::answer(&words) {
        return code;
    }
    let args = match command_line::read(&words) {
        Ok(args) => args,
        Err(Stop::Clap(error)) => return report::clap(&error, Form::asked_for(&words)),
        Err(Stop::Config(error, form)) => return report::error(&error, form),
    };
    let form = if args.options.json { Form::Json } else { Form::Text };
    match commands::run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report::error(&error, form),
    }
}
