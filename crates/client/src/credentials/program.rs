//! Runs a helper program of the operator's and takes what it prints.
//!
//! Must not know what the program is for. Invariants: it ends in time or is killed; what it prints is bounded; no secret
//! is among its arguments; nothing it prints is quoted in an error.

use std::collections::BTreeMap;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// Longest run. A pull waits for it, and container clients give up after 30 seconds.
const LONGEST_RUN: Duration = Duration::from_secs(15);

/// Most that is read of what a program prints.
const MAX_OUTPUT: u64 = 256 * 1024;

/// What to run.
pub(super) struct Program<'a> {
    /// A path, or a name that is looked up in `PATH`.
    pub(super) path: &'a str,
    pub(super) arguments: &'a [String],
    pub(super) environment: &'a BTreeMap<String, String>,
    /// Written to its standard input.
    pub(super) input: &'a str,
}

/// How it ended.
pub(super) struct Ran {
    pub(super) status: ExitStatus,
    pub(super) output: String,
}

/// Runs it to its end.
pub(super) async fn run(program: &Program<'_>) -> Result<Ran, String> {
    let Program { path, arguments, environment, input } = program;
    let spawned = Command::new(path)
        .args(*arguments)
        .envs(*environment)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let child = spawned.map_err(|error| format!("cannot run {path}: {error}"))?;
    match timeout(LONGEST_RUN, talk(child, input)).await {
        Ok(Ok((_, output))) if output.len() as u64 > MAX_OUTPUT => Err(format!("{path} prints more than 256 KiB")),
        Ok(Ok((status, output))) => {
            let output = String::from_utf8(output).map_err(|_| format!("{path} prints something that is not text"))?;
            Ok(Ran { status, output })
        }
        Ok(Err(error)) => Err(format!("cannot talk to {path}: {error}")),
        Err(_) => Err(format!("{path} did not end within {} s and was killed", LONGEST_RUN.as_secs())),
    }
}

async fn talk(mut child: Child, input: &str) -> std::io::Result<(ExitStatus, Vec<u8>)> {
    if let Some(mut stdin) = child.stdin.take() {
        match stdin.write_all(input.as_bytes()).await {
            // A program need not read what it does not want.
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    let mut output = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(MAX_OUTPUT + 1).read_to_end(&mut output).await?;
    }
    Ok((child.wait().await?, output))
}
