//! Lists of referrers, as upstream told them.
//!
//! Must not know what a list says: it is kept as it was given. Invariant: one list for each repository, name and subject.

use std::time::SystemTime;

use oci::{Digest, RepoKey, RepositoryName};

use crate::decode::Columns;
use crate::encode::millis;
use crate::error::MetadataError;
use crate::metadata::Metadata;
use crate::sql;

/// A kept list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferrersRow {
    /// The image index, as it was stored.
    pub document: String,
    /// When upstream told it.
    pub checked_at: SystemTime,
}

impl Metadata {
    /// Keeps a list, in place of an older one.
    pub async fn put_referrers(
        &self,
        repo: &RepoKey,
        name: &RepositoryName,
        subject: &Digest,
        document: &str,
        checked_at: SystemTime,
    ) -> Result<(), MetadataError> {
        sqlx::query(sql::PUT_REFERRERS)
            .bind(repo.as_str())
            .bind(name.as_str())
            .bind(subject.to_string())
            .bind(document)
            .bind(millis(checked_at))
            .execute(self.writer())
            .await?;
        Ok(())
    }

    /// The list of a manifest's referrers.
    pub async fn find_referrers(
        &self,
        repo: &RepoKey,
        name: &RepositoryName,
        subject: &Digest,
    ) -> Result<Option<ReferrersRow>, MetadataError> {
        let row = sqlx::query(sql::FIND_REFERRERS)
            .bind(repo.as_str())
            .bind(name.as_str())
            .bind(subject.to_string())
            .fetch_optional(self.readers())
            .await?;
        let Some(row) = row else { return Ok(None) };
        let columns = Columns { table: "referrers", row: &row };
        Ok(Some(ReferrersRow { document: columns.text("document")?, checked_at: columns.time("checked_at")? }))
    }
}
