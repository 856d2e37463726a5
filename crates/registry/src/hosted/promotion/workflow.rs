//! Workflows: promotions that pushes start, by the target's `promote`.
//!
//! ```text
//!  push ──▶ tag event (its own transaction) ──▶ here, after the answer: rules met? ── yes ──▶ promoted
//!                                                    │ not yet                  └─ never ──▶ refused, noted
//!  signature, report, approval ──▶ looked at again ◀─┴── waits, noted
//! ```
//!
//! Must not know HTTP, nor how pushes are queued (`queue`). Invariants: handling an event twice does nothing the second
//! time, also when people moved the target's tag in between; what waits is given up when its tag has moved on.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::SystemTime;

use metadata::{NewPromotion, PromotionRow, PromotionState, Rehearsal, TagEventRow, Waiting};
use oci::{RepoKey, Tag};

use super::rules::{Rule, RuleVerdict};
use super::{Ends, Promotions, new_id};
use crate::hosted::error::HostedError;
use crate::hosted::repository::{HostedRepository, HostedRoute};
use crate::repositories::TagPattern;

/// What is promoted to a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workflow {
    /// The repository it comes from.
    pub from: RepoKey,
    /// The tags it is about.
    pub when: Vec<TagPattern>,
    /// What must hold, also when somebody promotes by hand.
    pub require: Vec<Rule>,
    /// Whether a push starts it.
    pub run: WorkflowRun,
}

/// What starts a workflow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WorkflowRun {
    /// A push of a tag that it is about.
    #[default]
    OnPush,
    /// Only somebody who promotes; its rules hold all the same.
    ByHand,
}

impl Workflow {
    /// Whether it is about this tag of this repository.
    pub(super) fn is_about(&self, from: &RepoKey, tag: &Tag) -> bool {
        self.from == *from && self.when.iter().any(|pattern| pattern.matches(tag.as_str()))
    }
}

/// Promotions that wait and are read at once.
const PAGE: u32 = 500;
/// Who promotes when a push does.
const BY_ITSELF: &str = "workflow";

/// What to do about a push.
enum Decision {
    Promote(Vec<RuleVerdict>),
    Wait(Vec<RuleVerdict>),
    Refuse(Vec<RuleVerdict>),
}

impl Promotions {
    /// Starts the workflows that are about a push. What fails for one target does not keep the others from it.
    pub(super) async fn start(&self, event: &TagEventRow) -> Result<(), HostedError> {
        let mut started = Ok(());
        for ends in self.targets_of(event) {
            started = started.and(self.start_one(&ends, event).await);
        }
        started
    }

    async fn start_one(&self, ends: &Ends, event: &TagEventRow) -> Result<(), HostedError> {
        // The tag has moved on: the event of that move decides.
        if self.points_elsewhere(ends).await? || self.is_known(ends, event.happened_at).await? {
            return Ok(());
        }
        self.decide(ends, None).await
    }

    /// Where a push is to be promoted.
    fn targets_of(&self, event: &TagEventRow) -> Vec<Ends> {
        let map = self.core.map().clone();
        let (Some(from), Some(digest)) = (map.hosted().get(event.repo.as_ref()), event.digest) else {
            return Vec::new();
        };
        let about =
            |workflow: &Workflow| workflow.run == WorkflowRun::OnPush && workflow.is_about(&event.repo, &event.tag);
        let targets = map.hosted().iter().filter(|to| to.spec().promote.iter().any(about));
        let ends = |to: &Arc<HostedRepository>| Ends {
            from: HostedRoute { repo: from.clone(), name: event.name.clone() },
            to: HostedRoute { repo: to.clone(), name: event.name.clone() },
            tag: event.tag.clone(),
            digest,
            reference: event.tag.to_string(),
        };
        targets.map(ends).collect()
    }

    /// Notes of each target that a push is not promoted, because that failed.
    pub(super) async fn give_up(&self, event: &TagEventRow, error: &HostedError) -> Result<(), HostedError> {
        for ends in self.targets_of(event) {
            // Where even that cannot be found out, it is said all the same.
            let moved_on = self.points_elsewhere(&ends).await.unwrap_or(false);
            if moved_on || self.is_known(&ends, event.happened_at).await.unwrap_or(false) {
                continue;
            }
            let (id, workflow) = (new_id(), ends.workflow());
            let promotion = NewPromotion { workflow: Some(&workflow), ..wanted(&ends, &id, "[]") };
            let reason = Some(format!("it failed: {error}; promote it by hand once that is mended"));
            let row = PromotionRow::new(&promotion, PromotionState::Refused, SystemTime::now());
            self.core.metadata.note_promotion(&PromotionRow { reason, ..row }).await?;
        }
        Ok(())
    }

