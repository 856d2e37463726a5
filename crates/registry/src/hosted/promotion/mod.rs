//! Promotion: an image that stood its tests in one repository gets its name in another, with everything it leads to.
//!
//! ```text
//!  dev/app:1.4 ── resolve ──▶ digest ── rules (evidence) ──▶ one transaction: links, manifests, children, referrers,
//!                                                            tags at prod/app, the record  (metadata::promote)
//! ```
//!
//! Must not know HTTP. Invariants: no bytes move; rules are asked of a digest, and that digest is promoted, whatever its
//! tag does meanwhile; what was promoted is recorded with what opened the gate, and can be taken back.

mod evidence;
mod queue;
mod revert;
mod rules;
mod view;
mod workflow;

use std::sync::Arc;

use metadata::{ApprovalRow, Rehearsal, Waiting};
use metadata::{Copied, NewPromotion, PromotionFilter, PromotionId, PromotionRefused, PromotionRow, PromotionState};
use oci::{Digest, RepoKey, Tag};

pub use self::revert::{IfMoved, RevertedPromotion};
pub use self::rules::{Rule, RuleVerdict};
pub use self::view::{MovedTag, Promotion, PromotionList};
pub use self::workflow::{Workflow, WorkflowRun, workflow_loop};
use super::access::{Pusher, Shown, authorize_push};
use super::address::{HostedAddress, Wanted, show_time};
use super::error::HostedError;
use super::place::Place;
use super::repository::{HostedRepository, HostedRoute};
use crate::core::Core;
use crate::repositories::AnyRepository;
use crate::tags_over_time::TagsOverTime;

/// Promotions listed at once.
const PAGE: u32 = 100;

/// What is to be promoted where.
#[derive(Clone, Debug)]
pub struct PromotionRequest {
    /// The image.
    pub from: HostedAddress,
    /// Where it goes; the tag of the source if it names none.
    pub to: HostedAddress,
    /// What must hold besides what is configured.
    pub require: Vec<Rule>,
    /// Whether it counts.
    pub rehearsal: Rehearsal,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Promoted {
    /// It is there now.
    New(Promotion),
    /// It was there already, by this promotion.
    Already(Promotion),
    /// It would be.
    Possible(Promotion),
}

/// The handle on promotions.
#[derive(Clone, Debug)]
pub struct Promotions {
    core: Arc<Core>,
}

/// Both ends of a promotion, found.
pub(super) struct Ends {
    pub(super) from: HostedRoute,
    pub(super) to: HostedRoute,
    pub(super) tag: Tag,
    pub(super) digest: Digest,
    pub(super) reference: String,
}

impl Promotions {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// Promotes, if every rule is met.
    ///
    /// # Errors
    /// `RulesNotMet` with every rule that is not; `Denied` for an immutable tag; `NotFound` for what is not there.
    pub async fn promote(&self, request: PromotionRequest, shown: Shown) -> Result<Promoted, HostedError> {
        let ends = self.ends(&request).await?;
        let pusher = authorize_push(&ends.to.repo, shown)?;
        let verdicts = self.judge(&ends, &Self::rules_for(&ends, &request.require)).await?;
        if verdicts.iter().any(|verdict| !verdict.passed) {
            return Err(HostedError::RulesNotMet(verdicts.into()));
        }
        let promotions = self.clone();
        // On its own: a client that leaves now must not leave half of it unsaid.
        let task = tokio::spawn(async move {
            let id = new_id();
            let made = promotions.make(&ends, &id, None, pusher.as_str(), &verdicts, request.rehearsal);
            made.await?.map_err(|refused| refusal(&refused, &ends))
        });
        task.await.unwrap_or_else(|error| Err(HostedError::storage(&error)))
    }

    /// Promotes what is allowed.
    async fn make(
        &self,
        ends: &Ends,
        id: &PromotionId,
        workflow: Option<&str>,
        principal: &str,
        verdicts: &[RuleVerdict],
        rehearsal: Rehearsal,
    ) -> Result<Result<Promoted, PromotionRefused>, HostedError> {
        let rules = serde_json::to_string(verdicts).map_err(|error| HostedError::storage(&error))?;
        let wanted = NewPromotion {
            id,
            from: ends.from.place(),
            from_reference: &ends.reference,
            to: ends.to.place(),
            tag: &ends.tag,
            digest: &ends.digest,
            principal,
            workflow,
            rules: &rules,
        };
        let metadata = &self.core.metadata;
        let copied = match metadata.promote(&wanted, rehearsal, ends.to.repo.spec()).await? {
            Ok(copied) => copied,
            Err(refused) => return Ok(Err(refused)),
        };
        if rehearsal == Rehearsal::Only {
            return Ok(Ok(Promoted::Possible(Promotion::tried(&wanted, &copied))));
        }
        if copied.changed_nothing() {
            return self.already(&wanted, &copied).await.map(Ok);
        }
        tracing::info!(
            promotion = %id, from = %ends.from.shown(&ends.reference), to = %ends.to.shown(ends.tag.as_str()),
            digest = %ends.digest, by = principal, "promoted"
        );
        self.core.hosted.moved.notify_one();
        crate::groups::pushed(&self.core, &ends.to).await;
        let mut promotion = self.get(id).await?;
        promotion.reason = promotion.reason.or(view::left(&copied));
        Ok(Ok(Promoted::New(promotion)))
    }

