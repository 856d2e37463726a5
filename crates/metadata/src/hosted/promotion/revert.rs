//! Taking a promotion back.
//!
//! Must not know bytes. Invariants: tags go back to what they pointed to; of what the promotion added, only that goes
//! which nobody has pushed since or was told of, and nothing else leads to or refers to.

use std::collections::BTreeMap;
use std::time::SystemTime;

use oci::{Digest, RepoKey, RepositoryName, Tag};
use sqlx::{Sqlite, Transaction};

use super::record::{promoted_tag, promotion};
use super::walk::referrers;
use super::{Place, PromotedTag, PromotionId, PromotionRow, PromotionState};
use crate::decode::Columns;
use crate::encode::millis;
use crate::error::MetadataError;
use crate::hosted::deletes::remove_tag;
use crate::hosted::events::{EVENTS_KEPT, HostedTagEvent, TagCause, TagMove, last_of};
use crate::hosted::garbage::{self, GarbageKind};
use crate::hosted::manifests::{current, point_tag};
use crate::metadata::Metadata;
use crate::sql::{self, over_time};

/// What went away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reverted {
    /// Manifests that the target does not have any more.
    pub manifests: Vec<Digest>,
    /// Blobs that it does not have any more.
    pub blobs: Vec<Digest>,
}

/// Why a promotion is not taken back. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevertRefused {
    /// There is no such promotion.
    #[error("there is no promotion {0}")]
    NotThere(PromotionId),
    /// It was not made, or is taken back already.
    #[error("the promotion is {}, and only one that is done can be taken back", .0.as_str())]
    NotDone(PromotionState),
    /// The tag was moved after the promotion.
    #[error("tag '{tag}' was moved since; it points to {}", describe(*now))]
    Moved {
        /// The tag.
        tag: Tag,
        /// Where it points.
        now: Option<Digest>,
    },
    /// What the tag pointed to before is gone.
    #[error("tag '{tag}' pointed to {previous} before, which was deleted since")]
    PreviousGone {
        /// The tag.
        tag: Tag,
        /// Where it pointed.
        previous: Digest,
    },
    /// The tag at the target never moves.
    #[error("tag '{tag}' is immutable: it neither goes back nor away")]
    Immutable {
        /// The tag.
        tag: Tag,
    },
}

fn describe(digest: Option<Digest>) -> String {
    digest.map_or_else(|| "nothing: it was deleted".to_owned(), |digest| digest.to_string())
}

type Transacting<'t> = &'t mut Transaction<'static, Sqlite>;
type Outcome<T> = Result<Result<T, RevertRefused>, MetadataError>;

impl Metadata {
    /// Takes a promotion back. `moved` says whether it may when the tag was moved since. Durable.
    pub async fn revert_promotion(
        &self,
        id: &PromotionId,
        principal: &str,
        moved: &(dyn Fn(&Tag) -> bool + Sync),
        immutable: &(dyn Fn(&Tag) -> bool + Sync),
    ) -> Outcome<Reverted> {
        let mut transaction = self.begin_durable().await?;
        let row = sqlx::query(over_time::FIND_PROMOTION).bind(id.as_str()).fetch_optional(&mut *transaction).await?;
        let Some(row) = row.as_ref().map(promotion).transpose()? else {
            return Ok(Err(RevertRefused::NotThere(id.clone())));
        };
        if row.state != PromotionState::Done {
            return Ok(Err(RevertRefused::NotDone(row.state)));
        }
        let tags = sqlx::query(over_time::PROMOTED_TAGS).bind(id.as_str()).fetch_all(&mut *transaction).await?;
        let by = TagMove { principal, cause: TagCause::Revert, promotion: Some(id) };
        for tag in tags.iter().map(promoted_tag).collect::<Result<Vec<_>, _>>()? {
            if let Err(refused) = put_back(&mut transaction, &row, &tag, by, (moved, immutable)).await? {
                return Ok(Err(refused));
            }
        }
        let reverted = take_away(&mut transaction, &row).await?;
        let query = sqlx::query(over_time::MARK_REVERTED).bind(id.as_str()).bind(millis(SystemTime::now()));
        query.bind(principal).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(Ok(reverted))
    }
}

