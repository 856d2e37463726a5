//! Copying rows from one name to another.
//!
//! Must not know why it is allowed. Invariants: everything the manifest leads to, its tag and the record come in one
//! transaction; what was there already is not noted as brought.

use std::time::SystemTime;

use oci::{Digest, MediaType, Tag};
use sqlx::{Sqlite, Transaction};

use super::record::{self, PromotionRow};
use super::walk::{Walk, walk};
use super::{Place, PromotedTag, PromotionId, PromotionRefused, PromotionState};
use crate::decode::Columns;
use crate::encode::millis;
use crate::error::MetadataError;
use crate::hosted::events::{self, TagCause, TagMove};
use crate::hosted::garbage::{self, GarbageKind};
use crate::hosted::manifests::{current, point_tag};
use crate::hosted::tag_rules::{TagRules, may_point};
use crate::metadata::Metadata;
use crate::sql::{self, over_time};

/// A promotion that is allowed.
#[derive(Debug)]
pub struct NewPromotion<'a> {
    /// Its id; one that waited keeps its own.
    pub id: &'a PromotionId,
    /// The name that has the manifest.
    pub from: Place<'a>,
    /// How it was asked for: a tag, or a digest.
    pub from_reference: &'a str,
    /// The name that is to have it.
    pub to: Place<'a>,
    /// The tag there.
    pub tag: &'a Tag,
    /// The manifest.
    pub digest: &'a Digest,
    /// Who promotes.
    pub principal: &'a str,
    /// The workflow that does, if one does.
    pub workflow: Option<&'a str>,
    /// Which rules passed and by what, as JSON.
    pub rules: &'a str,
}

/// Whether to change anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rehearsal {
    /// Everything is done, told, and taken back.
    Only,
    /// It counts.
    No,
}

/// What a promotion did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Manifests it leads to.
    pub manifests: u64,
    /// Blobs it leads to.
    pub blobs: u64,
    /// Bytes of both.
    pub bytes: u64,
    /// Manifests the target did not have.
    pub brought_manifests: Vec<Digest>,
    /// Blobs the target did not have.
    pub brought_blobs: Vec<Digest>,
    /// Tags that moved.
    pub tags: Vec<PromotedTag>,
    /// Where the tag pointed before.
    pub previous: Option<Digest>,
    /// Tags of signatures that lead elsewhere at the target, and are the target's own or immutable there.
    pub left: Vec<Tag>,
}

impl Copied {
    /// Whether the target had all of it already.
    pub fn changed_nothing(&self) -> bool {
        self.brought_manifests.is_empty() && self.brought_blobs.is_empty() && self.tags.is_empty()
    }
}

type Transacting<'t> = &'t mut Transaction<'static, Sqlite>;

impl Metadata {
    /// Promotes: copies the rows, moves the tag, notes it. `rules` say which tags of the target may move. A
    /// promotion that changes nothing is not noted. Durable.
    pub async fn promote(
        &self,
        promotion: &NewPromotion<'_>,
        rehearsal: Rehearsal,
        rules: &dyn TagRules,
    ) -> Result<Result<Copied, PromotionRefused>, MetadataError> {
        let mut transaction = self.begin_durable().await?;
        let now = SystemTime::now();
        let previous = current(&mut transaction, promotion.to.0, promotion.to.1, promotion.tag).await?;
        if let Some(current) =
            previous.filter(|current| current != promotion.digest && rules.is_immutable(promotion.tag))
        {
            return Ok(Err(PromotionRefused::Immutable { tag: promotion.tag.clone(), current }));
        }
        let tag = (promotion.tag, promotion.digest);
        if !may_point(&mut transaction, promotion.to, tag, &[], rules).await? {
            return Ok(Err(PromotionRefused::Channel { tag: promotion.tag.clone() }));
        }
        let found = match walk(&mut transaction, promotion.from, promotion.digest).await? {
            Ok(found) => found,
            Err(refused) => return Ok(Err(refused)),
        };
        let mut copied = Copied {
            manifests: found.manifests.len() as u64,
            blobs: found.blobs.len() as u64,
            bytes: found.manifests.values().chain(found.blobs.values()).sum(),
            brought_manifests: Vec::new(),
            brought_blobs: Vec::new(),
            tags: Vec::new(),
            previous,
            left: Vec::new(),
        };
        if let Err(refused) = copy_rows(&mut transaction, promotion, &found, now, &mut copied).await? {
            return Ok(Err(refused));
        }
        move_tags(&mut transaction, promotion, &found, rules, &mut copied).await?;
        if rehearsal == Rehearsal::Only {
            return Ok(Ok(copied));
        }
        if !copied.changed_nothing() {
            note(&mut transaction, promotion, now, &copied).await?;
        }
        transaction.commit().await?;
        Ok(Ok(copied))
    }
}

