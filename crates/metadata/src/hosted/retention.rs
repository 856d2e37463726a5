//! What is known of tags when it is decided which stay: when they were pushed, and their manifests last pulled; and which
//! moves were handled.
//!
//! Must not know the decision. Invariants: a pull is noted only of a manifest that is there; lists come in pages; a mark
//! never says more than was done.

use std::time::SystemTime;

use oci::{Digest, RepoKey, RepositoryName, Tag};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::decode::Columns;
use crate::encode::millis;
use crate::error::MetadataError;
use crate::metadata::Metadata;
use crate::sql::{self, over_time};

/// What is known of a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagFacts {
    /// The name it is under.
    pub name: RepositoryName,
    /// The tag.
    pub tag: Tag,
    /// Where it points.
    pub digest: Digest,
    /// When it was last pushed.
    pub tagged_at: SystemTime,
    /// When its manifest was last pulled, by any tag or by digest.
    pub pulled_at: Option<SystemTime>,
}

/// A manifest was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pull {
    /// The repository.
    pub repo: RepoKey,
    /// The name.
    pub name: RepositoryName,
    /// The manifest.
    pub digest: Digest,
    /// When.
    pub at: SystemTime,
}

/// When something was last done in a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastDone {
    /// When.
    pub at: SystemTime,
    /// A number that stands for the settings it was done by.
    pub settings: i64,
}

/// A tag moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagEventRow {
    /// Its place among all events.
    pub id: i64,
    /// The repository.
    pub repo: RepoKey,
    /// The name.
    pub name: RepositoryName,
    /// The tag.
    pub tag: Tag,
    /// Where it points since.
    pub digest: Option<Digest>,
    /// When.
    pub happened_at: SystemTime,
}

const PULLS_KNOWN_SINCE: &str = "pulls_known_since";
const EVENTS_HANDLED: &str = "events_handled";

impl Metadata {
    /// At most `limit` tags of a repository behind this name and tag.
    pub async fn hosted_tag_facts(
        &self,
        repo: &RepoKey,
        (name, tag): (&str, &str),
        limit: u32,
    ) -> Result<Vec<TagFacts>, MetadataError> {
        let query = sqlx::query(over_time::HOSTED_TAG_FACTS).bind(repo.as_str()).bind(name).bind(tag);
        let rows = query.bind(i64::from(limit)).fetch_all(self.readers()).await?;
        rows.iter().map(tag_facts).collect()
    }

    /// At most `limit` tags of one name, without their pulls.
    pub async fn hosted_tag_facts_of(
        &self,
        repo: &RepoKey,
        name: &RepositoryName,
        limit: u32,
    ) -> Result<Vec<TagFacts>, MetadataError> {
        let query = sqlx::query(over_time::HOSTED_TAG_FACTS_OF).bind(repo.as_str()).bind(name.as_str());
        let rows = query.bind(i64::from(limit)).fetch_all(self.readers()).await?;
        rows.iter().map(tag_facts).collect()
    }

