//! Repositories made through the API.
//!
//! Must not know what a repository's document says: it is kept as it was accepted, sealed. Invariant: content of a repository
//! (tags, history, links) goes in the same transaction as the repository.

use std::time::SystemTime;

use oci::RepoKey;
use sqlx::sqlite::SqliteRow;
use sqlx::{Sqlite, Transaction};

use crate::decode::Columns;
use crate::encode::millis;
use crate::error::MetadataError;
use crate::metadata::Metadata;
use crate::sealing::{Kept, SealingKeys, Unopened};
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
        let keys = self.keys();
        let mut repositories = rows.iter().map(|row| repository(row, &keys)).collect::<Result<Vec<_>, _>>()?;
        repositories.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        Ok(repositories)
    }

    /// The repository with this key.
    pub async fn find_repository(&self, key: &RepoKey) -> Result<Option<RepositoryRow>, MetadataError> {
        let row = sqlx::query(sql::FIND_REPOSITORY).bind(key.as_str()).fetch_optional(self.readers()).await?;
        row.as_ref().map(|row| repository(row, &self.keys())).transpose()
    }

    /// Stores a new repository; [`AlreadyExists`](MetadataError::AlreadyExists) when the key is taken.
    pub async fn insert_repository(&self, key: &RepoKey, document: &str) -> Result<(), MetadataError> {
        let mut transaction = self.begin().await?;
        // Sealed once the write lock is held: the keys cannot change before this is committed.
        let inserted = sqlx::query(sql::INSERT_REPOSITORY)
            .bind(key.as_str())
            .bind(self.keys().seal(key.as_str(), document))
            .bind(millis(SystemTime::now()))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        if inserted.rows_affected() == 0 { Err(MetadataError::AlreadyExists { key: key.clone() }) } else { Ok(()) }
    }

    /// Replaces the document of a stored repository. False when there is none with this key.
    pub async fn update_repository(&self, key: &RepoKey, document: &str) -> Result<bool, MetadataError> {
        let mut transaction = self.begin().await?;
        let updated = sqlx::query(sql::UPDATE_REPOSITORY)
            .bind(key.as_str())
            .bind(self.keys().seal(key.as_str(), document))
            .bind(millis(SystemTime::now()))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
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

impl Metadata {
    /// Seals with the first of `keys` from now on, and seals again what other keys had sealed, or none. Returns how many
    /// documents that were. When it fails, the keys before stay in use and nothing has changed.
    pub async fn change_keys(&self, keys: SealingKeys) -> Result<usize, MetadataError> {
        let mut transaction = self.begin().await?;
        let rows = sqlx::query(sql::LIST_REPOSITORIES).fetch_all(&mut *transaction).await?;
        let mut resealed = 0;
        for row in &rows {
            let (key, text, kept) = unseal(row, &keys)?;
            if kept == Kept::Outdated {
                let sealed = keys.seal(key.as_str(), &text);
                sqlx::query(sql::RESEAL_REPOSITORY).bind(key.as_str()).bind(sealed).execute(&mut *transaction).await?;
                resealed += 1;
            }
        }
        transaction.commit().await?;
        self.set_keys(keys);
        if resealed > 0 {
            // Neither the log nor pages freed by a version that did not overwrite them shall keep what was replaced.
            sqlx::query(sql::FORGET_FREE_PAGES).execute(self.writer()).await?;
            sqlx::query(sql::CUT_LOG).execute(self.writer()).await?;
        }
        Ok(resealed)
    }
}

/// The key, the document and how it was kept.
fn unseal(row: &SqliteRow, keys: &SealingKeys) -> Result<(RepoKey, String, Kept), MetadataError> {
    let columns = Columns { table: "repositories", row };
    let key: RepoKey = columns.parsed("key")?;
    match keys.open(key.as_str(), &columns.text("document")?) {
        Ok((text, kept)) => Ok((key, text, kept)),
        Err(Unopened::UnknownKey(key_id)) => Err(MetadataError::UnknownSealingKey { repository: key, key_id }),
        Err(Unopened::Damaged) => Err(columns.corrupt("document", "it was changed after it was sealed")),
    }
}

async fn forget_content(transaction: &mut Transaction<'static, Sqlite>, key: &RepoKey) -> Result<(), MetadataError> {
    for statement in [sql::FORGET_TAGS, sql::FORGET_TAG_EVENTS, sql::FORGET_REFERRERS, sql::FORGET_LINKS] {
        sqlx::query(statement).bind(key.as_str()).execute(&mut **transaction).await?;
    }
    Ok(())
}

fn repository(row: &SqliteRow, keys: &SealingKeys) -> Result<RepositoryRow, MetadataError> {
    let columns = Columns { table: "repositories", row };
    let (key, document, _) = unseal(row, keys)?;
    Ok(RepositoryRow {
        key,
        document,
        created_at: columns.time("created_at")?,
        updated_at: columns.time("updated_at")?,
    })
}
