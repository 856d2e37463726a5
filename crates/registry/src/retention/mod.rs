//! Retention: which tags of a hosted repository go, said before it is done.
//!
//! Must not know HTTP. Invariants: what is run is the plan that was shown, or it is refused; a tag that moved since the plan
//! or was pushed again since the plan stays; only tags go, bytes are garbage collection's.

mod due;
mod holdings;
mod rules;
mod signatures;

use std::sync::Arc;
use std::time::SystemTime;

use metadata::{PullsMatter, TagCause, TagFacts, TagMove};
use oci::{Digest, RepoKey};
use serde::{Deserialize, Serialize};

pub(crate) use self::due::forget_unless_set;
use self::holdings::Holdings;
pub(crate) use self::rules::version;
use self::rules::{Clock, Verdict, judge};
pub use self::rules::{Held, Order, RetentionRule, RetentionSpec};
use crate::core::Core;
use crate::groups;
use crate::hosted::{HostedError, HostedRepository, HostedSpec, Shown, authorize_push, find_hosted, show_time};

/// Most tags of a repository that a plan looks at.
const MOST_TAGS: usize = 200_000;
/// Tags read at once.
const PAGE: u32 = 1000;

/// The handle on retention.
#[derive(Clone, Debug)]
pub struct Retention {
    core: Arc<Core>,
}

/// What would go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetentionPlan {
    /// The repository.
    pub repository: String,
    /// What to give to run it. The same tags to delete have the same id.
    pub id: String,
    /// How many tags go.
    pub deletes: usize,
    /// How many stay.
    pub keeps: usize,
    /// All tags, by name.
    pub tags: Vec<PlannedTag>,
}

/// A tag in a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedTag {
    /// The name.
    pub name: String,
    /// The tag.
    pub tag: String,
    /// Where it points.
    pub digest: String,
    /// When it was last pushed.
    pub pushed_at: String,
    /// When its manifest was last pulled.
    pub pulled_at: Option<String>,
    /// `keep` or `delete`.
    pub verdict: String,
    /// Why.
    pub reason: String,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetentionRun {
    /// The repository.
    pub repository: String,
    /// The plan.
    pub id: String,
    /// Tags that went, as `name:tag`.
    pub deleted: Vec<String>,
    /// Tags that moved, were pushed again or were needed meanwhile, and stay.
    pub moved: Vec<String>,
}

struct Planned {
    plan: RetentionPlan,
    to_delete: Vec<TagFacts>,
}

impl Retention {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// Says what would go now.
    pub async fn plan(&self, key: &RepoKey) -> Result<RetentionPlan, HostedError> {
        let repo = find_hosted(&self.core, key)?;
        Ok(self.make_plan(&repo).await?.plan)
    }

    /// Does what the plan says.
    ///
    /// # Errors
    /// `Conflict` when the plan is another now.
    pub async fn run(&self, key: &RepoKey, id: &str, shown: Shown) -> Result<RetentionRun, HostedError> {
        let repo = find_hosted(&self.core, key)?;
        let pusher = authorize_push(&repo, shown)?;
        let planned = self.make_plan(&repo).await?;
        if planned.plan.id != id {
            let now = &planned.plan;
            let text = format!(
                "the plan is {} now, and deletes {} tags: look at it, and run that one; nothing was deleted",
                now.id, now.deletes
            );
            return Err(HostedError::Conflict(text.into()));
        }
        self.carry_out(&repo, planned, pusher.as_str()).await
    }

    async fn make_plan(&self, repo: &Arc<HostedRepository>) -> Result<Planned, HostedError> {
        let spec = repo.spec();
        let Some(retention) = &spec.retention else {
            let text = format!("the repository '{}' has no retention: every tag stays until it is deleted", spec.key);
            return Err(HostedError::Conflict(text.into()));
        };
        // What was pulled a moment ago counts.
        self.core.hosted.flush_pulls().await?;
        let metadata = &self.core.metadata;
        let clock = Clock { now: SystemTime::now(), pulls_known_since: metadata.pulls_known_since().await? };
        let facts = self.facts(&spec.key).await?;
        // So many tags are work, and others wait for this thread.
        let (repo, rules) = (repo.clone(), retention.rules.clone());
        let decided = tokio::task::spawn_blocking(move || decide(repo.spec(), &rules, &facts, clock)).await;
        decided.map_err(|error| HostedError::Storage(error.to_string().into()))
    }

