//! Upload sessions, so that they outlive a restart.
//!
//! Must not know the bytes. Invariant: `acknowledged` is never more than what is durable in the session's file: whoever
//! writes it has synced the file before.

use std::time::SystemTime;

use oci::{DigestAlgorithm, RepoKey, RepositoryName, UploadId};
use sqlx::sqlite::SqliteRow;

use crate::decode::Columns;
use crate::encode::{count, millis};
use crate::error::MetadataError;
use crate::metadata::Metadata;
use crate::sql;

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadRow {
    /// Its id.
    pub id: UploadId,
    /// Where the blob is pushed to.
    pub repo: RepoKey,
    /// Under which name.
    pub name: RepositoryName,
    /// Who began it: nobody else may go on with it.
    pub principal: String,
    /// What its bytes are hashed with.
    pub algorithm: DigestAlgorithm,
    /// How many bytes are durable.
    pub acknowledged: u64,
    /// When it last moved.
    pub touched_at: SystemTime,
}

impl Metadata {
    /// Notes a new session.
    pub async fn insert_upload(&self, upload: &UploadRow) -> Result<(), MetadataError> {
        sqlx::query(sql::INSERT_UPLOAD)
            .bind(upload.id.as_str())
            .bind(upload.repo.as_str())
            .bind(upload.name.as_str())
            .bind(&upload.principal)
            .bind(upload.algorithm.as_str())
            .bind(count("upload length", upload.acknowledged)?)
            .bind(millis(upload.touched_at))
            .execute(self.writer())
            .await?;
        Ok(())
    }

    /// Notes how far a session has come.
    pub async fn acknowledge_upload(&self, id: &UploadId, bytes: u64, at: SystemTime) -> Result<(), MetadataError> {
        let query = sqlx::query(sql::ACKNOWLEDGE_UPLOAD).bind(id.as_str()).bind(count("upload length", bytes)?);
        query.bind(millis(at)).execute(self.writer()).await?;
        Ok(())
    }

    /// Notes that a session has only `bytes` of what was noted before: the rest was taken back. Durable, so that the file can
    /// be cut then.
    pub async fn shorten_upload(&self, id: &UploadId, bytes: u64) -> Result<(), MetadataError> {
        let mut transaction = self.begin_durable().await?;
        let query = sqlx::query(sql::SHORTEN_UPLOAD).bind(id.as_str()).bind(count("upload length", bytes)?);
        query.execute(&mut *transaction).await?;
        Ok(transaction.commit().await?)
    }

    /// Forgets a session. False when it was not there.
    pub async fn delete_upload(&self, id: &UploadId) -> Result<bool, MetadataError> {
        let gone = sqlx::query(sql::DELETE_UPLOAD).bind(id.as_str()).execute(self.writer()).await?;
        Ok(gone.rows_affected() > 0)
    }

    /// All sessions.
    pub async fn list_uploads(&self) -> Result<Vec<UploadRow>, MetadataError> {
        let rows = sqlx::query(sql::LIST_UPLOADS).fetch_all(self.readers()).await?;
        rows.iter().map(upload_row).collect()
    }
}

fn upload_row(row: &SqliteRow) -> Result<UploadRow, MetadataError> {
    let columns = Columns { table: "upload_sessions", row };
    Ok(UploadRow {
        id: columns.parsed("id")?,
        repo: columns.parsed("repo")?,
        name: columns.parsed("name")?,
        principal: columns.text("principal")?,
        algorithm: columns.parsed("algorithm")?,
        acknowledged: columns.count("acknowledged")?,
        touched_at: columns.time("touched_at")?,
    })
}