async fn copy_rows(
    transaction: Transacting<'_>,
    promotion: &NewPromotion<'_>,
    found: &Walk,
    now: SystemTime,
    copied: &mut Copied,
) -> Result<Result<(), PromotionRefused>, MetadataError> {
    for digest in found.blobs.keys() {
        let query = between(over_time::COPY_HOSTED_LINK, promotion, digest).bind(millis(now));
        if query.execute(&mut **transaction).await?.rows_affected() > 0 {
            copied.brought_blobs.push(*digest);
        }
        garbage::pardon(transaction, GarbageKind::Link, promotion.to, digest).await?;
    }
    for digest in found.manifests.keys() {
        garbage::pardon(transaction, GarbageKind::Manifest, promotion.to, digest).await?;
        let query = between(over_time::COPY_HOSTED_MANIFEST, promotion, digest).bind(millis(now));
        if query.bind(promotion.principal).execute(&mut **transaction).await?.rows_affected() > 0 {
            between(over_time::COPY_HOSTED_CHILDREN, promotion, digest).execute(&mut **transaction).await?;
            copied.brought_manifests.push(*digest);
            continue;
        }
        let (here, there) = (
            media_type(transaction, promotion.from, digest).await?,
            media_type(transaction, promotion.to, digest).await?,
        );
        if here != there {
            return Ok(Err(PromotionRefused::OtherType { digest: *digest, stored: there }));
        }
    }
    Ok(Ok(()))
}

/// A copying statement with its five first values.
fn between<'q>(
    statement: &'static str,
    promotion: &'q NewPromotion<'_>,
    digest: &Digest,
) -> sqlx::query::Query<'q, Sqlite, sqlx::sqlite::SqliteArguments> {
    let query = sqlx::query(statement).bind(promotion.from.0.as_str()).bind(promotion.from.1.as_str());
    query.bind(digest.to_string()).bind(promotion.to.0.as_str()).bind(promotion.to.1.as_str())
}

async fn media_type(
    transaction: Transacting<'_>,
    (repo, name): Place<'_>,
    digest: &Digest,
) -> Result<MediaType, MetadataError> {
    let query = sqlx::query(sql::FIND_HOSTED_MANIFEST).bind(repo.as_str()).bind(name.as_str());
    let row = query.bind(digest.to_string()).fetch_one(&mut **transaction).await?;
    Columns { table: "hosted_manifests", row: &row }.parsed("media_type")
}

async fn move_tags(
    transaction: Transacting<'_>,
    promotion: &NewPromotion<'_>,
    found: &Walk,
    rules: &dyn TagRules,
    copied: &mut Copied,
) -> Result<(), MetadataError> {
    let (repo, name) = promotion.to;
    let by = TagMove { principal: promotion.principal, cause: TagCause::Promotion, promotion: Some(promotion.id) };
    let wanted = std::iter::once((promotion.tag, promotion.digest));
    let signatures = found.signature_tags.iter().map(|(tag, digest)| (tag, digest));
    for (tag, digest) in wanted.chain(signatures.filter(|(tag, _)| *tag != promotion.tag)) {
        let previous = current(transaction, repo, name, tag).await?;
        if previous == Some(*digest) {
            continue;
        }
        if previous.is_some() && *tag != *promotion.tag {
            // The target may have signatures of its own; what came from the same source is renewed from there.
            if rules.is_immutable(tag) || !came_from_there(transaction, promotion, tag).await? {
                copied.left.push(tag.clone());
                continue;
            }
        }
        point_tag(transaction, (repo, name, tag), digest, by).await?;
        copied.tags.push(PromotedTag { tag: tag.clone(), digest: *digest, previous });
    }
    Ok(())
}

/// Whether a promotion from the same source was the last to move a tag of the target.
async fn came_from_there(
    transaction: Transacting<'_>,
    promotion: &NewPromotion<'_>,
    tag: &Tag,
) -> Result<bool, MetadataError> {
    let (repo, name) = promotion.to;
    let last = events::last_of(transaction, (repo, name, tag), 1).await?.pop();
    let Some(id) = last.filter(|last| last.cause == TagCause::Promotion).and_then(|last| last.promotion) else {
        return Ok(false);
    };
    let row = sqlx::query(over_time::FIND_PROMOTION).bind(id.as_str()).fetch_optional(&mut **transaction).await?;
    let Some(row) = row.as_ref().map(record::promotion).transpose()? else { return Ok(false) };
    Ok((&row.from.0, &row.from.1) == promotion.from)
}

async fn note(
    transaction: Transacting<'_>,
    promotion: &NewPromotion<'_>,
    now: SystemTime,
    copied: &Copied,
) -> Result<(), MetadataError> {
    let row = PromotionRow {
        previous: copied.previous,
        manifests: copied.manifests,
        blobs: copied.blobs,
        bytes: copied.bytes,
        ..PromotionRow::new(promotion, PromotionState::Done, now)
    };
    record::put(transaction, &row).await?;
    for (kind, digests) in [("manifest", &copied.brought_manifests), ("blob", &copied.brought_blobs)] {
        for digest in digests {
            let query = sqlx::query(over_time::PUT_BROUGHT).bind(promotion.id.as_str()).bind(kind);
            query.bind(digest.to_string()).execute(&mut **transaction).await?;
        }
    }
    for moved in &copied.tags {
        sqlx::query(over_time::PUT_PROMOTED_TAG)
            .bind(promotion.id.as_str())
            .bind(moved.tag.as_str())
            .bind(moved.digest.to_string())
            .bind(moved.previous.map(|digest| digest.to_string()))
            .execute(&mut **transaction)
            .await?;
    }
    Ok(())
}