    /// The tags that point to a manifest.
    pub async fn hosted_tags_of(
        &self,
        repo: &RepoKey,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<Vec<Tag>, MetadataError> {
        let query = sqlx::query(sql::TAGS_OF_HOSTED).bind(repo.as_str()).bind(name.as_str());
        let rows = query.bind(digest.to_string()).fetch_all(self.readers()).await?;
        rows.iter().map(|row| Columns { table: "hosted_tags", row }.parsed("tag")).collect()
    }

    /// Notes pulls, all in one transaction. Not durable: a power loss forgets the last few.
    pub async fn note_pulls(&self, pulls: &[Pull]) -> Result<(), MetadataError> {
        let mut transaction = self.begin().await?;
        for pull in pulls {
            let query = sqlx::query(over_time::NOTE_PULL).bind(pull.repo.as_str()).bind(pull.name.as_str());
            query.bind(pull.digest.to_string()).bind(millis(pull.at)).execute(&mut *transaction).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Forgets the pulls of manifests that are gone.
    pub async fn prune_pulls(&self) -> Result<(), MetadataError> {
        sqlx::query(over_time::PRUNE_PULLS).execute(self.writer()).await?;
        Ok(())
    }

    /// Since when pulls are noted.
    pub async fn pulls_known_since(&self) -> Result<SystemTime, MetadataError> {
        let row = sqlx::query(over_time::GET_MARK).bind(PULLS_KNOWN_SINCE).fetch_one(self.readers()).await?;
        Columns { table: "hosted_marks", row: &row }.time("value")
    }

    /// At most `limit` moves of tags that were not handled, oldest first.
    pub async fn unhandled_tag_events(&self, limit: u32) -> Result<Vec<TagEventRow>, MetadataError> {
        let mark = sqlx::query(over_time::GET_MARK).bind(EVENTS_HANDLED).fetch_one(self.readers()).await?;
        let handled: i64 = mark.try_get("value")?;
        let query = sqlx::query(over_time::TAG_EVENTS_AFTER).bind(handled).bind(i64::from(limit));
        let rows = query.fetch_all(self.readers()).await?;
        let event = |row| {
            let columns = Columns { table: "hosted_tag_events", row };
            Ok(TagEventRow {
                id: sqlx::Row::try_get(row, "id")?,
                repo: columns.parsed("repo")?,
                name: columns.parsed("name")?,
                tag: columns.parsed("tag")?,
                digest: columns.parsed_unless_null("digest")?,
                happened_at: columns.time("happened_at")?,
            })
        };
        rows.iter().map(event).collect()
    }

    /// Notes that all moves up to this one were handled.
    pub async fn tag_events_handled(&self, id: i64) -> Result<(), MetadataError> {
        sqlx::query(over_time::SET_MARK).bind(EVENTS_HANDLED).bind(id).execute(self.writer()).await?;
        Ok(())
    }
}

impl Metadata {
    /// When something that has this name was last done in a repository.
    pub async fn last_done(&self, what: &str, repo: &RepoKey) -> Result<Option<LastDone>, MetadataError> {
        let [done, settings] = marks_of(what, repo);
        let query = sqlx::query(over_time::FIND_DONE).bind(done).bind(settings);
        let Some(row) = query.fetch_optional(self.readers()).await? else { return Ok(None) };
        let at = Columns { table: "hosted_marks", row: &row }.time("done_at")?;
        Ok(Some(LastDone { at, settings: row.try_get("settings")? }))
    }

    /// Notes that it was done.
    pub async fn note_done(&self, what: &str, repo: &RepoKey, last: LastDone) -> Result<(), MetadataError> {
        let mut transaction = self.begin().await?;
        let values = [millis(last.at), last.settings];
        for (mark, value) in marks_of(what, repo).into_iter().zip(values) {
            sqlx::query(over_time::SET_MARK).bind(mark).bind(value).execute(&mut *transaction).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Forgets that it was ever done.
    pub async fn forget_done(&self, what: &str, repo: &RepoKey) -> Result<(), MetadataError> {
        let mut transaction = self.begin().await?;
        for mark in marks_of(what, repo) {
            sqlx::query(over_time::DROP_MARK).bind(mark).execute(&mut *transaction).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// The repositories in which it was done.
    pub async fn done_in(&self, what: &str) -> Result<Vec<RepoKey>, MetadataError> {
        let query = sqlx::query(over_time::DONE_IN).bind(format!("{what}:%"));
        let mut repos = Vec::new();
        for row in query.fetch_all(self.readers()).await? {
            let mark: String = row.try_get("mark")?;
            repos.extend(mark.split_once(':').and_then(|(_, repo)| repo.parse().ok()));
        }
        Ok(repos)
    }
}

/// The marks of the time and of the settings.
fn marks_of(what: &str, repo: &RepoKey) -> [String; 2] {
    [format!("{what}:{repo}"), format!("{what} by:{repo}")]
}

pub(super) fn tag_facts(row: &SqliteRow) -> Result<TagFacts, MetadataError> {
    let columns = Columns { table: "hosted_tags", row };
    Ok(TagFacts {
        name: columns.parsed("name")?,
        tag: columns.parsed("tag")?,
        digest: columns.parsed("digest")?,
        tagged_at: columns.time("tagged_at")?,
        pulled_at: columns.time_unless_null("pulled_at")?,
    })
}
