//! Hosted blobs and the names that have them.
//!
//! Must not know where bytes lie. Invariants: presence of a digest anywhere is nobody's right to it: a blob is read under
//! a name that links it; a row goes only when no name links the blob and no manifest is it.

use std::time::SystemTime;

use oci::{Digest, RepoKey, RepositoryName, UploadId};
use sqlx::{Sqlite, Transaction};

use super::garbage::{self, GarbageKind};
use crate::decode::Columns;
use crate::encode::{count, millis};
use crate::error::MetadataError;
use crate::metadata::Metadata;
use crate::sql;

/// Where a blob may be taken from.
#[derive(Clone, Copy, Debug)]
pub enum MountFrom<'a> {
    /// This name.
    Name(&'a RepoKey, &'a RepositoryName),
    /// Any name in these repositories.
    Anywhere(&'a [RepoKey]),
}

/// What came of a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mounted {
    /// The blob is linked.
    Linked,
    /// It is not where it was to be taken from.
    NotThere,
}

/// A blob under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostedBlobRow {
    /// Its bytes.
    pub size: u64,
    /// Until when the name holds it, needed or not.
    pub leased_until: SystemTime,
}

impl Metadata {
    /// Notes that a blob is stored and links it to a name, which holds it until `leased_until` at least; the session that
    /// brought it ends with it. Durable.
    pub async fn link_hosted_blob(
        &self,
        repo: &RepoKey,
        name: &RepositoryName,
        (digest, size): (&Digest, u64),
        session: Option<&UploadId>,
        leased_until: SystemTime,
    ) -> Result<(), MetadataError> {
        let mut transaction = self.begin_durable().await?;
        store(&mut transaction, digest, size).await?;
        link(&mut transaction, (repo, name), digest, leased_until).await?;
        if let Some(id) = session {
            sqlx::query(sql::DELETE_UPLOAD).bind(id.as_str()).execute(&mut *transaction).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Links a blob to a name when it is linked where it is to be taken from; held until `leased_until` at least. Durable.
    pub async fn mount_hosted_blob(
        &self,
        repo: &RepoKey,
        name: &RepositoryName,
        digest: &Digest,
        from: MountFrom<'_>,
        leased_until: SystemTime,
    ) -> Result<Mounted, MetadataError> {
        let mut transaction = self.begin_durable().await?;
        if !is_linked_at(&mut transaction, digest, from).await? {
            return Ok(Mounted::NotThere);
        }
        link(&mut transaction, (repo, name), digest, leased_until).await?;
        transaction.commit().await?;
        Ok(Mounted::Linked)
    }

    /// A blob that this name links.
    pub async fn find_hosted_blob(
        &self,
        repo: &RepoKey,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<HostedBlobRow>, MetadataError> {
        let query = sqlx::query(sql::FIND_HOSTED_BLOB).bind(repo.as_str()).bind(name.as_str());
        let Some(row) = query.bind(digest.to_string()).fetch_optional(self.readers()).await? else { return Ok(None) };
        let columns = Columns { table: "hosted_blobs", row: &row };
        Ok(Some(HostedBlobRow { size: columns.count("size_bytes")?, leased_until: columns.time("leased_until")? }))
    }

    /// Forgets a blob that no name links and that is nobody's manifest; its bytes may go then. False when it is needed, or
    /// was not known.
    pub async fn forget_hosted_blob(&self, digest: &Digest) -> Result<bool, MetadataError> {
        let mut transaction = self.begin_durable().await?;
        let gone = sqlx::query(sql::FORGET_HOSTED_BLOB).bind(digest.to_string()).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(gone.rows_affected() > 0)
    }

    /// The blobs that no name links and that are nobody's manifest.
    pub async fn unneeded_hosted_blobs(&self) -> Result<Vec<Digest>, MetadataError> {
        let rows = sqlx::query(sql::UNNEEDED_HOSTED_BLOBS).fetch_all(self.readers()).await?;
        rows.iter().map(|row| Columns { table: "hosted_blobs", row }.parsed("digest")).collect()
    }

    /// Whether a blob is known, whoever links it.
    pub async fn has_hosted_blob(&self, digest: &Digest) -> Result<bool, MetadataError> {
        Ok(self.hosted_blob_size(digest).await?.is_some())
    }

    /// The bytes of a blob, whoever links it; `None` when it is not known.
    pub async fn hosted_blob_size(&self, digest: &Digest) -> Result<Option<u64>, MetadataError> {
        let row = sqlx::query(sql::HOSTED_BLOB_SIZE).bind(digest.to_string()).fetch_optional(self.readers()).await?;
        row.map(|row| Columns { table: "hosted_blobs", row: &row }.count("size_bytes")).transpose()
    }
}

/// Notes that a blob is stored.
pub(super) async fn store(
    transaction: &mut Transaction<'static, Sqlite>,
    digest: &Digest,
    size: u64,
) -> Result<(), MetadataError> {
    let query = sqlx::query(sql::PUT_HOSTED_BLOB).bind(digest.to_string()).bind(count("blob size", size)?);
    query.bind(millis(SystemTime::now())).execute(&mut **transaction).await?;
    Ok(())
}

async fn link(
    transaction: &mut Transaction<'static, Sqlite>,
    (repo, name): (&RepoKey, &RepositoryName),
    digest: &Digest,
    leased_until: SystemTime,
) -> Result<(), MetadataError> {
    let query = sqlx::query(sql::LINK_HOSTED_BLOB).bind(repo.as_str()).bind(name.as_str()).bind(digest.to_string());
    let query = query.bind(millis(SystemTime::now())).bind(millis(leased_until));
    query.execute(&mut **transaction).await?;
    garbage::pardon(transaction, GarbageKind::Link, (repo, name), digest).await
}

async fn is_linked_at(
    transaction: &mut Transaction<'static, Sqlite>,
    digest: &Digest,
    from: MountFrom<'_>,
) -> Result<bool, MetadataError> {
    match from {
        MountFrom::Name(repo, name) => {
            let query = sqlx::query(sql::FIND_HOSTED_BLOB).bind(repo.as_str()).bind(name.as_str());
            Ok(query.bind(digest.to_string()).fetch_optional(&mut **transaction).await?.is_some())
        }
        MountFrom::Anywhere(repos) => {
            for repo in repos {
                let query = sqlx::query(sql::IS_HOSTED_BLOB_IN).bind(digest.to_string()).bind(repo.as_str());
                if query.fetch_optional(&mut **transaction).await?.is_some() {
                    return Ok(true);
                }
            }
            Ok(false)
        }
    }
}
