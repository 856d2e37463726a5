//! Repositories made through the API.
//!
//! Must not know what a repository's document says: it is kept as it was accepted. Invariant: content of a repository
//! (tags, history, links) goes in the same transaction as the repository.

use std::time::SystemTime;

use oci::RepoKey;
use sqlx::sqlite::SqliteRow;
use sqlx::{Sqlite, Transaction};

use crate::decode::Columns;
use crate::encode::millis;
use crate::error::MetadataError;
use crate::metadata::Metadata;
use crate::sql;

/// A stored repository. Its document may hold credentials, so it has no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct RepositoryRow {
    /// Its key.
    pub key: RepoKey,
    /// Its configuration: the JSON text that was stored.
    pub document: String,
    /// When it was inserted.
    pub created_at: SystemTime,
    /// When its document was stored last.
    pub updated_at: SystemTime,
}

impl Metadata {
    /// All stored repositories, by key.
    pub async fn list_repositories(&self) -> Result<Vec<RepositoryRow>, MetadataError> {
        let rows = sqlx::query(sql::LIST_REPOSITORIES).fetch_all(self.readers()).await?;
        let mut repositories = rows.iter().map(repository).collect::<Result<Vec<_>, _>>()?;
        repositories.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        Ok(repositories)
    }

    /// The repository with this key.
    pub async fn find_repository(&self, key: &RepoKey) -> Result<Option<RepositoryRow>, MetadataError> {
        let row = sqlx::query(sql::FIND_REPOSITORY).bind(key.as_str()).fetch_optional(self.readers()).await?;
        row.as_ref().map(repository).transpose()
    }

    /// Stores a new repository; [`AlreadyExists`](MetadataError::AlreadyExists) when the key is taken.
    pub async fn insert_repository(&self, key: &RepoKey, document: &str) -> Result<(), MetadataError> {
        let inserted = sqlx::query(sql::INSERT_REPOSITORY)
            .bind(key.as_str())
            .bind(document)
            .bind(millis(SystemTime::now()))
            .execute(self.writer())
            .await?;
        if inserted.rows_affected() == 0 { Err(MetadataError::AlreadyExists { key: key.clone() }) } else { Ok(()) }
    }

    /// Replaces the document of a stored repository. False when there is none with this key.
    pub async fn update_repository(&self, key: &RepoKey, document: &str) -> Result<bool, MetadataError> {
        let updated = sqlx::query(sql::UPDATE_REPOSITORY)
            .bind(key.as_str())
            .bind(document)
            .bind(millis(SystemTime::now()))
            .execute(self.writer())
            .await?;
        Ok(updated.rows_affected() > 0)
    }

    /// Removes a stored repository and forgets its content, also when only content is there. False when there was no
    /// repository with this key.
    pub async fn delete_repository(&self, key: &RepoKey) -> Result<bool, MetadataError> {
        let mut transaction = self.begin().await?;
        let deleted = sqlx::query(sql::DELETE_REPOSITORY).bind(key.as_str()).execute(&mut *transaction).await?;
        forget_content(&mut transaction, key).await?;
        transaction.commit().await?;
        Ok(deleted.rows_affected() > 0)
    }

    /// Forgets the tags, their history and the links of a repository: what it pulled from elsewhere is not its own any
    /// more. Blobs and facts of manifests stay, other repositories may link to them.
    pub async fn forget_repository_content(&self, key: &RepoKey) -> Result<(), MetadataError> {
        let mut transaction = self.begin().await?;
        forget_content(&mut transaction, key).await?;
        Ok(transaction.commit().await?)
    }
}

async fn forget_content(transaction: &mut Transaction<'static, Sqlite>, key: &RepoKey) -> Result<(), MetadataError> {
    for statement in [sql::FORGET_TAGS, sql::FORGET_TAG_EVENTS, sql::FORGET_LINKS] {
        sqlx::query(statement).bind(key.as_str()).execute(&mut **transaction).await?;
    }
    Ok(())
}

fn repository(row: &SqliteRow) -> Result<RepositoryRow, MetadataError> {
    let columns = Columns { table: "repositories", row };
    Ok(RepositoryRow {
        key: columns.parsed("key")?,
        document: columns.text("document")?,
        created_at: columns.time("created_at")?,
        updated_at: columns.time("updated_at")?,
    })
}
