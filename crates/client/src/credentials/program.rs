//! Runs a helper program of the operator's and takes what it prints.
//!
//! Must not know what the program is for. Invariants: it ends in time or is killed; what it prints is bounded; no secret
//! is among its arguments; our own settings, the key of stored credentials among them, are not in its environment; nothing
//! it prints is quoted in an error.

use std::collections::BTreeMap;
use std::ffi::OsStr;
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
    let mut command = Command::new(path);
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_our_own(name)) {
        command.env_remove(name);
    }
    let spawned = command
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

/// Our own settings: one of them is the key that stored credentials are sealed with.
fn is_our_own(variable: &OsStr) -> bool {
    variable.as_encoded_bytes().starts_with(b"TRANSSHIP_")
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

#[cfg(test)]
mod tests {
    use super::*;

    async fn shell(script: &str) -> Result<Ran, String> {
        let (arguments, environment) = (["-c".to_owned(), script.to_owned()], BTreeMap::new());
        run(&Program { path: "/bin/sh", arguments: &arguments, environment: &environment, input: "canary" }).await
    }

    fn is_running(argument: &str) -> bool {
        let commands = std::fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok());
        commands.into_iter().any(|command| command.split(|byte| *byte == 0).any(|word| word == argument.as_bytes()))
    }

    /// Paused time runs on when nothing but the program is waited for: no test waits that long.
    #[tokio::test(start_paused = true)]
    async fn a_program_that_does_not_end_is_killed() {
        let error = shell("exec sleep 4711.25").await.err().unwrap();
        assert!(error.contains("did not end within 15 s"), "{error}");
        let gone = (0..500).any(|_| {
            std::thread::sleep(Duration::from_millis(20));
            !is_running("4711.25")
        });
        assert!(gone, "it still runs");
    }

    #[tokio::test]
    async fn what_is_printed_is_bounded_and_never_quoted() {
        let error = shell("echo canary; exec cat /dev/zero").await.err().unwrap();
        assert!(error.contains("more than 256 KiB") && !error.contains("canary"), "{error}");
        let error = shell("printf 'canary\\377'").await.err().unwrap();
        assert!(error.contains("not text") && !error.contains("canary"), "{error}");
        let ran = shell("cat; exit 3").await.ok().unwrap();
        assert_eq!((ran.output.as_str(), ran.status.code()), ("canary", Some(3)));
    }

    #[test]
    fn our_own_settings_are_told_from_others() {
        for (name, own) in [("TRANSSHIP_SECRETS_KEY", true), ("AWS_REGION", false), ("NOT_TRANSSHIP_X", false)] {
            assert_eq!(is_our_own(OsStr::new(name)), own, "{name}");
        }
    }
}