type Judge<'a> = &'a (dyn Fn(&Tag) -> bool + Sync);

async fn put_back(
    transaction: Transacting<'_>,
    row: &PromotionRow,
    moved: &PromotedTag,
    by: TagMove<'_>,
    (may_have_moved, immutable): (Judge<'_>, Judge<'_>),
) -> Outcome<()> {
    let (repo, name) = (&row.to.0, &row.to.1);
    let PromotedTag { tag, digest, previous } = moved;
    let now = current(transaction, repo, name, tag).await?;
    if now == *previous {
        return Ok(Ok(()));
    }
    let as_it_was_left = now == Some(*digest) && is_as_left(transaction, row, tag).await?;
    if !as_it_was_left && !may_have_moved(tag) {
        // The tag of a signature that was renewed since is its signer's affair.
        let own = *tag == row.tag;
        return Ok(if own { Err(RevertRefused::Moved { tag: tag.clone(), now }) } else { Ok(()) });
    }
    if now.is_some() && immutable(tag) {
        return Ok(Err(RevertRefused::Immutable { tag: tag.clone() }));
    }
    match previous {
        None => remove_tag(transaction, (repo, name, tag), by).await?,
        Some(previous) => {
            let query = sqlx::query(sql::FIND_HOSTED_MANIFEST).bind(repo.as_str()).bind(name.as_str());
            if query.bind(previous.to_string()).fetch_optional(&mut **transaction).await?.is_none() {
                return Ok(Err(RevertRefused::PreviousGone { tag: tag.clone(), previous: *previous }));
            }
            point_tag(transaction, (repo, name, tag), previous, by).await?;
        }
    }
    Ok(Ok(()))
}

/// Whether the promotion was the last to move or push a tag, apart from later promotions that were taken back.
async fn is_as_left(transaction: Transacting<'_>, row: &PromotionRow, tag: &Tag) -> Result<bool, MetadataError> {
    let place = (&row.to.0, &row.to.1, tag);
    let tagged_at = tagged_at(transaction, place).await?;
    let events = last_of(transaction, place, EVENTS_KEPT).await?;
    let pushed_again = events.first().is_none_or(|last| tagged_at.is_none_or(|at| at > last.happened_at));
    let mut events = events.into_iter();
    while let Some(event) = events.next() {
        if event.cause != TagCause::Revert {
            return Ok(!pushed_again
                && event.cause == TagCause::Promotion
                && event.promotion.as_ref() == Some(&row.id));
        }
        // What was taken back is as if it had not been.
        let undone = |made: &HostedTagEvent| made.cause == TagCause::Promotion && made.promotion == event.promotion;
        let _made = events.find(undone);
    }
    Ok(false)
}

/// When a tag was last pushed, or moved.
async fn tagged_at(
    transaction: Transacting<'_>,
    (repo, name, tag): (&RepoKey, &RepositoryName, &Tag),
) -> Result<Option<SystemTime>, MetadataError> {
    let query = sqlx::query(over_time::TAGGED_AT).bind(repo.as_str()).bind(name.as_str()).bind(tag.as_str());
    let row = query.fetch_optional(&mut **transaction).await?;
    row.map(|row| Columns { table: "hosted_tags", row: &row }.time("tagged_at")).transpose()
}

