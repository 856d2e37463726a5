//! What happened to a hosted tag: when, by whom, and where it pointed since.
//!
//! Must not know why someone asks. Invariant: an event is written in the transaction that moves the tag, and only the
//! newest of a tag are kept, so that a tag that moves all day cannot fill the disk.

use std::str::FromStr;
use std::time::SystemTime;

use oci::{Digest, RepoKey, RepositoryName, Tag};
use sqlx::sqlite::SqliteRow;
use sqlx::{Sqlite, Transaction};

use super::promotion::PromotionId;
use crate::decode::Columns;
use crate::encode::millis;
use crate::error::MetadataError;
use crate::metadata::Metadata;
use crate::sql;

/// The newest events of a tag that are kept.
pub(super) const EVENTS_KEPT: u32 = 1000;

/// Why a tag moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagCause {
    /// Somebody pushed.
    Push,
    /// Somebody deleted the tag, or the manifest it pointed to.
    Delete,
    /// A promotion brought it.
    Promotion,
    /// A promotion was taken back.
    Revert,
    /// Somebody put it back to what it was.
    Rollback,
    /// No rule of retention kept it.
    Retention,
    /// It is a channel that was set, or followed.
    Channel,
}

impl TagCause {
    const ALL: [Self; 7] =
        [Self::Push, Self::Delete, Self::Promotion, Self::Revert, Self::Rollback, Self::Retention, Self::Channel];

    /// The word in rows and documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Delete => "delete",
            Self::Promotion => "promotion",
            Self::Revert => "revert",
            Self::Rollback => "rollback",
            Self::Retention => "retention",
            Self::Channel => "channel",
        }
    }
}

/// The word of a cause that nobody knows.
#[derive(Debug, thiserror::Error)]
#[error("it is no cause of a move")]
pub struct InvalidTagCause;

impl FromStr for TagCause {
    type Err = InvalidTagCause;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == text).ok_or(InvalidTagCause)
    }
}

/// By whom and why a tag moves.
#[derive(Clone, Copy, Debug)]
pub struct TagMove<'a> {
    /// By whom.
    pub principal: &'a str,
    /// Why.
    pub cause: TagCause,
    /// The promotion that moves it.
    pub promotion: Option<&'a PromotionId>,
}

impl<'a> TagMove<'a> {
    /// A move that belongs to no promotion.
    pub fn new(principal: &'a str, cause: TagCause) -> Self {
        Self { principal, cause, promotion: None }
    }
}

/// A tag was pushed, moved or deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostedTagEvent {
    /// Where it points since; `None`: it was deleted.
    pub digest: Option<Digest>,
    /// When.
    pub happened_at: SystemTime,
    /// By whom.
    pub principal: String,
    /// Why.
    pub cause: TagCause,
    /// The promotion that moved it.
    pub promotion: Option<PromotionId>,
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

/// Notes that the tag points to `digest` since `now`, or is gone.
pub(super) async fn record(
    transaction: &mut Transaction<'static, Sqlite>,
    (repo, name, tag): (&RepoKey, &RepositoryName, &Tag),
    digest: Option<&Digest>,
    by: TagMove<'_>,
    now: SystemTime,
) -> Result<(), MetadataError> {
    sqlx::query(sql::RECORD_HOSTED_TAG_EVENT)
        .bind(repo.as_str())
        .bind(name.as_str())
        .bind(tag.as_str())
        .bind(digest.map(ToString::to_string))
        .bind(millis(now))
        .bind(by.principal)
        .bind(by.cause.as_str())
        .bind(by.promotion.map(PromotionId::as_str))
        .execute(&mut **transaction)
        .await?;
    let prune = sqlx::query(sql::PRUNE_HOSTED_TAG_EVENTS).bind(repo.as_str()).bind(name.as_str()).bind(tag.as_str());
    prune.bind(i64::from(EVENTS_KEPT)).execute(&mut **transaction).await?;
    Ok(())
}

/// At most `limit` of the last events of a tag, newest first, as this transaction sees them.
pub(super) async fn last_of(
    transaction: &mut Transaction<'static, Sqlite>,
    (repo, name, tag): (&RepoKey, &RepositoryName, &Tag),
    limit: u32,
) -> Result<Vec<HostedTagEvent>, MetadataError> {
    let query = sqlx::query(sql::HOSTED_TAG_HISTORY).bind(repo.as_str()).bind(name.as_str()).bind(tag.as_str());
    let rows = query.bind(i64::from(limit)).fetch_all(&mut **transaction).await?;
    rows.iter().map(event).collect()
}

pub(super) fn event(row: &SqliteRow) -> Result<HostedTagEvent, MetadataError> {
    let columns = Columns { table: "hosted_tag_events", row };
    Ok(HostedTagEvent {
        digest: columns.parsed_unless_null("digest")?,
        happened_at: columns.time("happened_at")?,
        principal: columns.text("principal")?,
        cause: columns.parsed("cause")?,
        promotion: columns.parsed_unless_null("promotion")?,
    })
}