    async fn points_elsewhere(&self, ends: &Ends) -> Result<bool, HostedError> {
        let (repo, name) = ends.from.place();
        let row = self.core.metadata.find_hosted_tag(repo, name, &ends.tag).await?;
        Ok(row.is_none_or(|row| row.digest != ends.digest))
    }

    /// Whether this push was handled before: it waits, is promoted and there, or was decided on since it happened. What
    /// people did with the target's tag since then is theirs.
    async fn is_known(&self, ends: &Ends, pushed_at: SystemTime) -> Result<bool, HostedError> {
        let (id, metadata) = (new_id(), &self.core.metadata);
        let wanted = wanted(ends, &id, "[]");
        if metadata.latest_promotion_of(&wanted, PromotionState::Waiting).await?.is_some() {
            return Ok(true);
        }
        for state in [PromotionState::Done, PromotionState::Refused, PromotionState::Reverted] {
            let decided = metadata.latest_promotion_of(&wanted, state).await?;
            if decided.is_some_and(|row| row.happened_at >= pushed_at) {
                return Ok(true);
            }
        }
        let (repo, name) = ends.to.place();
        let there = metadata.find_hosted_tag(repo, name, &ends.tag).await?;
        Ok(there.is_some_and(|row| row.digest == ends.digest)
            && metadata.latest_promotion_of(&wanted, PromotionState::Done).await?.is_some())
    }

    /// Promotes, waits or refuses, and notes it. `waiting` is the promotion that waited.
    async fn decide(&self, ends: &Ends, waiting: Option<&PromotionRow>) -> Result<(), HostedError> {
        let id = waiting.map_or_else(new_id, |row| row.id.clone());
        let workflow = ends.workflow();
        let (state, verdicts, reason) = match self.weigh(ends).await? {
            Decision::Promote(verdicts) => {
                let made = self.make(ends, &id, Some(&workflow), BY_ITSELF, &verdicts, Rehearsal::No).await?;
                match made {
                    Ok(_) => return Ok(()),
                    Err(refused) => (PromotionState::Refused, verdicts, refused.to_string()),
                }
            }
            Decision::Wait(verdicts) => {
                let reason = missing(&verdicts);
                (PromotionState::Waiting, verdicts, reason)
            }
            Decision::Refuse(verdicts) => {
                let reason = missing(&verdicts);
                (PromotionState::Refused, verdicts, reason)
            }
        };
        let rules = serde_json::to_string(&verdicts).map_err(|error| HostedError::storage(&error))?;
        let metadata = &self.core.metadata;
        if let Some(waiting) = waiting {
            let then = if state == PromotionState::Waiting { Waiting::GoesOn } else { Waiting::Ends };
            if then == Waiting::Ends || waiting.reason.as_deref() != Some(&reason) {
                metadata.note_waiting(&id, then, &reason, &rules).await?;
            }
            return Ok(());
        }
        tracing::info!(
            promotion = %id, workflow, tag = %ends.tag, digest = %ends.digest, state = state.as_str(), reason,
            "a push is not promoted yet"
        );
        let promotion = NewPromotion { workflow: Some(&workflow), ..wanted(ends, &id, &rules) };
        let row = PromotionRow { reason: Some(reason), ..PromotionRow::new(&promotion, state, SystemTime::now()) };
        Ok(metadata.note_promotion(&row).await?)
    }

    async fn weigh(&self, ends: &Ends) -> Result<Decision, HostedError> {
        let rules = Self::rules_for(ends, &[]);
        let verdicts = self.judge(ends, &rules).await?;
        let failed = rules.iter().zip(&verdicts).filter(|(_, verdict)| !verdict.passed);
        Ok(match failed.map(|(rule, _)| rule.may_be_met_later()).reduce(|a, b| a && b) {
            None => Decision::Promote(verdicts),
            Some(true) => Decision::Wait(verdicts),
            Some(false) => Decision::Refuse(verdicts),
        })
    }

