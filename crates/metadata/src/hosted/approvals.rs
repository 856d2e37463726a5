//! Who approved a manifest under a name.
//!
//! Must not know what an approval opens. Invariant: an approval is of a digest, so it never reaches other content.

use std::time::SystemTime;

use oci::{Digest, RepoKey, RepositoryName};

use crate::decode::Columns;
use crate::encode::millis;
use crate::error::MetadataError;
use crate::metadata::Metadata;
use crate::sql::over_time;

/// An approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalRow {
    /// By whom.
    pub principal: String,
    /// When.
    pub approved_at: SystemTime,
    /// What was said.
    pub note: String,
}

impl Metadata {
    /// Notes an approval; a second one of the same principal replaces the first. Durable.
    pub async fn approve(
        &self,
        (repo, name): (&RepoKey, &RepositoryName),
        digest: &Digest,
        approval: &ApprovalRow,
    ) -> Result<(), MetadataError> {
        let mut transaction = self.begin_durable().await?;
        sqlx::query(over_time::PUT_APPROVAL)
            .bind(repo.as_str())
            .bind(name.as_str())
            .bind(digest.to_string())
            .bind(&approval.principal)
            .bind(millis(approval.approved_at))
            .bind(&approval.note)
            .execute(&mut *transaction)
            .await?;
        Ok(transaction.commit().await?)
    }

    /// The approvals of a manifest, oldest first.
    pub async fn approvals(
        &self,
        (repo, name): (&RepoKey, &RepositoryName),
        digest: &Digest,
    ) -> Result<Vec<ApprovalRow>, MetadataError> {
        let query = sqlx::query(over_time::LIST_APPROVALS).bind(repo.as_str()).bind(name.as_str());
        let rows = query.bind(digest.to_string()).fetch_all(self.readers()).await?;
        let approval = |row| {
            let columns = Columns { table: "approvals", row };
            Ok(ApprovalRow {
                principal: columns.text("principal")?,
                approved_at: columns.time("approved_at")?,
                note: columns.text("note")?,
            })
        };
        rows.iter().map(approval).collect()
    }
}
