//! What manifests say of their children.
//!
//! Must not know whether it is true. Invariants: a descriptor is a claim by whoever wrote the manifest; when two claims
//! about one digest differ in size, there is no answer, so that one manifest cannot mislead readers of another; a name
//! learns only what its own manifests say.

use oci::{Descriptor, Digest, MediaType, RepoKey, RepositoryName};
use sqlx::sqlite::SqliteRow;
use sqlx::{Sqlite, Transaction};

use crate::decode::Columns;
use crate::encode::count;
use crate::error::MetadataError;
use crate::metadata::Metadata;
use crate::sql;

/// What stored manifests say of one digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescriptorRow {
    /// Its media type. One blob may go by several (Docker's and OCI's name for a layer): the first in the order of text.
    pub media_type: MediaType,
    /// Its length in bytes. A claim: what comes from upstream decides.
    pub size: u64,
}

impl Metadata {
    /// What the manifests linked to a name say of a digest; `None` when none mentions it, or when they disagree about its
    /// size.
    pub async fn find_listed(
        &self,
        repo: &RepoKey,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<DescriptorRow>, MetadataError> {
        let rows = sqlx::query(sql::FIND_LISTED)
            .bind(digest.to_string())
            .bind(repo.as_str())
            .bind(name.as_str())
            .fetch_all(self.readers())
            .await?;
        let claims = rows.iter().map(descriptor_row).collect::<Result<Vec<_>, _>>()?;
        let agreed = claims.iter().all(|claim| claim.size == claims[0].size);
        let first = claims.into_iter().min_by(|one, other| one.media_type.as_str().cmp(other.media_type.as_str()));
        Ok(first.filter(|_| agreed))
    }

    /// Manifests linked to a name that mention a digest, at most `limit`, in no order.
    pub async fn find_listing(
        &self,
        repo: &RepoKey,
        name: &RepositoryName,
        digest: &Digest,
        limit: u32,
    ) -> Result<Vec<Digest>, MetadataError> {
        let rows = sqlx::query(sql::FIND_LISTING)
            .bind(digest.to_string())
            .bind(repo.as_str())
            .bind(name.as_str())
            .bind(limit)
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(|row| Columns { table: "descriptors", row }.parsed("manifest")).collect()
    }
}

/// Stores what `manifest` says of `child`.
pub(crate) async fn put(
    transaction: &mut Transaction<'static, Sqlite>,
    manifest: &Digest,
    child: &Descriptor,
) -> Result<(), MetadataError> {
    sqlx::query(sql::PUT_DESCRIPTOR)
        .bind(manifest.to_string())
        .bind(child.digest.to_string())
        .bind(child.media_type.as_str())
        .bind(count("blob size", child.size)?)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

fn descriptor_row(row: &SqliteRow) -> Result<DescriptorRow, MetadataError> {
    let columns = Columns { table: "descriptors", row };
    Ok(DescriptorRow { media_type: columns.parsed("media_type")?, size: columns.count("size")? })
}
