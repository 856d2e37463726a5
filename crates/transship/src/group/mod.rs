//! `transship group`: what the running server knows of a group's names and of tags that its members do not agree on.
//!
//! Must not know how a group decides; the server says it. Invariants: results go to standard output, everything else to
//! standard error; nobody upstream is asked.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};
use oci::{RepoKey, RepositoryName};
use registry::{GroupConflicts, GroupName, GroupNames};
use serde_json::Value;

use crate::api_client::ApiClient;
use crate::config::Environment;
use crate::{managing, print};

pub(crate) const EXAMPLES: &str = "\
Examples:
  transship group conflicts all
  transship group names all --json
  transship group release all team/app

Exit codes: 0 done (conflicts: there are none), 1 there are conflicts, or the server says no (the words tell why), 2 it could not be
asked (command line, no server, no token).";

/// What is typed after `transship group`.
#[derive(clap::Subcommand)]
pub(crate) enum GroupCommand {
    /// List tags that members are known to have at different digests, and whose a pull gets
    Conflicts(Asked),
    /// List the names that members keep
    Names(Asked),
    /// Take a name from the member that keeps it: the next pull looks for it in the group's order
    Release {
        #[command(flatten)]
        asked: Asked,
        /// The name, without the group's key
        name: RepositoryName,
    },
}

/// Which group of which server.
#[derive(clap::Args)]
pub(crate) struct Asked {
    /// The group's key
    key: RepoKey,
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
pub(crate) fn run(command: &GroupCommand) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start");
    let done = runtime.and_then(|runtime| match command {
        GroupCommand::Conflicts(asked) => runtime.block_on(conflicts(asked)),
        GroupCommand::Names(asked) => runtime.block_on(names(asked)),
        GroupCommand::Release { asked, name } => runtime.block_on(release(asked, name)),
    });
    match done {
        Ok((text, code)) => match print(&text) {
            ExitCode::SUCCESS => code,
            failed => failed,
        },
        Err(error) => managing::fail_with(&error),
    }
}

impl Asked {
    fn client(&self) -> Result<ApiClient> {
        let (server, token) = (self.server.as_deref(), self.admin_token_file.as_deref());
        ApiClient::new(server, token, self.config.clone(), Environment::of_process())
    }
}

fn readable<T: serde::de::DeserializeOwned>(answer: Value) -> Result<T> {
    serde_json::from_value(answer)
        .map_err(|error| anyhow!("the server's answer cannot be read: {error}; are both of one version?"))
}

async fn conflicts(asked: &Asked) -> Result<(String, ExitCode)> {
    let answer = asked.client()?.get(&format!("/api/repos/{}/conflicts", asked.key), &[]).await?;
    let found: GroupConflicts = readable(answer.clone())?;
    let code = if found.conflicts.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    if asked.json {
        return Ok((serde_json::to_string_pretty(&answer)? + "\n", code));
    }
    Ok((conflict_table(&found), code))
}

fn conflict_table(found: &GroupConflicts) -> String {
    if found.conflicts.is_empty() {
        return "The members are not known to disagree.\n".to_owned();
    }
    let mut lines = Vec::new();
    for conflict in &found.conflicts {
        lines.push(format!("{}:{} is served by {}", conflict.name, conflict.tag, conflict.served_by));
        lines.extend(conflict.members.iter().map(|side| format!("  {:<20} {}", side.member, side.digest)));
    }
    if found.truncated {
        lines.push("and more".to_owned());
    }
    lines.join("\n") + "\n"
}

async fn names(asked: &Asked) -> Result<(String, ExitCode)> {
    let client = asked.client()?;
    let (mut names, mut last) = (Vec::<GroupName>::new(), None::<String>);
    loop {
        let query: Vec<(&str, &str)> = last.iter().map(|last| ("last", last.as_str())).collect();
        let page: GroupNames = readable(client.get(&format!("/api/repos/{}/names", asked.key), &query).await?)?;
        names.extend(page.names);
        // A server that says the same again is not followed for ever.
        if page.next.is_none() || page.next == last {
            break;
        }
        last = page.next;
    }
    if asked.json {
        return Ok((serde_json::to_string_pretty(&names)? + "\n", ExitCode::SUCCESS));
    }
    let row = |name: &str, member: &str, since: &str| format!("{name:<40} {member:<20} {since}").trim_end().to_owned();
    let mut lines = vec![row("NAME", "KEPT BY", "SINCE")];
    lines.extend(names.iter().map(|one| row(&one.name, &one.member, &one.since)));
    Ok((lines.join("\n") + "\n", ExitCode::SUCCESS))
}

async fn release(asked: &Asked, name: &RepositoryName) -> Result<(String, ExitCode)> {
    asked.client()?.delete(&format!("/api/repos/{}/names/{name}", asked.key)).await?;
    if asked.json {
        return Ok((serde_json::json!({ "released": name }).to_string() + "\n", ExitCode::SUCCESS));
    }
    Ok((format!("{name} is kept by nobody now; the next pull looks for it in order.\n"), ExitCode::SUCCESS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use registry::{ConflictSide, GroupConflict};

    #[test]
    fn a_conflict_is_told_with_all_its_sides() {
        let side = |member: &str, digest: &str| ConflictSide { member: member.into(), digest: digest.into() };
        let conflict = GroupConflict {
            name: "team/app".into(),
            tag: "v1".into(),
            served_by: "rel".into(),
            members: vec![side("rel", "sha256:a"), side("corp", "sha256:b")],
        };
        let text = conflict_table(&GroupConflicts { conflicts: vec![conflict], truncated: true });
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        assert_eq!(lines[0], "team/app:v1 is served by rel");
        assert!(lines[2].starts_with("corp") && lines[2].ends_with("sha256:b") && lines[3] == "and more", "{text}");
        let none = GroupConflicts { conflicts: Vec::new(), truncated: false };
        assert!(conflict_table(&none).contains("not known to disagree"));
    }
}
