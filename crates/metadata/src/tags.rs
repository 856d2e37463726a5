//! What tags point to, as upstream last said.
//!
//! Must not know how fresh is fresh enough. Invariant: an answer to an older question never replaces one to a newer
//! question, whichever arrives first; a move and its record in the history are one transaction.

use std::time::SystemTime;

use oci::{Digest, MediaType, RepoKey, RepositoryName, Tag};
use sqlx::sqlite::SqliteRow;

use crate::decode::Columns;
use crate::encode::{count, millis};
use crate::error::MetadataError;
use crate::metadata::Metadata;
use crate::sql;
use crate::tag_history;

/// What a tag points to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagRow {
    /// The manifest.
    pub digest: Digest,
    /// The manifest's media type.
    pub media_type: MediaType,
    /// When upstream last confirmed it. After the clock was set back this may lie in the future.
    pub checked_at: SystemTime,
    /// When it was first seen to point to this manifest.
    pub changed_at: SystemTime,
}

/// Upstream answered that a tag points to a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagObservation {
    /// The repository that asked.
    pub repo: RepoKey,
    /// The name it asked for.
    pub name: RepositoryName,
    /// The tag it asked for.
    pub tag: Tag,
    /// The manifest it points to.
    pub digest: Digest,
    /// The manifest's media type.
    pub media_type: MediaType,
    /// Who answered, without credentials.
    pub upstream: String,
    /// When the answer came.
    pub observed_at: SystemTime,
    /// The place of the question among all this process asked: larger is later. May start anew with each process.
    pub sequence: u64,
}

/// Upstream answered that a tag is not there (any more).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagGone {
    /// The repository that asked.
    pub repo: RepoKey,
    /// The name it asked for.
    pub name: RepositoryName,
    /// The tag it asked for.
    pub tag: Tag,
    /// Who answered, without credentials.
    pub upstream: String,
    /// When the answer came.
    pub observed_at: SystemTime,
    /// As in [`TagObservation::sequence`].
    pub sequence: u64,
}

impl Metadata {
    /// What the tag points to, when upstream ever said so and has not since said that it is gone.
    pub async fn find_tag(
        &self,
        repo: &RepoKey,
        name: &RepositoryName,
        tag: &Tag,
    ) -> Result<Option<TagRow>, MetadataError> {
        let row = sqlx::query(sql::FIND_TAG)
            .bind(repo.as_str())
            .bind(name.as_str())
            .bind(tag.as_str())
            .fetch_optional(self.readers())
            .await?;
        row.as_ref().map(tag_row).transpose()
    }

    /// The tag of a repository that upstream confirmed last, with its name.
    pub async fn latest_tag(&self, repo: &RepoKey) -> Result<Option<(RepositoryName, Tag)>, MetadataError> {
        let row = sqlx::query(sql::LATEST_TAG).bind(repo.as_str()).fetch_optional(self.readers()).await?;
        row.map(|row| {
            let columns = Columns { table: "tags", row: &row };
            Ok((columns.parsed("name")?, columns.parsed("tag")?))
        })
        .transpose()
    }

    /// The known tags of a name, in the order of `tags/list` (by bytes).
    pub async fn list_tags(&self, repo: &RepoKey, name: &RepositoryName) -> Result<Vec<Tag>, MetadataError> {
        let rows =
            sqlx::query(sql::LIST_TAGS).bind(repo.as_str()).bind(name.as_str()).fetch_all(self.readers()).await?;
        let parse = |row| Columns { table: "tags", row }.parsed("tag");
        let mut tags: Vec<Tag> = rows.iter().map(parse).collect::<Result<_, _>>()?;
        tags.sort_unstable();
        Ok(tags)
    }

    /// Notes that a tag points to a manifest. True when that is news: the tag was unknown, gone or elsewhere. An answer
    /// to an older question than the last one noted changes nothing.
    pub async fn observe_tag(&self, observation: TagObservation) -> Result<bool, MetadataError> {
        let TagObservation { repo, name, tag, digest, media_type, upstream, observed_at, sequence } = observation;
        let (digest, observed_at) = (digest.to_string(), millis(observed_at));
        let sequence = count("tag sequence", sequence)?;
        let mut transaction = self.begin().await?;
        let moved = sqlx::query(sql::RECORD_MOVE)
            .bind(repo.as_str())
            .bind(name.as_str())
            .bind(tag.as_str())
            .bind(&digest)
            .bind(self.session())
            .bind(sequence)
            .bind(observed_at)
            .bind(upstream)
            .execute(&mut *transaction)
            .await?;
        sqlx::query(sql::OBSERVE_TAG)
            .bind(repo.as_str())
            .bind(name.as_str())
            .bind(tag.as_str())
            .bind(&digest)
            .bind(self.session())
            .bind(sequence)
            .bind(observed_at)
            .bind(media_type.as_str())
            .execute(&mut *transaction)
            .await?;
        let is_news = moved.rows_affected() > 0;
        if is_news {
            tag_history::prune(&mut transaction, &repo, &name, &tag).await?;
        }
        transaction.commit().await?;
        Ok(is_news)
    }

    /// Notes that upstream confirmed the tag at `checked_at`. False when it does not point to `digest` (any more): then
    /// nothing changes.
    pub async fn touch_tag(
        &self,
        repo: &RepoKey,
        name: &RepositoryName,
        tag: &Tag,
        digest: &Digest,
        checked_at: SystemTime,
    ) -> Result<bool, MetadataError> {
        let touched = sqlx::query(sql::TOUCH_TAG)
            .bind(repo.as_str())
            .bind(name.as_str())
            .bind(tag.as_str())
            .bind(digest.to_string())
            .bind(millis(checked_at))
            .execute(self.writer())
            .await?;
        Ok(touched.rows_affected() > 0)
    }

    /// Notes that a known tag is gone. True when that is news. An answer to an older question changes nothing; a tag
    /// that was never known leaves no trace, so that asking for nonsense does not fill the database.
    pub async fn delete_tag(&self, gone: TagGone) -> Result<bool, MetadataError> {
        let TagGone { repo, name, tag, upstream, observed_at, sequence } = gone;
        let mut transaction = self.begin().await?;
        let deleted = sqlx::query(sql::DELETE_TAG)
            .bind(repo.as_str())
            .bind(name.as_str())
            .bind(tag.as_str())
            .bind(self.session())
            .bind(count("tag sequence", sequence)?)
            .bind(millis(observed_at))
            .execute(&mut *transaction)
            .await?;
        let is_news = deleted.rows_affected() > 0;
        if is_news {
            sqlx::query(sql::RECORD_GONE)
                .bind(repo.as_str())
                .bind(name.as_str())
                .bind(tag.as_str())
                .bind(millis(observed_at))
                .bind(upstream)
                .execute(&mut *transaction)
                .await?;
            tag_history::prune(&mut transaction, &repo, &name, &tag).await?;
        }
        transaction.commit().await?;
        Ok(is_news)
    }
}

fn tag_row(row: &SqliteRow) -> Result<TagRow, MetadataError> {
    let columns = Columns { table: "tags", row };
    Ok(TagRow {
        digest: columns.parsed("digest")?,
        media_type: columns.parsed("media_type")?,
        checked_at: columns.time("checked_at")?,
        changed_at: columns.time("changed_at")?,
    })
}
