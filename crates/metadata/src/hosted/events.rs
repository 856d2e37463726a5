//! What happened to a hosted tag: when, by whom, and where it pointed since.
//!
//! Must not know why someone asks. Invariant: an event is written in the transaction that moves the tag, and only the
//! newest of a tag are kept, so that a tag that moves all day cannot fill the disk.

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

/// A tag was pushed, moved or deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostedTagEvent {
    /// Where it points since; `None`: it was deleted.
    pub digest: Option<Digest>,
    /// When.
    pub happened_at: SystemTime,
    /// By whom.
    pub principal: String,
}

impl Metadata {
    /// At most `limit` of the last events of a tag, newest first.
    pub async fn hosted_tag_history(
        &self,
        repo: &RepoKey,
        name: &RepositoryName,
        tag: &Tag,
        limit: u32,
    ) -> Result<Vec<HostedTagEvent>, MetadataError> {
        let query = sqlx::query(sql::HOSTED_TAG_HISTORY).bind(repo.as_str()).bind(name.as_str()).bind(tag.as_str());
        let rows = query.bind(i64::from(limit)).fetch_all(self.readers()).await?;
        rows.iter().map(event).collect()
    }
}

/// Notes that the tag points to `digest` since now, or is gone.
pub(super) async fn record(
    transaction: &mut Transaction<'static, Sqlite>,
    (repo, name, tag): (&RepoKey, &RepositoryName, &Tag),
    digest: Option<&Digest>,
    principal: &str,
) -> Result<(), MetadataError> {
    sqlx::query(sql::RECORD_HOSTED_TAG_EVENT)
        .bind(repo.as_str())
        .bind(name.as_str())
        .bind(tag.as_str())
        .bind(digest.map(ToString::to_string))
        .bind(millis(SystemTime::now()))
        .bind(principal)
        .execute(&mut **transaction)
        .await?;
    let prune = sqlx::query(sql::PRUNE_HOSTED_TAG_EVENTS).bind(repo.as_str()).bind(name.as_str()).bind(tag.as_str());
    prune.bind(i64::from(EVENTS_KEPT)).execute(&mut **transaction).await?;
    Ok(())
}

fn event(row: &SqliteRow) -> Result<HostedTagEvent, MetadataError> {
    let columns = Columns { table: "hosted_tag_events", row };
    Ok(HostedTagEvent {
        digest: columns.parsed_unless_null("digest")?,
        happened_at: columns.time("happened_at")?,
        principal: columns.text("principal")?,
    })
}
