//! `transship retention`: which tags would go and why, and having them go.
//!
//! Must not know what is kept; the server says it. Invariant: nothing is run that was neither shown nor agreed to.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Subcommand;
use oci::RepoKey;
use registry::{PlannedTag, RetentionPlan, RetentionRun};
use serde_json::{Value, json};

use crate::managing::{self, ManagingArgs, table};

pub(crate) const EXAMPLES: &str = "\
Examples:
  transship retention plan rel                 every tag with what would become of it, and why
  transship retention run rel --plan 3f0c…     what that plan says, if it still is the plan
  transship retention run rel --yes            what the plan of this moment says

Only tags go. What they pointed to can still be pulled by digest until it is deleted or collected.
Exit codes: 0 done, 1 the server says no (the words tell why), 2 it could not be asked (command line, no server, no token).";

#[derive(Subcommand)]
pub(crate) enum RetentionCommand {
    /// Say which tags would go now, and why the others stay. Changes nothing.
    #[command(after_help = EXAMPLES)]
    Plan {
        /// The key of the repository
        repository: RepoKey,
        /// Only the tags that would go
        #[arg(long)]
        deleted: bool,
        #[command(flatten)]
        managing: ManagingArgs,
    },
    /// Delete the tags that a plan says.
    #[command(after_help = EXAMPLES)]
    Run {
        /// The key of the repository
        repository: RepoKey,
        /// The id of the plan that was looked at
        #[arg(long, value_name = "ID", conflicts_with = "yes")]
        plan: Option<String>,
        /// Without looking at a plan
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        managing: ManagingArgs,
    },
}

/// Runs the command.
pub(crate) fn run(command: RetentionCommand) -> ExitCode {
    managing::run(async || match command {
        RetentionCommand::Plan { repository, deleted, managing } => {
            let answer = managing.client()?.get(&format!("/api/repos/{repository}/retention"), &[]).await?;
            managing.show(&answer, |plan: &RetentionPlan| shown(plan, deleted))
        }
        RetentionCommand::Run { repository, plan, yes, managing } => {
            let (client, path) = (managing.client()?, format!("/api/repos/{repository}/retention"));
            let plan = match (plan, yes) {
                (Some(plan), _) => plan,
                (None, true) => id_of(&client.get(&path, &[]).await?)?,
                (None, false) => bail!(
                    "give the id of the plan with --plan (transship retention plan {repository} shows it), or --yes"
                ),
            };
            let answer = client.post(&path, &json!({ "plan": plan })).await?;
            managing.show(&answer, done)
        }
    })
}

fn id_of(plan: &Value) -> Result<String> {
    match plan["id"].as_str() {
        Some(id) => Ok(id.to_owned()),
        None => bail!("the server's plan has no id; are both of one version?"),
    }
}

fn shown(plan: &RetentionPlan, only_deleted: bool) -> String {
    let row = |tag: &PlannedTag| {
        let pulled = tag.pulled_at.clone().unwrap_or_else(|| "-".to_owned());
        let name = format!("{}:{}", tag.name, tag.tag);
        vec![tag.verdict.clone(), name, tag.pushed_at.clone(), pulled, tag.reason.clone()]
    };
    let listed = plan.tags.iter().filter(|tag| !only_deleted || tag.verdict == "delete");
    let rows: Vec<Vec<String>> = listed.map(row).collect();
    let counts = format!("{} tags would be deleted, {} stay.\n", plan.deletes, plan.keeps);
    let how = format!("To do it: transship retention run {} --plan {}\n", plan.repository, plan.id);
    let how = if plan.deletes > 0 { how } else { String::new() };
    [table(&["VERDICT", "TAG", "PUSHED", "PULLED", "REASON"], &rows), counts, how].concat()
}

fn done(run: &RetentionRun) -> String {
    let deleted = run.deleted.iter().map(|tag| format!("  {tag}\n"));
    let moved = run.moved.iter().map(|tag| format!("  {tag} moved meanwhile and stays\n"));
    format!("{} tags were deleted\n", run.deleted.len()) + &deleted.chain(moved).collect::<String>()
}
