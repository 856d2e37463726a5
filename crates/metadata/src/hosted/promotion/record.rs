//! What promotions were made, wait, or were refused.
//!
//! Must not know what the rules mean: they are kept as the JSON they came as. Invariant: what waits is here until it is
//! done or refused, so a restart loses none; of the refused, only the newest are kept.

use std::time::SystemTime;

use oci::{Digest, RepoKey, RepositoryName, Tag};
use sqlx::sqlite::SqliteRow;
use sqlx::{Sqlite, Transaction};

use super::{NewPromotion, PromotedTag, PromotionId, PromotionState};
use crate::decode::Columns;
use crate::encode::{count, millis};
use crate::error::MetadataError;
use crate::metadata::Metadata;
use crate::sql::over_time;

/// Refused promotions that are kept.
const REFUSED_KEPT: u32 = 1000;

/// A promotion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromotionRow {
    /// Which.
    pub id: PromotionId,
    /// How far it is.
    pub state: PromotionState,
    /// When it came to that; of one that was reverted, when it was made.
    pub happened_at: SystemTime,
    /// Who made it.
    pub principal: String,
    /// The workflow that did, if one did.
    pub workflow: Option<String>,
    /// The name that had the manifest.
    pub from: (RepoKey, RepositoryName),
    /// How it was asked for.
    pub from_reference: String,
    /// The name that is to have it.
    pub to: (RepoKey, RepositoryName),
    /// The tag there.
    pub tag: Tag,
    /// The manifest.
    pub digest: Digest,
    /// Where the tag pointed before.
    pub previous: Option<Digest>,
    /// Manifests it leads to.
    pub manifests: u64,
    /// Blobs it leads to.
    pub blobs: u64,
    /// Bytes of both.
    pub bytes: u64,
    /// Which rules passed and by what, as JSON.
    pub rules: String,
    /// Why it waits or was refused.
    pub reason: Option<String>,
    /// When it was taken back, and by whom.
    pub reverted: Option<(SystemTime, String)>,
}

/// Which promotions to list.
#[derive(Clone, Debug, Default)]
pub struct PromotionFilter<'a> {
    /// Only those older than this one.
    pub before: Option<&'a PromotionId>,
    /// Only those in this state.
    pub state: Option<PromotionState>,
    /// Only those to this repository.
    pub to: Option<&'a RepoKey>,
}

/// What becomes of one that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// It waits on.
    GoesOn,
    /// It ends as refused.
    Ends,
}

impl PromotionRow {
    /// One that has done nothing yet.
    pub fn new(promotion: &NewPromotion<'_>, state: PromotionState, at: SystemTime) -> Self {
        let owned = |(repo, name): super::Place<'_>| (repo.clone(), name.clone());
        Self {
            id: promotion.id.clone(),
            state,
            happened_at: at,
            principal: promotion.principal.to_owned(),
            workflow: promotion.workflow.map(str::to_owned),
            from: owned(promotion.from),
            from_reference: promotion.from_reference.to_owned(),
            to: owned(promotion.to),
            tag: promotion.tag.clone(),
            digest: *promotion.digest,
            previous: None,
            manifests: 0,
            blobs: 0,
            bytes: 0,
            rules: promotion.rules.to_owned(),
            reason: None,
            reverted: None,
        }
    }
}

impl Metadata {
    /// Notes a promotion that was not made. Durable.
    pub async fn note_promotion(&self, row: &PromotionRow) -> Result<(), MetadataError> {
        let mut transaction = self.begin_durable().await?;
        put(&mut transaction, row).await?;
        prune(&mut transaction).await?;
        Ok(transaction.commit().await?)
    }

    /// Notes what was found of one that waits.
    pub async fn note_waiting(
        &self,
        id: &PromotionId,
        then: Waiting,
        reason: &str,
        rules: &str,
    ) -> Result<(), MetadataError> {
        let mut transaction = self.begin_durable().await?;
        let statement = match then {
            Waiting::GoesOn => over_time::STILL_WAITING,
            Waiting::Ends => over_time::END_WAITING,
        };
        sqlx::query(statement).bind(id.as_str()).bind(reason).bind(rules).execute(&mut *transaction).await?;
        prune(&mut transaction).await?;
        Ok(transaction.commit().await?)
    }

    /// One promotion.
    pub async fn find_promotion(&self, id: &PromotionId) -> Result<Option<PromotionRow>, MetadataError> {
        let row = sqlx::query(over_time::FIND_PROMOTION).bind(id.as_str()).fetch_optional(self.readers()).await?;
        row.as_ref().map(promotion).transpose()
    }

    /// At most `limit` promotions, newest first.
    pub async fn list_promotions(
        &self,
        filter: &PromotionFilter<'_>,
        limit: u32,
    ) -> Result<Vec<PromotionRow>, MetadataError> {
        // Behind every id, of which none has such a letter.
        let before = filter.before.map_or("~", PromotionId::as_str);
        let query = sqlx::query(over_time::LIST_PROMOTIONS).bind(before);
        let query = query.bind(filter.state.map(PromotionState::as_str)).bind(filter.to.map(RepoKey::as_str));
        let rows = query.bind(i64::from(limit)).fetch_all(self.readers()).await?;
        rows.iter().map(promotion).collect()
    }