    /// The target had it all: by a former promotion, or by pushes, which is noted as a promotion that changed nothing.
    async fn already(&self, wanted: &NewPromotion<'_>, copied: &Copied) -> Result<Promoted, HostedError> {
        let metadata = &self.core.metadata;
        if let Some(former) = metadata.latest_promotion_of(wanted, PromotionState::Done).await? {
            if wanted.workflow.is_some() {
                // If it waited, somebody was faster by hand.
                let reason = format!("promotion {} brought it meanwhile", former.id);
                metadata.note_waiting(wanted.id, Waiting::Ends, &reason, wanted.rules).await?;
            }
            let view = self.view(&former).await?;
            let reason = view::left(copied).or(view.reason);
            return Ok(Promoted::Already(Promotion { reason, ..view }));
        }
        let row = PromotionRow {
            previous: copied.previous,
            manifests: copied.manifests,
            blobs: copied.blobs,
            bytes: copied.bytes,
            ..PromotionRow::new(wanted, PromotionState::Done, std::time::SystemTime::now())
        };
        metadata.note_promotion(&row).await?;
        Ok(Promoted::Already(self.view(&row).await?))
    }

    /// What must hold: what the target is configured to ask for, and what was asked for.
    fn rules_for(ends: &Ends, asked: &[Rule]) -> Vec<Rule> {
        let (from, _) = ends.from.place();
        let about = ends.to.repo.spec().promote.iter().filter(|workflow| workflow.is_about(from, &ends.tag));
        let mut rules: Vec<Rule> = Vec::new();
        for rule in about.flat_map(|workflow| &workflow.require).chain(asked) {
            if !rules.contains(rule) {
                rules.push(rule.clone());
            }
        }
        rules
    }

    /// Looks at each rule.
    async fn judge(&self, ends: &Ends, rules: &[Rule]) -> Result<Vec<RuleVerdict>, HostedError> {
        let (repo, name) = ends.from.place();
        let candidate = evidence::Candidate { repo, name, digest: &ends.digest };
        evidence::judge(&self.core.hosted, candidate, rules).await
    }

    /// Notes that somebody approves a manifest.
    pub async fn approve(&self, image: &HostedAddress, note: String, pusher: Pusher) -> Result<Digest, HostedError> {
        let route = self.route(image)?;
        let (digest, _) = self.resolve(&route, image).await?;
        let approval =
            ApprovalRow { principal: pusher.as_str().to_owned(), approved_at: std::time::SystemTime::now(), note };
        self.core.metadata.approve(route.place(), &digest, &approval).await?;
        self.core.hosted.moved.notify_one();
        Ok(digest)
    }

    /// One promotion.
    pub async fn get(&self, id: &PromotionId) -> Result<Promotion, HostedError> {
        let row = self.core.metadata.find_promotion(id).await?;
        let row = row.ok_or_else(|| HostedError::NotFound(format!("there is no promotion {id}").into()))?;
        self.view(&row).await
    }

    /// A page of promotions, newest first.
    pub async fn list(
        &self,
        before: Option<&PromotionId>,
        state: Option<PromotionState>,
        to: Option<&RepoKey>,
        limit: u32,
    ) -> Result<PromotionList, HostedError> {
        let (filter, limit) = (PromotionFilter { before, state, to }, limit.clamp(1, PAGE));
        let mut rows = self.core.metadata.list_promotions(&filter, limit + 1).await?;
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let next = rows.last().filter(|_| more).map(|row| row.id.to_string());
        let mut promotions = Vec::with_capacity(rows.len());
        for row in &rows {
            promotions.push(self.view(row).await?);
        }
        Ok(PromotionList { promotions, next })
    }

    async fn view(&self, row: &PromotionRow) -> Result<Promotion, HostedError> {
        let (manifests, blobs, tags) = self.core.metadata.promotion_details(&row.id).await?;
        Ok(Promotion::of(row, (manifests, blobs, &tags)))
    }

