//! Shows an error: a line with its causes and one with what to do for people, one JSON object for programs.
//!
//! Must not know what the errors mean. Invariants: errors go to standard error and nowhere else; no control character of
//! a registry's words reaches the terminal.

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use serde_json::json;

use crate::advice::advice;
use crate::command_line::Form;
use crate::error::{ExitReason, StargetError};
use crate::output::plain;

/// Shows what was wrong with the command line, or the help that was asked for.
pub(crate) fn clap(problem: &clap::Error, form: Form) -> ExitCode {
    if !problem.use_stderr() {
        // When the terminal is gone too, the exit code is all that is left.
        let _ = problem.print();
        return ExitCode::SUCCESS;
    }
    if form == Form::Json {
        let text = problem.render().to_string();
        let text = text.trim().trim_start_matches("error: ").to_owned();
        return error(&StargetError::Usage(text), form);
    }
    // As above.
    let _ = problem.print();
    ExitCode::from(ExitReason::Usage.code())
}

/// Shows why the program ends.
pub(crate) fn error(error: &StargetError, form: Form) -> ExitCode {
    if error.is_broken_pipe() {
        // Whoever read our output has what they wanted.
        return ExitCode::SUCCESS;
    }
    let text = match form {
        Form::Json => as_json(error).to_string(),
        Form::Text => {
            let hint = advice(error).map(|hint| format!("\n  hint: {}", plain(&hint))).unwrap_or_default();
            format!("starget: {}{hint}", as_lines(error))
        }
    };
    // As above.
    let _ = writeln!(std::io::stderr(), "{text}");
    ExitCode::from(error.reason().code())
}

/// The error and its causes in one line.
pub(crate) fn as_text(error: &StargetError) -> String {
    plain(&with_causes(error)).into_owned()
}

/// The same with the lines of those errors that have several: lists of what is wrong with a file.
pub(crate) fn as_lines(error: &StargetError) -> String {
    match error {
        StargetError::Config(problems) => {
            let text = problems.to_string();
            text.lines().map(plain).collect::<Vec<_>>().join("\n")
        }
        _ => as_text(error),
    }
}

fn with_causes(error: &StargetError) -> String {
    let mut text = error.to_string();
    for cause in causes(error) {
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
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
        "hint": advice(error),
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
