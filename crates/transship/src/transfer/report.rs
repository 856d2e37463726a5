//! What a transfer tells when it ends.
//!
//! Must not know how anything was moved. Invariants: the result goes to standard output, what failed to standard error (or
//! into the JSON); the exit code follows from what failed alone.

use std::process::ExitCode;

use oci::Digest;
use serde_json::{Value, json};

use super::error::{Reason, TransferError};
use super::tally::Tally;
use crate::{fail, print};

/// One image that is there now.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) image: String,
    pub(crate) digest: Digest,
}

/// What a command did.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) images: Vec<Line>,
    /// What failed, image by image.
    pub(crate) failed: Vec<(String, TransferError)>,
}

impl Outcome {
    /// Why the command ends without success, if it does: of several failures 6, unless nothing was done at all.
    fn reason(&self) -> Option<Reason> {
        let mut reasons = self.failed.iter().map(|(_, error)| error.reason);
        let first = reasons.next()?;
        let alike = reasons.all(|reason| reason == first);
        Some(if self.images.is_empty() && alike { first } else { Reason::SomeFailed })
    }
}

/// How a result is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    Json,
}

/// Tells the result and gives the exit code. `verb`: what was done to the images.
pub(crate) fn tell(outcome: Result<Outcome, TransferError>, verb: &str, form: Form, tally: &Tally) -> ExitCode {
    tally.end();
    match (outcome, form) {
        (Ok(outcome), Form::Text) => told(&outcome, &text(&outcome, verb, tally)),
        (Ok(outcome), Form::Json) => told(&outcome, &format!("{:#}\n", json(&outcome, tally))),
        (Err(error), Form::Text) => fail(ExitCode::from(error.reason.code()), &error),
        (Err(error), Form::Json) => {
            let document = json!({ "error": problem(&error) });
            let _ = print(&format!("{document:#}\n"));
            fail(ExitCode::from(error.reason.code()), &error)
        }
    }
}

fn told(outcome: &Outcome, text: &str) -> ExitCode {
    let printed = print(text);
    for (image, error) in &outcome.failed {
        let _ = fail(ExitCode::FAILURE, &format!("{image}: {error}"));
    }
    match outcome.reason() {
        Some(reason) => ExitCode::from(reason.code()),
        None => printed,
    }
}

fn text(outcome: &Outcome, verb: &str, tally: &Tally) -> String {
    let width = outcome.images.iter().map(|line| line.image.len()).max().unwrap_or_default();
    let lines: Vec<String> =
        outcome.images.iter().map(|line| format!("{verb}  {:width$}  {}\n", line.image, line.digest)).collect();
    format!("{}{tally}\n", lines.concat())
}

fn json(outcome: &Outcome, tally: &Tally) -> Value {
    let images = outcome.images.iter().map(|line| json!({ "image": line.image, "digest": line.digest }));
    let failed = outcome.failed.iter().map(|(image, error)| json!({ "image": image, "error": problem(error) }));
    let mut document = tally.json();
    document["images"] = images.collect();
    document["failed"] = failed.collect();
    document
}

fn problem(error: &TransferError) -> Value {
    json!({ "code": error.reason.as_str(), "exit": error.reason.code(), "message": error.what })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_reason_stays_and_a_part_is_six() {
        let error = |reason| ("a".to_owned(), TransferError::new(reason, "x"));
        let line = Line { image: "a".to_owned(), digest: Digest::sha256_of(b"") };
        let reason = |images: &[Line], failed: &[Reason]| {
            Outcome { images: images.to_vec(), failed: failed.iter().copied().map(error).collect() }.reason()
        };
        assert_eq!(reason(std::slice::from_ref(&line), &[]), None);
        assert_eq!(reason(&[], &[Reason::Auth, Reason::Auth]), Some(Reason::Auth));
        assert_eq!(reason(&[], &[Reason::Auth, Reason::Network]), Some(Reason::SomeFailed));
        assert_eq!(reason(&[line], &[Reason::Auth]), Some(Reason::SomeFailed));
    }
}
