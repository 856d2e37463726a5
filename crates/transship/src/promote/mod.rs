//! `transship promote` and `transship promotions`: asks the server to promote, approve, list, take back.
//!
//! Must not know what a promotion does; the server says it. Invariant: what was only tried is never said to be done.

mod table;

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Subcommand;
use registry::{Promotion, PromotionList, RevertedPromotion};
use serde_json::{Value, json};

use crate::managing::{self, ManagingArgs};

pub(crate) const EXAMPLES: &str = "\
Examples:
  transship promote dev/app:1.4 prod/app:1.4
  transship promote dev/app:1.4 prod                  the same name and tag there
  transship promote dev/app@sha256:… prod/app:1.4 --require signed --require labelled:team=core
  transship promote dev/app:1.4 prod/app:1.4 --dry-run --json
  transship promote approve dev/app:1.4 --note 'load test passed'

No bytes move: the image, its children, and what refers to them (signatures, attestations, SBOMs) get a name at the target.
Exit codes: 0 promoted, or it was there already; 1 the server says no: a rule is not met, the tag is immutable, nothing is there
(each reason on standard error); 2 the server could not be asked.";

pub(crate) const LIST_EXAMPLES: &str = "\
Examples:
  transship promotions list
  transship promotions list --state waiting --to prod
  transship promotions show 019345ab-…
  transship promotions revert 019345ab-…

Exit codes: 0 done, 1 the server says no (the words tell why), 2 it could not be asked (command line, no server, no token).";

/// What is typed after `transship promote`.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct PromoteArgs {
    /// The image, and where it goes: `REPOSITORY/NAME:TAG REPOSITORY[/NAME[:TAG]]` (an arrow may stand between)
    #[arg(required = true, num_args = 2..=3, value_names = ["FROM", "TO"])]
    images: Vec<String>,
    /// A rule that must be met: signed, scanned, approved, labelled:KEY=VALUE; may be given several times
    #[arg(long, value_name = "RULE")]
    require: Vec<String>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    managing: ManagingArgs,
    #[command(subcommand)]
    command: Option<PromoteCommand>,
}

#[derive(Subcommand)]
pub(crate) enum PromoteCommand {
    /// Approve an image, for targets that ask for an approval. It counts for this digest under this name only.
    Approve {
        /// The image: REPOSITORY/NAME with :TAG or @DIGEST
        image: String,
        /// What was looked at
        #[arg(long, default_value = "")]
        note: String,
        #[command(flatten)]
        managing: ManagingArgs,
    },
}

#[derive(Subcommand)]
pub(crate) enum PromotionsCommand {
    /// List promotions, newest first.
    #[command(after_help = LIST_EXAMPLES)]
    List {
        /// Only those that are done, waiting, refused or reverted
        #[arg(long, value_name = "STATE")]
        state: Option<String>,
        /// Only those to this repository
        #[arg(long, value_name = "REPOSITORY")]
        to: Option<String>,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: u32,
        /// Only those older than this one
        #[arg(long, value_name = "ID")]
        before: Option<String>,
        #[command(flatten)]
        managing: ManagingArgs,
    },
    /// Show one promotion with its rules and what was found of them.
    #[command(after_help = LIST_EXAMPLES)]
    Show {
        /// Its id
        id: String,
        #[command(flatten)]
        managing: ManagingArgs,
    },
    /// Take one back: the tag points to what it pointed to before, and what only this promotion brought goes.
    #[command(after_help = LIST_EXAMPLES)]
    Revert {
        /// Its id
        id: String,
        /// Also when the tag was moved since
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        managing: ManagingArgs,
    },
}

/// Runs `transship promote`.
pub(crate) fn run(args: PromoteArgs) -> ExitCode {
    managing::run(async || match args.command {
        Some(PromoteCommand::Approve { image, note, managing }) => {
            let body = json!({ "image": image, "note": note });
            let answer = managing.client()?.post("/api/promotions/approvals", &body).await?;
            managing
                .show(&answer, |answer: &Value| format!("approved {}\n", answer["image"].as_str().unwrap_or_default()))
        }
        None => promote(&args).await,
    })
}

async fn promote(args: &PromoteArgs) -> Result<String> {
    let images: Vec<&str> = args.images.iter().map(String::as_str).filter(|word| !is_arrow(word)).collect();
    let [from, to] = images[..] else { bail!("give two images: what to promote, and where to") };
    let body = json!({ "from": from, "to": target(from, to), "require": args.require, "dry_run": args.dry_run });
    let answer = args.managing.client()?.post("/api/promotions", &body).await?;
    args.managing.show(&answer, table::promoted)
}

fn is_arrow(word: &str) -> bool {
    matches!(word, "→" | "->" | "=>")
}

/// The target with the name of the source, if it is only a repository.
fn target(from: &str, to: &str) -> String {
    if to.contains('/') {
        return to.to_owned();
    }
    let named = from.split('@').next().unwrap_or(from);
    named.split_once('/').map_or_else(|| to.to_owned(), |(_, name)| format!("{to}/{name}"))
}

/// Runs `transship promotions`.
pub(crate) fn run_list(command: PromotionsCommand) -> ExitCode {
    managing::run(async || match command {
        PromotionsCommand::List { state, to, limit, before, managing } => {
            let limit = limit.to_string();
            let mut query = vec![("limit", limit.as_str())];
            let optional = [("state", &state), ("to", &to), ("before", &before)];
            query.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))));
            let answer = managing.client()?.get("/api/promotions", &query).await?;
            managing.show(&answer, |list: &PromotionList| table::list(list))
        }
        PromotionsCommand::Show { id, managing } => {
            let answer = managing.client()?.get(&format!("/api/promotions/{id}"), &[]).await?;
            managing.show(&answer, |promotion: &Promotion| table::one(promotion))
        }
        PromotionsCommand::Revert { id, force, managing } => {
            let path = format!("/api/promotions/{id}/revert");
            let answer = managing.client()?.post(&path, &json!({ "force": force })).await?;
            managing.show(&answer, |reverted: &RevertedPromotion| table::reverted(reverted))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::target;

    #[test]
    fn a_target_that_is_only_a_repository_takes_the_name_of_the_source() {
        assert_eq!(target("dev/team/app:1.4", "prod"), "prod/team/app:1.4");
        assert_eq!(target("dev/app:1.4@sha256:00", "prod"), "prod/app:1.4");
        assert_eq!(target("dev/app:1.4", "prod/other:2"), "prod/other:2");
    }
}