    /// Looks at everything that waits. What fails for one is no reason to leave out those behind it.
    pub(super) async fn look_again(&self) -> Result<(), HostedError> {
        let (mut after, mut looked) = (None, Ok(()));
        loop {
            let page = self.core.metadata.waiting_promotions(after.as_ref(), PAGE).await?;
            let Some(last) = page.last().map(|row| row.id.clone()) else { return looked };
            after = Some(last);
            for row in &page {
                match self.look_at(row).await {
                    Err(HostedError::NoSpace) => return Err(HostedError::NoSpace),
                    Err(error) => {
                        tracing::error!(promotion = %row.id, %error, "a promotion that waits cannot be looked at");
                        // What is damaged stays so, and is said above.
                        looked = looked.and(if matches!(error, HostedError::Damaged(_)) { Ok(()) } else { Err(error) });
                    }
                    Ok(()) => {}
                }
            }
        }
    }

    async fn look_at(&self, row: &PromotionRow) -> Result<(), HostedError> {
        let end = async |reason| {
            self.core.metadata.note_waiting(&row.id, Waiting::Ends, reason, &row.rules).await.map_err(HostedError::from)
        };
        let map = self.core.map().clone();
        let find = |key: &RepoKey| map.hosted().get(key.as_ref()).cloned();
        let (Some(from), Some(to)) = (find(&row.from.0), find(&row.to.0)) else {
            return end("its source or its target is no hosted repository any more").await;
        };
        let ends = Ends {
            from: HostedRoute { repo: from, name: row.from.1.clone() },
            to: HostedRoute { repo: to, name: row.to.1.clone() },
            tag: row.tag.clone(),
            digest: row.digest,
            reference: row.from_reference.clone(),
        };
        if self.points_elsewhere(&ends).await? {
            return end("the tag points to something else by now").await;
        }
        if ends.to.repo.spec().promote.iter().all(|workflow| !workflow.is_about(&row.from.0, &row.tag)) {
            return end("no workflow of the target is about it any more").await;
        }
        self.decide(&ends, Some(row)).await
    }
}

impl Ends {
    /// What the workflow between them is called.
    fn workflow(&self) -> String {
        format!("{} to {}", self.from.repo.key(), self.to.repo.key())
    }
}

fn missing(verdicts: &[RuleVerdict]) -> String {
    let failed = verdicts.iter().filter(|verdict| !verdict.passed);
    failed.map(|verdict| format!("{}: {}", verdict.rule, verdict.evidence)).collect::<Vec<_>>().join("; ")
}

fn wanted<'a>(ends: &'a Ends, id: &'a metadata::PromotionId, rules: &'a str) -> NewPromotion<'a> {
    NewPromotion {
        id,
        from: ends.from.place(),
        from_reference: &ends.reference,
        to: ends.to.place(),
        tag: &ends.tag,
        digest: &ends.digest,
        principal: BY_ITSELF,
        workflow: None,
        rules,
    }
}

/// A repository that is reached from itself by workflows that pushes start, if there is one. Each is given with those it
/// takes from.
pub fn workflow_loop<'a>(repositories: &[(&'a RepoKey, Vec<&'a RepoKey>)]) -> Option<&'a RepoKey> {
    let sources = |of: &RepoKey| {
        let found = repositories.iter().filter(move |(key, _)| *key == of);
        found.flat_map(|(_, from)| from.iter().copied()).collect::<Vec<_>>()
    };
    let is_reached_from_itself = |start: &&&RepoKey| {
        let (mut open, mut seen) = (sources(start), HashSet::new());
        while let Some(at) = open.pop() {
            if at == **start {
                return true;
            }
            if seen.insert(at.as_str().to_owned()) {
                open.extend(sources(at));
            }
        }
        false
    };
    repositories.iter().map(|(key, _)| key).find(is_reached_from_itself).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_of_workflows_is_found() {
        let key = |text: &str| text.parse::<RepoKey>().unwrap();
        let (a, b, c) = (key("a"), key("b"), key("c"));
        assert_eq!(workflow_loop(&[(&b, vec![&a]), (&c, vec![&b, &a])]), None);
        assert_eq!(workflow_loop(&[(&a, vec![&c]), (&b, vec![&a]), (&c, vec![&b])]), Some(&a));
        assert!(workflow_loop(&[(&a, vec![&a])]).is_some());
    }
}
