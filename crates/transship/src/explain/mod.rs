//! `transship explain`: what the running server would do for a pull of an image, and why.
//!
//! Must not know how that is found out; the server says it. Invariants: the explanation goes to standard output,
//! everything else to standard error; the image is handed on as it was typed.

mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};
use oci::RegistryHost;
use registry::Explanation;

use crate::api_client::ApiClient;
use crate::config::Environment;
use crate::{fail, print};

pub(crate) const EXAMPLES: &str = "\
Examples:
  transship explain alpine
  transship explain ghcr.io/org/app:1.2 --json
  transship explain 127.0.0.1:5000/dockerhub/library/alpine:3
  transship explain library/alpine --ns docker.io

Nobody upstream is asked, and nothing changes.
Exit codes: 0 explained, 2 it could not be (no such repository, no server, no token).";

/// What is typed after `transship explain`.
#[derive(clap::Args)]
pub(crate) struct ExplainArgs {
    /// The image, as clients name it
    image: String,
    /// The registry that containerd names beside the image, as `?ns=`
    #[arg(long, value_name = "HOST")]
    ns: Option<RegistryHost>,
    /// The running server [env: TRANSSHIP_SERVER] [default: http://127.0.0.1:5000]
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// File with the admin token [env: TRANSSHIP_ADMIN_TOKEN_FILE] [default: admin.token in the cache directory]
    #[arg(long, value_name = "FILE")]
    admin_token_file: Option<String>,
    /// The server's configuration file, which says where the token is [env: TRANSSHIP_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: &ExplainArgs) -> ExitCode {
    match text(args) {
        Ok(text) => print(&text),
        Err(error) => fail(ExitCode::from(2), &format!("{error:#}")),
    }
}

fn text(args: &ExplainArgs) -> Result<String> {
    let client = ApiClient::new(
        args.server.as_deref(),
        args.admin_token_file.as_deref(),
        args.config.clone(),
        Environment::of_process(),
    )?;
    let mut query = vec![("image", args.image.as_str())];
    query.extend(args.ns.as_ref().map(|ns| ("ns", ns.as_ref())));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let answer = runtime.block_on(client.get("/api/explain", &query))?;
    if args.json {
        return Ok(serde_json::to_string_pretty(&answer)? + "\n");
    }
    let explanation: Explanation = serde_json::from_value(answer)
        .map_err(|error| anyhow!("the server's answer cannot be read: {error}; are both of one version?"))?;
    Ok(table::of(&explanation))
}
