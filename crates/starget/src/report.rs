//! Shows an error: a line with its causes for people, one JSON object for programs.
//!
//! Must not know what the errors mean. Invariants: errors go to standard error and nowhere else; no control character of
//! a registry's words reaches the terminal.

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use serde_json::json;

use crate::error::{ExitReason, StargetError};
use crate::output::plain;

/// Shows what was wrong with the command line, or the help that was asked for.
pub(crate) fn clap(error: &clap::Error) -> ExitCode {
    // When the terminal is gone too, the exit code is all that is left.
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(ExitReason::Usage.code()) } else { ExitCode::SUCCESS }
}

/// Shows why the program ends.
pub(crate) fn error(error: &StargetError, json: bool) -> ExitCode {
    if error.is_broken_pipe() {
        // Whoever read our output has what they wanted.
        return ExitCode::SUCCESS;
    }
    let text = if json { as_json(error).to_string() } else { format!("starget: {}", as_text(error)) };
    // As above.
    let _ = writeln!(std::io::stderr(), "{text}");
    ExitCode::from(error.reason().code())
}

/// The error and its causes in one line.
pub(crate) fn as_text(error: &StargetError) -> String {
    let mut text = error.to_string();
    for cause in causes(error) {
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    plain(&text).into_owned()
}

fn as_json(error: &StargetError) -> serde_json::Value {
    let details: serde_json::Map<_, _> =
        error.details().into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    json!({"error": {
        "code": error.reason().as_str(),
        "exit": error.reason().code(),
        "message": error.to_string(),
        "causes": causes(error),
        "details": details,
    }})
}

fn causes(error: &StargetError) -> Vec<String> {
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    causes
}
