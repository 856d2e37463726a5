//! Facts of manifests whose bytes lie in the blob store.
//!
//! Must not know the bytes. Invariant: a manifest's row, what it says of its children, and the link to it are there
//! together or not at all. Its children get no links: that a manifest lists a digest is its author's claim, and anybody
//! can write a manifest.

use oci::{Descriptor, Digest, ManifestFacts, MediaType, RepoKey, RepositoryName};
use sqlx::sqlite::SqliteRow;

use crate::decode::Columns;
use crate::descriptors;
use crate::encode::count;
use crate::error::MetadataError;
use crate::links::link_in;
use crate::metadata::Metadata;
use crate::sql;

/// A manifest or index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestRow {
    /// The digest of its bytes.
    pub digest: Digest,
    /// What it is served as.
    pub media_type: MediaType,
    /// Its length in bytes.
    pub size: u64,
}

impl Metadata {
    /// Stores the facts of a verified manifest and what it says of its children (configuration, layers, manifests; not
    /// its subject, which it merely points to), and links it to the name it was pulled under. Idempotent.
    pub async fn put_manifest(
        &self,
        repo: &RepoKey,
        name: &RepositoryName,
        manifest: &ManifestRow,
        facts: &ManifestFacts,
    ) -> Result<(), MetadataError> {
        let size = count("manifest size", manifest.size)?;
        let mut transaction = self.begin().await?;
        sqlx::query(sql::PUT_MANIFEST)
            .bind(manifest.digest.to_string())
            .bind(manifest.media_type.as_str())
            .bind(size)
            .execute(&mut *transaction)
            .await?;
        link_in(&mut transaction, repo, name, &manifest.digest).await?;
        for child in children(facts) {
            descriptors::put(&mut transaction, &manifest.digest, child).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// The facts of a manifest, whoever pulled it.
    pub async fn find_manifest(&self, digest: &Digest) -> Result<Option<ManifestRow>, MetadataError> {
        let row = sqlx::query(sql::FIND_MANIFEST).bind(digest.to_string()).fetch_optional(self.readers()).await?;
        row.as_ref().map(manifest_row).transpose()
    }
}

fn children(facts: &ManifestFacts) -> impl Iterator<Item = &Descriptor> {
    facts.blobs().chain(&facts.manifests)
}

fn manifest_row(row: &SqliteRow) -> Result<ManifestRow, MetadataError> {
    let columns = Columns { table: "manifests", row };
    Ok(ManifestRow {
        digest: columns.parsed("digest")?,
        media_type: columns.parsed("media_type")?,
        size: columns.count("size")?,
    })
}
