//! Taking tags, manifests and blobs back.
//!
//! Must not know bytes. Invariants: what an immutable tag leads to stays; a deleted manifest takes its tags with it in the
//! same transaction; what is deleted is gone for every reader when this returns.

use std::collections::HashSet;
use std::time::SystemTime;

use oci::{Digest, RepoKey, RepositoryName, Tag};
use sqlx::{Sqlite, Transaction};

use super::events::{self, TagCause, TagMove};
use super::garbage::{self, GarbageKind};
use super::manifests::current;
use crate::decode::Columns;
use crate::error::MetadataError;
use crate::metadata::Metadata;
use crate::sql;

/// Most manifests looked at on the way from a digest up to the tags that lead to it; beyond, it is taken as held.
const MOST_HOLDERS: usize = 10_000;

/// Why something is not deleted. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeleteRefused {
    /// There is no such thing under this name.
    #[error("there is no such thing in this repository")]
    NotThere,
    /// An immutable tag is it, or leads to it.
    #[error("the immutable tag '{tag}' needs it")]
    Immutable {
        /// The tag.
        tag: Tag,
    },
    /// So many manifests lead to it that nobody can tell in reasonable time whether an immutable tag does.
    #[error("too many manifests lead to it")]
    TooManyHolders,
}

type Outcome = Result<Result<(), DeleteRefused>, MetadataError>;

impl Metadata {
    /// Deletes a tag; its manifest stays. Durable.
    pub async fn delete_hosted_tag(
        &self,
        (repo, name): (&RepoKey, &RepositoryName),
        tag: &Tag,
        principal: &str,
        immutable: &(dyn Fn(&Tag) -> bool + Sync),
    ) -> Outcome {
        let mut transaction = self.begin_durable().await?;
        if current(&mut transaction, repo, name, tag).await?.is_none() {
            return Ok(Err(DeleteRefused::NotThere));
        }
        if immutable(tag) {
            return Ok(Err(DeleteRefused::Immutable { tag: tag.clone() }));
        }
        remove_tag(&mut transaction, (repo, name, tag), TagMove::new(principal, TagCause::Delete)).await?;
        transaction.commit().await?;
        Ok(Ok(()))
    }

    /// Deletes a manifest and the tags that point to it. What it lists stays. Durable.
    pub async fn delete_hosted_manifest(
        &self,
        (repo, name): (&RepoKey, &RepositoryName),
        digest: &Digest,
        principal: &str,
        immutable: &(dyn Fn(&Tag) -> bool + Sync),
    ) -> Outcome {
        let mut transaction = self.begin_durable().await?;
        if let Err(refused) = check_free(&mut transaction, repo, name, digest, immutable).await? {
            return Ok(Err(refused));
        }
        for tag in tags_of(&mut transaction, repo, name, digest).await? {
            remove_tag(&mut transaction, (repo, name, &tag), TagMove::new(principal, TagCause::Delete)).await?;
        }
        let gone = sqlx::query(sql::DELETE_HOSTED_MANIFEST).bind(repo.as_str()).bind(name.as_str());
        let gone = gone.bind(digest.to_string()).execute(&mut *transaction).await?;
        if gone.rows_affected() == 0 {
            return Ok(Err(DeleteRefused::NotThere));
        }
        garbage::pardon(&mut transaction, GarbageKind::Manifest, (repo, name), digest).await?;
        transaction.commit().await?;
        Ok(Ok(()))
    }

    /// Takes a blob away from a name. Durable.
    pub async fn delete_hosted_blob(
        &self,
        (repo, name): (&RepoKey, &RepositoryName),
        digest: &Digest,
        immutable: &(dyn Fn(&Tag) -> bool + Sync),
    ) -> Outcome {
        let mut transaction = self.begin_durable().await?;
        if let Err(refused) = check_free(&mut transaction, repo, name, digest, immutable).await? {
            return Ok(Err(refused));
        }
        let gone = sqlx::query(sql::UNLINK_HOSTED_BLOB).bind(repo.as_str()).bind(name.as_str());
        let gone = gone.bind(digest.to_string()).execute(&mut *transaction).await?;
        if gone.rows_affected() == 0 {
            return Ok(Err(DeleteRefused::NotThere));
        }
        garbage::pardon(&mut transaction, GarbageKind::Link, (repo, name), digest).await?;
        transaction.commit().await?;
        Ok(Ok(()))
    }
}

/// Looks for immutable tags on the digest and on everything that lists it.
async fn check_free(
    transaction: &mut Transaction<'static, Sqlite>,
    repo: &RepoKey,
    name: &RepositoryName,
    digest: &Digest,
    immutable: &(dyn Fn(&Tag) -> bool + Sync),
) -> Outcome {
    let (mut open, mut seen) = (vec![*digest], HashSet::from([*digest]));
    while let Some(digest) = open.pop() {
        let tags = tags_of(transaction, repo, name, &digest).await?;
        if let Some(tag) = tags.into_iter().find(|tag| immutable(tag)) {
            return Ok(Err(DeleteRefused::Immutable { tag }));
        }
        let query = sqlx::query(sql::HOLDERS_OF_HOSTED).bind(repo.as_str()).bind(name.as_str());
        for row in query.bind(digest.to_string()).fetch_all(&mut **transaction).await? {
            let holder = Columns { table: "hosted_children", row: &row }.parsed("manifest")?;
            if seen.insert(holder) {
                open.push(holder);
            }
        }
        if seen.len() > MOST_HOLDERS {
            return Ok(Err(DeleteRefused::TooManyHolders));
        }
    }
    Ok(Ok(()))
}

pub(super) async fn tags_of(
    transaction: &mut Transaction<'static, Sqlite>,
    repo: &RepoKey,
    name: &RepositoryName,
    digest: &Digest,
) -> Result<Vec<Tag>, MetadataError> {
    let query = sqlx::query(sql::TAGS_OF_HOSTED).bind(repo.as_str()).bind(name.as_str()).bind(digest.to_string());
    let rows = query.fetch_all(&mut **transaction).await?;
    rows.iter().map(|row| Columns { table: "hosted_tags", row }.parsed("tag")).collect()
}

/// Removes a tag and notes it. The grace of what it pointed to begins now.
pub(super) async fn remove_tag(
    transaction: &mut Transaction<'static, Sqlite>,
    (repo, name, tag): (&RepoKey, &RepositoryName, &Tag),
    by: TagMove<'_>,
) -> Result<(), MetadataError> {
    if let Some(digest) = current(transaction, repo, name, tag).await? {
        garbage::pardon(transaction, GarbageKind::Manifest, (repo, name), &digest).await?;
    }
    let query = sqlx::query(sql::DELETE_HOSTED_TAG).bind(repo.as_str()).bind(name.as_str()).bind(tag.as_str());
    query.execute(&mut **transaction).await?;
    events::record(transaction, (repo, name, tag), None, by, SystemTime::now()).await
}