    /// Finds both ends.
    async fn ends(&self, request: &PromotionRequest) -> Result<Ends, HostedError> {
        let (from, to) = (self.route(&request.from)?, self.route(&request.to)?);
        let of_source = match &request.from.wanted {
            Some(Wanted::Tag(tag) | Wanted::TagAt(tag, _)) => Some(tag),
            Some(Wanted::Digest(_)) | None => None,
        };
        let tag = match (&request.to.wanted, of_source) {
            (Some(Wanted::Tag(tag)), _) | (None, Some(tag)) => tag.clone(),
            (Some(Wanted::Digest(_) | Wanted::TagAt(..)), _) => {
                return Err(HostedError::Invalid(format!("to: {} is no tag to promote to", request.to).into()));
            }
            (None, None) => {
                return Err(HostedError::Invalid("to: name the tag, as in prod/app:1.4".into()));
            }
        };
        let (digest, reference) = self.resolve(&from, &request.from).await?;
        Ok(Ends { from, to, tag, digest, reference })
    }

    /// The repository of an address.
    fn route(&self, address: &HostedAddress) -> Result<HostedRoute, HostedError> {
        let repo = find(&self.core, &address.repo)?;
        Ok(HostedRoute { repo, name: address.name.clone() })
    }

    /// The manifest of an address, and how it was named.
    async fn resolve(&self, route: &HostedRoute, address: &HostedAddress) -> Result<(Digest, String), HostedError> {
        let (repo, name) = route.place();
        let unknown = || HostedError::NotFound(format!("{address} is not there").into());
        match &address.wanted {
            Some(Wanted::Tag(tag)) => {
                let row = self.core.metadata.find_hosted_tag(repo, name, tag).await?.ok_or_else(unknown)?;
                Ok((row.digest, tag.to_string()))
            }
            Some(Wanted::Digest(digest)) => {
                let row = self.core.metadata.find_hosted_manifest(repo, name, digest).await?;
                row.map(|row| (row.digest, row.digest.to_string())).ok_or_else(unknown)
            }
            Some(Wanted::TagAt(tag, at)) => {
                let place = Place::Hosted(route.clone());
                let digest = TagsOverTime::new(self.core.clone()).at(&place, tag, *at).await?;
                Ok((digest, format!("{tag}@{}", show_time(*at))))
            }
            None => Err(HostedError::Invalid(format!("{address}: say which, with :TAG or @DIGEST").into())),
        }
    }
}

impl HostedRoute {
    fn shown(&self, reference: &str) -> String {
        let (repo, name) = self.place();
        view::named(repo, name, reference)
    }
}

/// The hosted repository with this key.
pub(crate) fn find(core: &Core, key: &RepoKey) -> Result<Arc<HostedRepository>, HostedError> {
    let map = core.map();
    if let Some(repo) = map.hosted().get(key.as_ref()) {
        return Ok(repo.clone());
    }
    Err(match map.any(key.as_ref()) {
        Some(AnyRepository::Group(group)) => {
            let text = "is a group and holds nothing itself: name the hosted member";
            let members = group.spec().members.iter().filter(|member| map.hosted().get(member.as_str()).is_some());
            let members = members.map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let which = if members.is_empty() { "it has none".to_owned() } else { format!("there is {members}") };
            HostedError::Conflict(format!("'{key}' {text}; {which}").into())
        }
        Some(AnyRepository::Proxy(_) | AnyRepository::Hosted(_)) => {
            let text = "is a cache of an upstream, not a hosted repository; what is in a cache is its upstream's to move and to take away";
            HostedError::Conflict(
                format!("'{key}' {text}: copy images into a hosted repository (transship copy), and name that one")
                    .into(),
            )
        }
        None => HostedError::NotFound(format!("there is no repository '{key}'").into()),
    })
}

/// Ids sort by time.
pub(super) fn new_id() -> PromotionId {
    uuid::Uuid::now_v7().to_string().parse().expect("a UUID is written as ids are")
}

fn refusal(refused: &PromotionRefused, ends: &Ends) -> HostedError {
    let text = format!("{} is not promoted: {refused}", ends.from.shown(&ends.reference));
    match refused {
        PromotionRefused::NotThere { .. } => HostedError::NotFound(text.into()),
        PromotionRefused::Incomplete { .. }
        | PromotionRefused::TooLarge { .. }
        | PromotionRefused::OtherType { .. } => HostedError::Conflict(text.into()),
        PromotionRefused::Immutable { .. } => HostedError::Denied(format!("{text}; promote to another tag").into()),
        PromotionRefused::Channel { .. } => HostedError::Denied(text.into()),
    }
}
