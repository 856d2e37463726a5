//! What the blob store holds, how large it is and when it was last used.
//!
//! Must not know where the bytes lie or what evicting means. Invariant: a manifest is a blob too, so its facts go with
//! its row here.

use std::time::SystemTime;

use oci::Digest;
use sqlx::sqlite::SqliteRow;

use crate::decode::Columns;
use crate::encode::{count, millis};
use crate::error::MetadataError;
use crate::metadata::Metadata;
use crate::sql;

/// A blob in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobRow {
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size_bytes: u64,
    /// When it was last read, or stored if it never was.
    pub last_used: SystemTime,
}

impl Metadata {
    /// Notes that a blob is in the store. Replaces what was noted before.
    pub async fn put_blob(&self, digest: &Digest, size_bytes: u64, used: SystemTime) -> Result<(), MetadataError> {
        sqlx::query(sql::PUT_BLOB)
            .bind(digest.to_string())
            .bind(count("blob size", size_bytes)?)
            .bind(millis(used))
            .execute(self.writer())
            .await?;
        Ok(())
    }

    /// What is known of a blob in the store.
    pub async fn find_blob(&self, digest: &Digest) -> Result<Option<BlobRow>, MetadataError> {
        let row = sqlx::query(sql::FIND_BLOB).bind(digest.to_string()).fetch_optional(self.readers()).await?;
        row.as_ref().map(blob_row).transpose()
    }

    /// Notes that a blob is no longer in the store; with it go its facts if it was a manifest. Links stay: they say what
    /// a repository may serve, not what is here. False when it was not noted.
    pub async fn delete_blob(&self, digest: &Digest) -> Result<bool, MetadataError> {
        let mut transaction = self.begin().await?;
        let digest = digest.to_string();
        let deleted = sqlx::query(sql::DELETE_BLOB).bind(&digest).execute(&mut *transaction).await?;
        sqlx::query(sql::DELETE_MANIFEST).bind(&digest).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(deleted.rows_affected() > 0)
    }

    /// All blobs in the store, used longest ago first.
    pub async fn list_blobs(&self) -> Result<Vec<BlobRow>, MetadataError> {
        let rows = sqlx::query(sql::LIST_BLOBS).fetch_all(self.readers()).await?;
        rows.iter().map(blob_row).collect()
    }

    /// The `limit` blobs in the store that were used longest ago, oldest use first.
    pub async fn oldest_blobs(&self, limit: u32) -> Result<Vec<BlobRow>, MetadataError> {
        let rows = sqlx::query(sql::OLDEST_BLOBS).bind(i64::from(limit)).fetch_all(self.readers()).await?;
        rows.iter().map(blob_row).collect()
    }

    /// Notes when blobs were last used: all in one transaction. Blobs not in the store are passed over.
    pub async fn touch_blobs(&self, used: &[(Digest, SystemTime)]) -> Result<(), MetadataError> {
        let mut transaction = self.begin().await?;
        for (digest, time) in used {
            sqlx::query(sql::TOUCH_BLOB)
                .bind(digest.to_string())
                .bind(millis(*time))
                .execute(&mut *transaction)
                .await?;
        }
        Ok(transaction.commit().await?)
    }
}

fn blob_row(row: &SqliteRow) -> Result<BlobRow, MetadataError> {
    let columns = Columns { table: "blobs", row };
    Ok(BlobRow {
        digest: columns.parsed("digest")?,
        size_bytes: columns.count("size_bytes")?,
        last_used: columns.time("last_used")?,
    })
}
