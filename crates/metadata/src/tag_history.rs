//! What a tag pointed to, and since when.
//!
//! Must not know why someone asks. Invariant: one event per change (confirmations are only in `TagRow::checked_at`), and
//! a bounded number of events per tag, so that a tag that moves with each request cannot fill the disk.

use std::time::SystemTime;

use oci::{Digest, RepoKey, RepositoryName, Tag};
use sqlx::sqlite::SqliteRow;
use sqlx::{Sqlite, Transaction};

use crate::decode::Columns;
use crate::encode::millis;
use crate::error::MetadataError;
use crate::metadata::Metadata;
use crate::sql;

/// The newest events of a tag that are kept.
const EVENTS_KEPT: u32 = 1000;

/// A tag was seen to have moved, come or gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagEvent {
    /// Where it points since; `None`: it was gone.
    pub digest: Option<Digest>,
    /// When the answer came.
    pub observed_at: SystemTime,
    /// Who answered, without credentials.
    pub upstream: String,
}

impl Metadata {
    /// At most `limit` of the last changes of a tag, newest first.
    pub async fn tag_history(
        &self,
        repo: &RepoKey,
        name: &RepositoryName,
        tag: &Tag,
        limit: u32,
    ) -> Result<Vec<TagEvent>, MetadataError> {
        let rows = sqlx::query(sql::TAG_HISTORY)
            .bind(repo.as_str())
            .bind(name.as_str())
            .bind(tag.as_str())
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(event).collect()
    }
}

impl Metadata {
    /// The last change of a tag that was seen at a time or before.
    pub async fn tag_at(
        &self,
        repo: &RepoKey,
        name: &RepositoryName,
        tag: &Tag,
        at: SystemTime,
    ) -> Result<Option<TagEvent>, MetadataError> {
        let query = sqlx::query(sql::over_time::TAG_AT).bind(repo.as_str()).bind(name.as_str()).bind(tag.as_str());
        let row = query.bind(millis(at)).fetch_optional(self.readers()).await?;
        row.as_ref().map(event).transpose()
    }
}

/// Drops the oldest events beyond what is kept.
pub(crate) async fn prune(
    transaction: &mut Transaction<'static, Sqlite>,
    repo: &RepoKey,
    name: &RepositoryName,
    tag: &Tag,
) -> Result<(), MetadataError> {
    sqlx::query(sql::PRUNE_TAG_EVENTS)
        .bind(repo.as_str())
        .bind(name.as_str())
        .bind(tag.as_str())
        .bind(i64::from(EVENTS_KEPT))
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

fn event(row: &SqliteRow) -> Result<TagEvent, MetadataError> {
    let columns = Columns { table: "tag_events", row };
    Ok(TagEvent {
        digest: columns.parsed_unless_null("digest")?,
        observed_at: columns.time("observed_at")?,
        upstream: columns.text("upstream")?,
    })
}
