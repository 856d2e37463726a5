//! Which repository may serve which digest.
//!
//! Must not know whether the bytes are here. Invariant: a link is made only for what this repository's own upstream
//! answered for under this name. That a digest lies in the store gives nobody a link to it, and neither does a manifest
//! that lists it.

use oci::{Digest, RepoKey, RepositoryName};
use sqlx::{Sqlite, SqliteExecutor, Transaction};

use crate::error::MetadataError;
use crate::metadata::Metadata;
use crate::sql;

impl Metadata {
    /// Notes that the digest may be served under this name. Idempotent.
    pub async fn link(&self, repo: &RepoKey, name: &RepositoryName, digest: &Digest) -> Result<(), MetadataError> {
        insert(self.writer(), repo, name, digest).await
    }

    /// Whether the digest may be served under this name.
    pub async fn is_linked(
        &self,
        repo: &RepoKey,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool, MetadataError> {
        let row = sqlx::query(sql::IS_LINKED)
            .bind(repo.as_str())
            .bind(name.as_str())
            .bind(digest.to_string())
            .fetch_optional(self.readers())
            .await?;
        Ok(row.is_some())
    }

    /// Takes back a link. False when there was none.
    pub async fn unlink(&self, repo: &RepoKey, name: &RepositoryName, digest: &Digest) -> Result<bool, MetadataError> {
        let removed = sqlx::query(sql::UNLINK)
            .bind(repo.as_str())
            .bind(name.as_str())
            .bind(digest.to_string())
            .execute(self.writer())
            .await?;
        Ok(removed.rows_affected() > 0)
    }
}

/// Links within a transaction.
pub(crate) async fn link_in(
    transaction: &mut Transaction<'static, Sqlite>,
    repo: &RepoKey,
    name: &RepositoryName,
    digest: &Digest,
) -> Result<(), MetadataError> {
    insert(&mut **transaction, repo, name, digest).await
}

async fn insert(
    executor: impl SqliteExecutor<'_>,
    repo: &RepoKey,
    name: &RepositoryName,
    digest: &Digest,
) -> Result<(), MetadataError> {
    let query = sqlx::query(sql::LINK).bind(repo.as_str()).bind(name.as_str()).bind(digest.to_string());
    query.execute(executor).await?;
    Ok(())
}
