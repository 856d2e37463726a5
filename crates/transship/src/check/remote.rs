//! A check made by the running server, of a repository given by its key.
//!
//! Must not know what a check is made of. Invariants: the admin token goes to the server that was named, along no
//! redirect, through no proxy; it is never printed.

use anyhow::{Context, Result, anyhow, bail};
use client::probe::{ImageRef, Report};
use oci::RepoKey;
use serde_json::json;

use super::args::Managing;
use super::progress::Progress;
use crate::api_client::ApiClient;
use crate::config::Environment;

/// Asks the server to check the repository `key`.
pub(super) fn check(
    key: &str,
    image: Option<&ImageRef>,
    managing: &Managing,
    environment: Environment,
    progress: &Progress,
) -> Result<Report> {
    let Ok(key) = key.parse::<RepoKey>() else {
        bail!("'{key}' is neither the key of a repository nor a URL; a URL begins with http:// or https://")
    };
    let client = ApiClient::new(
        managing.server.as_deref(),
        managing.admin_token_file.as_deref(),
        managing.config.clone(),
        environment,
    )?;
    progress.say(&format!("the server at {} is checking …", client.server()));
    let body = match image {
        Some(image) => json!({ "image": image.to_string() }),
        None => json!({}),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let answer = runtime.block_on(client.post(&format!("/api/repos/{key}/check"), &body))?;
    serde_json::from_value(answer)
        .map_err(|error| anyhow!("the server's report cannot be read: {error}; are server and client of one version?"))
}
