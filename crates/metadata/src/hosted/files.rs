//! Files of blobs that no row knows: since when a collector knows of them, and which store this database belongs to.
//!
//! Must not know where files are. Invariant: a verdict on a file is lifted with all others when the clock was changed.

use std::collections::{HashMap, HashSet};
use std::time::SystemTime;

use oci::Digest;
use sqlx::Row as _;

use super::garbage::Condemned;
use crate::decode::Columns;
use crate::encode::millis;
use crate::error::MetadataError;
use crate::metadata::Metadata;
use crate::sql::{self, over_time};

const STORE_ID: &str = "store_id";

impl Metadata {
    /// The number of the store that this database belongs to.
    pub async fn store_id(&self) -> Result<Option<i64>, MetadataError> {
        let row = sqlx::query(over_time::GET_MARK).bind(STORE_ID).fetch_optional(self.readers()).await?;
        Ok(row.map(|row| row.try_get("value")).transpose()?)
    }

    /// Notes it. Durable.
    pub async fn set_store_id(&self, id: i64) -> Result<(), MetadataError> {
        let mut transaction = self.begin_durable().await?;
        sqlx::query(over_time::SET_MARK).bind(STORE_ID).bind(id).execute(&mut *transaction).await?;
        Ok(transaction.commit().await?)
    }

    /// Whether any pushed blob is known.
    pub async fn has_hosted_blobs(&self) -> Result<bool, MetadataError> {
        Ok(sqlx::query(sql::HAS_HOSTED_BLOBS).fetch_optional(self.readers()).await?.is_some())
    }

    /// The known blobs whose digests begin with `prefix`.
    pub async fn known_hosted_blobs(&self, prefix: &str) -> Result<HashSet<Digest>, MetadataError> {
        let query = sqlx::query(sql::KNOWN_HOSTED_BLOBS).bind(prefix).bind(behind(prefix));
        let rows = query.fetch_all(self.readers()).await?;
        rows.iter().map(|row| Columns { table: "hosted_blobs", row }.parsed("digest")).collect()
    }

    /// The condemned files whose digests begin with `prefix`, and since when they are.
    pub async fn condemned_files(&self, prefix: &str) -> Result<HashMap<Digest, SystemTime>, MetadataError> {
        let query = sqlx::query(sql::CONDEMNED_FILES).bind(prefix).bind(behind(prefix));
        let rows = query.fetch_all(self.readers()).await?;
        let file = |row| {
            let columns = Columns { table: "hosted_condemned", row };
            Ok((columns.parsed("digest")?, columns.time("condemned_at")?))
        };
        rows.iter().map(file).collect()
    }

    /// Condemns files.
    pub async fn condemn_files(&self, digests: &[Digest], verdict: Condemned) -> Result<(), MetadataError> {
        let mut transaction = self.begin().await?;
        for digest in digests {
            let query = sqlx::query(sql::CONDEMN_FILE).bind(digest.to_string()).bind(millis(verdict.at));
            query.bind(verdict.run).execute(&mut *transaction).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Lifts verdicts on files.
    pub async fn pardon_files(&self, digests: &[Digest]) -> Result<(), MetadataError> {
        let mut transaction = self.begin().await?;
        for digest in digests {
            sqlx::query(sql::PARDON_FILE).bind(digest.to_string()).execute(&mut *transaction).await?;
        }
        Ok(transaction.commit().await?)
    }
}

/// A text behind all digests that begin with `prefix`: `g` comes after every hex digit.
fn behind(prefix: &str) -> String {
    format!("{prefix}g")
}
