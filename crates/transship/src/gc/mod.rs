//! `transship gc`: has the running server collect garbage of hosted repositories, or say what it would collect.
//!
//! Must not know what garbage is. Exit codes: 0 the run looked at everything, 1 it ended early or failed, 2 it could not be
//! asked for.

mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};
use registry::{GcEnd, GcReport};
use serde_json::json;

use crate::api_client::ApiClient;
use crate::config::Environment;
use crate::{fail, print};

pub(crate) const EXAMPLES: &str = "\
Examples:
  transship gc --dry-run
      what a run would condemn and collect now; changes nothing
  transship gc
      condemns what nothing needs; collects what was condemned a grace ago (gc.grace) and not touched since
  transship gc --now
      does not wait for the grace. What a client was told of within gc.lease stays all the same
  transship gc --last --json
      the report of the last run, which the server made by itself or for someone

Exit codes: 0 the run looked at everything, 1 it ended early or failed, 2 it could not be asked for.";

/// `transship gc`.
#[derive(clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag on the command line")]
pub(crate) struct GcArgs {
    /// Change nothing; say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Do not wait for the grace
    #[arg(long)]
    now: bool,
    /// Run nothing; show what the last run did
    #[arg(long, conflicts_with_all = ["dry_run", "now"])]
    last: bool,
    /// Print the whole report as JSON
    #[arg(long)]
    json: bool,
    /// The running server [env: TRANSSHIP_SERVER] [default: http://127.0.0.1:5000]
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// File with the admin token [env: TRANSSHIP_ADMIN_TOKEN_FILE] [default: admin.token in the cache directory]
    #[arg(long, value_name = "FILE")]
    admin_token_file: Option<String>,
    /// The server's configuration file, which says where the token is [env: TRANSSHIP_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs the command.
pub(crate) fn run(args: &GcArgs) -> ExitCode {
    let (report, text) = match asked(args) {
        Ok(done) => done,
        Err(error) => return fail(ExitCode::from(2), &format!("{error:#}")),
    };
    match (print(&text), report.end) {
        (ExitCode::SUCCESS, GcEnd::Completed) => ExitCode::SUCCESS,
        (ExitCode::SUCCESS, GcEnd::Interrupted | GcEnd::Failed) => ExitCode::FAILURE,
        (unprinted, _) => unprinted,
    }
}

fn asked(args: &GcArgs) -> Result<(GcReport, String)> {
    let client = ApiClient::new(
        args.server.as_deref(),
        args.admin_token_file.as_deref(),
        args.config.clone(),
        Environment::of_process(),
    )?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let answer = if args.last {
        runtime.block_on(client.get("/api/gc", &[]))?
    } else {
        let path = format!("/api/gc?dry_run={}&now={}", args.dry_run, args.now);
        runtime.block_on(client.post(&path, &json!({})))?
    };
    let text = serde_json::to_string_pretty(&answer)? + "\n";
    let report: GcReport = serde_json::from_value(answer)
        .map_err(|error| anyhow!("the server's answer cannot be read: {error}; are both of one version?"))?;
    let text = if args.json { text } else { table::of(&report) };
    Ok((report, text))
}