/// Removes what only this promotion brought.
async fn take_away(transaction: Transacting<'_>, row: &PromotionRow) -> Result<Reverted, MetadataError> {
    let place = (&row.to.0, &row.to.1);
    let (mut candidates, mut blobs) = (BTreeMap::new(), Vec::new());
    let brought = sqlx::query(over_time::PROMOTION_BROUGHT).bind(row.id.as_str()).fetch_all(&mut **transaction).await?;
    for brought in &brought {
        let columns = Columns { table: "promotion_brought", row: brought };
        let digest: Digest = columns.parsed("digest")?;
        if columns.text("kind")? == "blob" {
            blobs.push(digest);
        } else if let Some(subject) = untouched(transaction, place, &digest, row.happened_at).await? {
            candidates.insert(digest, subject);
        }
    }
    let mut holders = BTreeMap::new();
    for digest in candidates.keys() {
        let mut by = holders_of(transaction, place, digest).await?;
        by.extend(referrers(transaction, place, digest).await?);
        holders.insert(*digest, by);
    }
    // What stays holds its children, keeps those that refer to it, and does not lose what it refers to.
    loop {
        let held = |digest: &Digest| {
            let by_another = holders.get(digest).into_iter().flatten().any(|holder| !candidates.contains_key(holder));
            let of_subject = candidates.get(digest).copied().flatten();
            by_another || of_subject.is_some_and(|subject| !candidates.contains_key(&subject))
        };
        let kept: Vec<Digest> = candidates.keys().copied().filter(held).collect();
        if kept.is_empty() {
            break;
        }
        candidates.retain(|digest, _| !kept.contains(digest));
    }
    remove(transaction, row, candidates.into_keys().collect(), blobs).await
}

async fn remove(
    transaction: Transacting<'_>,
    row: &PromotionRow,
    manifests: Vec<Digest>,
    blobs: Vec<Digest>,
) -> Result<Reverted, MetadataError> {
    let (repo, name) = (&row.to.0, &row.to.1);
    let mut reverted = Reverted { manifests, blobs: Vec::new() };
    for digest in &reverted.manifests {
        let query = sqlx::query(sql::DELETE_HOSTED_MANIFEST).bind(repo.as_str()).bind(name.as_str());
        query.bind(digest.to_string()).execute(&mut **transaction).await?;
        garbage::pardon(transaction, GarbageKind::Manifest, (repo, name), digest).await?;
    }
    for digest in blobs {
        let query = sqlx::query(over_time::UNLINK_UNTOUCHED).bind(repo.as_str()).bind(name.as_str());
        let query = query.bind(digest.to_string()).bind(millis(row.happened_at)).bind(millis(SystemTime::now()));
        if query.execute(&mut **transaction).await?.rows_affected() > 0 {
            garbage::pardon(transaction, GarbageKind::Link, (repo, name), &digest).await?;
            reverted.blobs.push(digest);
        }
    }
    Ok(reverted)
}

/// The subject of a manifest that is as the promotion left it and has no tag; the outer `None` for any other.
async fn untouched(
    transaction: Transacting<'_>,
    (repo, name): Place<'_>,
    digest: &Digest,
    at: SystemTime,
) -> Result<Option<Option<Digest>>, MetadataError> {
    let query = sqlx::query(over_time::UNTOUCHED_MANIFEST).bind(repo.as_str()).bind(name.as_str());
    let query = query.bind(digest.to_string()).bind(millis(at)).bind(millis(SystemTime::now()));
    let row = query.fetch_optional(&mut **transaction).await?;
    row.map(|row| Columns { table: "hosted_manifests", row: &row }.parsed_unless_null("subject")).transpose()
}

async fn holders_of(
    transaction: Transacting<'_>,
    (repo, name): Place<'_>,
    digest: &Digest,
) -> Result<Vec<Digest>, MetadataError> {
    let query = sqlx::query(sql::HOLDERS_OF_HOSTED).bind(repo.as_str()).bind(name.as_str());
    let rows = query.bind(digest.to_string()).fetch_all(&mut **transaction).await?;
    rows.iter().map(|row| Columns { table: "hosted_children", row }.parsed("manifest")).collect()
}