    async fn facts(&self, key: &RepoKey) -> Result<Vec<TagFacts>, HostedError> {
        let mut facts: Vec<TagFacts> = Vec::new();
        loop {
            let after = facts.last().map(|last| (last.name.to_string(), last.tag.to_string())).unwrap_or_default();
            let page = self.core.metadata.hosted_tag_facts(key, (&after.0, &after.1), PAGE).await?;
            let last = page.len() < PAGE as usize;
            facts.extend(page);
            if last {
                return Ok(facts);
            }
            if facts.len() > MOST_TAGS {
                let text = format!("'{key}' has more than {MOST_TAGS} tags, which is the most that a plan looks at");
                return Err(HostedError::Conflict(text.into()));
            }
        }
    }

    async fn carry_out(
        &self,
        repo: &HostedRepository,
        planned: Planned,
        by: &str,
    ) -> Result<RetentionRun, HostedError> {
        let (Planned { plan, to_delete }, spec) = (planned, repo.spec());
        let rules = spec.retention.iter().flat_map(|retention| &retention.rules);
        let by_pulls = rules.into_iter().any(|rule| rule.keep_pulled_within.is_some());
        let pulls = if by_pulls { PullsMatter::Yes } else { PullsMatter::No };
        let (mut deleted, mut moved) = (Vec::new(), Vec::new());
        for facts in &to_delete {
            let how = (pulls, TagMove::new(by, TagCause::Retention));
            let expire = async || {
                if by_pulls {
                    // What was pulled since the plan was made.
                    self.core.hosted.flush_pulls().await?;
                }
                self.core.metadata.expire_hosted_tag(&spec.key, facts, how, spec).await
            };
            let gone = self.core.hosted.with_reserve(expire).await?;
            let shown = format!("{}:{}", facts.name, facts.tag);
            if gone {
                groups::tags_moved(&self.core, &spec.key, &facts.name);
                deleted.push(shown);
            } else {
                moved.push(shown);
            }
        }
        if !deleted.is_empty() {
            tracing::info!(repo_key = %spec.key, plan = plan.id, deleted = deleted.len(), by, "retention deleted tags");
        }
        self.core.metadata.prune_pulls().await?;
        Ok(RetentionRun { repository: plan.repository, id: plan.id, deleted, moved })
    }
}

fn decide(spec: &HostedSpec, rules: &[RetentionRule], facts: &[TagFacts], clock: Clock) -> Planned {
    let (mut tags, mut to_delete) = (Vec::with_capacity(facts.len()), Vec::new());
    for of_name in facts.chunk_by(|a, b| a.name == b.name) {
        let holdings = Holdings::new(spec, of_name);
        let verdicts = judge(rules, of_name, clock, |facts| holdings.of(facts));
        for (facts, verdict) in of_name.iter().zip(verdicts) {
            if matches!(verdict, Verdict::Delete(_)) {
                to_delete.push(facts.clone());
            }
            tags.push(planned(facts, verdict));
        }
    }
    let lines = to_delete.iter().map(|facts| format!("{} {} {}\n", facts.name, facts.tag, facts.digest));
    let id = Digest::sha256_of(format!("{}\n{}", spec.key, lines.collect::<String>()).as_bytes());
    let plan = RetentionPlan {
        repository: spec.key.to_string(),
        id: id.hex().chars().take(16).collect(),
        deletes: to_delete.len(),
        keeps: tags.len() - to_delete.len(),
        tags,
    };
    Planned { plan, to_delete }
}

fn planned(facts: &TagFacts, verdict: Verdict) -> PlannedTag {
    let (verdict, reason) = match verdict {
        Verdict::Keep(reason) => ("keep", reason),
        Verdict::Delete(reason) => ("delete", reason),
    };
    PlannedTag {
        name: facts.name.to_string(),
        tag: facts.tag.to_string(),
        digest: facts.digest.to_string(),
        pushed_at: show_time(facts.tagged_at),
        pulled_at: facts.pulled_at.map(show_time),
        verdict: verdict.to_owned(),
        reason,
    }
}