    /// At most `limit` promotions that wait behind `after`, oldest first.
    pub async fn waiting_promotions(
        &self,
        after: Option<&PromotionId>,
        limit: u32,
    ) -> Result<Vec<PromotionRow>, MetadataError> {
        let after = after.map_or("", PromotionId::as_str);
        let query = sqlx::query(over_time::WAITING_PROMOTIONS).bind(after).bind(i64::from(limit));
        query.fetch_all(self.readers()).await?.iter().map(promotion).collect()
    }

    /// The last promotion of this manifest from there to here that is in this state.
    pub async fn latest_promotion_of(
        &self,
        wanted: &NewPromotion<'_>,
        state: PromotionState,
    ) -> Result<Option<PromotionRow>, MetadataError> {
        let row = sqlx::query(over_time::LATEST_PROMOTION_OF)
            .bind(wanted.from.0.as_str())
            .bind(wanted.from.1.as_str())
            .bind(wanted.to.0.as_str())
            .bind(wanted.to.1.as_str())
            .bind(wanted.tag.as_str())
            .bind(wanted.digest.to_string())
            .bind(state.as_str())
            .fetch_optional(self.readers())
            .await?;
        row.as_ref().map(promotion).transpose()
    }

    /// How many manifests and blobs a promotion brought, and the tags it moved.
    pub async fn promotion_details(&self, id: &PromotionId) -> Result<(u64, u64, Vec<PromotedTag>), MetadataError> {
        let rows = sqlx::query(over_time::COUNT_BROUGHT).bind(id.as_str()).fetch_all(self.readers()).await?;
        let (mut manifests, mut blobs) = (0, 0);
        for row in &rows {
            let columns = Columns { table: "promotion_brought", row };
            match columns.text("kind")?.as_str() {
                "manifest" => manifests = columns.count("brought")?,
                _ => blobs = columns.count("brought")?,
            }
        }
        let rows = sqlx::query(over_time::PROMOTED_TAGS).bind(id.as_str()).fetch_all(self.readers()).await?;
        let tags = rows.iter().map(promoted_tag).collect::<Result<_, _>>()?;
        Ok((manifests, blobs, tags))
    }
}

/// Writes a promotion, or what became of it.
pub(super) async fn put(
    transaction: &mut Transaction<'static, Sqlite>,
    row: &PromotionRow,
) -> Result<(), MetadataError> {
    sqlx::query(over_time::PUT_PROMOTION)
        .bind(row.id.as_str())
        .bind(row.state.as_str())
        .bind(millis(row.happened_at))
        .bind(&row.principal)
        .bind(&row.workflow)
        .bind(row.from.0.as_str())
        .bind(row.from.1.as_str())
        .bind(&row.from_reference)
        .bind(row.to.0.as_str())
        .bind(row.to.1.as_str())
        .bind(row.tag.as_str())
        .bind(row.digest.to_string())
        .bind(row.previous.map(|digest| digest.to_string()))
        .bind(count("manifests", row.manifests)?)
        .bind(count("blobs", row.blobs)?)
        .bind(count("bytes", row.bytes)?)
        .bind(&row.rules)
        .bind(&row.reason)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

async fn prune(transaction: &mut Transaction<'static, Sqlite>) -> Result<(), MetadataError> {
    sqlx::query(over_time::PRUNE_REFUSED).bind(i64::from(REFUSED_KEPT)).execute(&mut **transaction).await?;
    Ok(())
}

pub(super) fn promotion(row: &SqliteRow) -> Result<PromotionRow, MetadataError> {
    let columns = Columns { table: "promotions", row };
    let reverted = columns.time_unless_null("reverted_at")?.zip(columns.text_unless_null("reverted_by")?);
    Ok(PromotionRow {
        id: columns.parsed("id")?,
        state: columns.parsed("state")?,
        happened_at: columns.time("happened_at")?,
        principal: columns.text("principal")?,
        workflow: columns.text_unless_null("workflow")?,
        from: (columns.parsed("from_repo")?, columns.parsed("from_name")?),
        from_reference: columns.text("from_reference")?,
        to: (columns.parsed("to_repo")?, columns.parsed("to_name")?),
        tag: columns.parsed("to_tag")?,
        digest: columns.parsed("digest")?,
        previous: columns.parsed_unless_null("previous")?,
        manifests: columns.count("manifests")?,
        blobs: columns.count("blobs")?,
        bytes: columns.count("size_bytes")?,
        rules: columns.text("rules")?,
        reason: columns.text_unless_null("reason")?,
        reverted,
    })
}

pub(super) fn promoted_tag(row: &SqliteRow) -> Result<PromotedTag, MetadataError> {
    let columns = Columns { table: "promotion_tags", row };
    Ok(PromotedTag {
        tag: columns.parsed("tag")?,
        digest: columns.parsed("digest")?,
        previous: columns.parsed_unless_null("previous")?,
    })
}
