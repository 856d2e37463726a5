//! `transship check` and `transship upstream check`: asks a registry what clients and caches would ask, and tells.
//!
//! Must not know how a check is made; that is the client's probe. Invariants: the report goes to standard output,
//! everything else to standard error; the exit code follows from the report alone.

pub(crate) mod args;
mod local;
mod progress;
mod remote;
mod table;

use std::process::ExitCode;

use client::probe::{ImageRef, Outcome, Report};

use crate::config::Environment;
use crate::{fail, print};
use args::{CheckArgs, Showing, UpstreamCheckArgs};
use progress::Progress;

/// The check could not be made.
fn not_made(error: &anyhow::Error) -> ExitCode {
    fail(ExitCode::from(2), &format!("{error:#}"))
}

/// Runs `transship check`.
pub(crate) fn check(args: &CheckArgs) -> ExitCode {
    let progress = Progress::new(args.showing.quiet);
    let report = image(args.image.as_deref()).and_then(|image| {
        local::check(&args.url, image.as_ref(), &args.reaching, &Environment::of_process(), &progress)
    });
    finish(report, &args.showing, &progress)
}

/// Runs `transship upstream check`.
pub(crate) fn check_upstream(args: &UpstreamCheckArgs) -> ExitCode {
    let progress = Progress::new(args.showing.quiet);
    let environment = Environment::of_process();
    let report = image(args.image.as_deref()).and_then(|image| {
        if args.target.contains("://") {
            local::check(&args.target, image.as_ref(), &args.reaching, &environment, &progress)
        } else {
            remote::check(&args.target, image.as_ref(), &args.managing, environment, &progress)
        }
    });
    finish(report, &args.showing, &progress)
}

fn image(text: Option<&str>) -> anyhow::Result<Option<ImageRef>> {
    Ok(text.map(str::parse).transpose()?)
}

fn finish(report: anyhow::Result<Report>, showing: &Showing, progress: &Progress) -> ExitCode {
    progress.end();
    let report = match report {
        Ok(report) => report,
        Err(error) => return not_made(&error),
    };
    let text = if showing.json {
        match serde_json::to_string_pretty(&report) {
            Ok(text) => text + "\n",
            Err(error) => return not_made(&error.into()),
        }
    } else {
        table::of(&report, table::Look::of_stdout())
    };
    if print(&text) != ExitCode::SUCCESS {
        return ExitCode::from(2);
    }
    verdict(report.worst(), showing.strict)
}

fn verdict(worst: Outcome, strict: bool) -> ExitCode {
    match (worst, strict) {
        (Outcome::Fail, _) | (Outcome::Degraded, true) => ExitCode::FAILURE,
        (Outcome::Degraded, false) | (Outcome::Pass | Outcome::Skipped, _) => ExitCode::SUCCESS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_follows_from_the_worst() {
        for (worst, plain, strict) in [
            (Outcome::Pass, ExitCode::SUCCESS, ExitCode::SUCCESS),
            (Outcome::Skipped, ExitCode::SUCCESS, ExitCode::SUCCESS),
            (Outcome::Degraded, ExitCode::SUCCESS, ExitCode::FAILURE),
            (Outcome::Fail, ExitCode::FAILURE, ExitCode::FAILURE),
        ] {
            assert_eq!((verdict(worst, false), verdict(worst, true)), (plain, strict), "{worst:?}");
        }
    }
}
