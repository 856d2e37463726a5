//! What commands that ask a running server have in common: which server, and how an answer ends the program.
//!
//! Must not know what is asked. Invariants: a result goes to standard output, everything else to standard error; the
//! exit code tells a server that says no from one that could not be asked.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::api_client::{ApiClient, ServerSaidNo};
use crate::config::Environment;
use crate::{fail, print};

/// Which server is meant, and in what form it answers.
#[derive(clap::Args)]
pub(crate) struct ManagingArgs {
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

impl ManagingArgs {
    /// The server.
    pub(crate) fn client(&self) -> Result<ApiClient> {
        let (server, token) = (self.server.as_deref(), self.admin_token_file.as_deref());
        ApiClient::new(server, token, self.config.clone(), Environment::of_process())
    }

    /// An answer as text: as it came, or for people.
    pub(crate) fn show<T: DeserializeOwned>(
        &self,
        answer: &Value,
        for_people: impl FnOnce(&T) -> String,
    ) -> Result<String> {
        if self.json {
            return Ok(serde_json::to_string_pretty(answer)? + "\n");
        }
        let read: T = serde_json::from_value(answer.clone())
            .map_err(|error| anyhow!("the server's answer cannot be read: {error}; are both of one version?"))?;
        Ok(for_people(&read))
    }
}

/// Asks, prints what comes, and ends the program.
pub(crate) fn run<F>(ask: F) -> ExitCode
where
    F: AsyncFnOnce() -> Result<String>,
{
    let asked = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
        runtime.block_on(ask())
    };
    match asked() {
        Ok(text) => print(&text),
        Err(error) => fail_with(&error),
    }
}

/// Says what went wrong, and tells in the exit code whether the server was asked.
pub(crate) fn fail_with(error: &anyhow::Error) -> ExitCode {
    let code = if error.downcast_ref::<ServerSaidNo>().is_some() { 1 } else { 2 };
    fail(ExitCode::from(code), &format!("{error:#}"))
}

/// Rows in columns that are as wide as they must be.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count());
        cells.chain(head.get(at).map(|cell| cell.chars().count())).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    let mut text = line(&mut head.iter().copied());
    for row in rows {
        text += &line(&mut row.iter().map(String::as_str));
    }
    text
}

/// A digest for a table: enough of it to be told from others.
pub(crate) fn short(digest: &str) -> String {
    digest.chars().take(19).collect()
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["a".to_owned(), "bbb".to_owned()], vec!["cccc".to_owned(), String::new()]];
        assert_eq!(table(&["X", "Y"], &rows), "X     Y\na     bbb\ncccc\n");
    }
}
