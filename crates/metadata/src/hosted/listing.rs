//! Reading hosted content: a manifest by tag or digest, lists of tags, names and referrers.
//!
//! Must not know bytes. Invariant: lists come in the order of bytes and never longer than asked for.

use oci::{Digest, MediaType, RepoKey, RepositoryName, Tag};

use crate::decode::Columns;
use crate::error::MetadataError;
use crate::manifests::ManifestRow;
use crate::metadata::Metadata;
use crate::sql;

/// Where a tag points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostedTagRow {
    /// The manifest's digest.
    pub digest: Digest,
    /// Its type.
    pub media_type: MediaType,
}

/// A manifest that names another as its subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostedReferrer {
    /// Its digest.
    pub digest: Digest,
    /// What kind of artifact it says it is.
    pub artifact_type: Option<String>,
}

impl Metadata {
    /// The manifest that a tag points to.
    pub async fn find_hosted_tag(
        &self,
        repo: &RepoKey,
        name: &RepositoryName,
        tag: &Tag,
    ) -> Result<Option<HostedTagRow>, MetadataError> {
        let query = sqlx::query(sql::RESOLVE_HOSTED_TAG).bind(repo.as_str()).bind(name.as_str()).bind(tag.as_str());
        let Some(row) = query.fetch_optional(self.readers()).await? else { return Ok(None) };
        let columns = Columns { table: "hosted_tags", row: &row };
        Ok(Some(HostedTagRow { digest: columns.parsed("digest")?, media_type: columns.parsed("media_type")? }))
    }

    /// A manifest under a name.
    pub async fn find_hosted_manifest(
        &self,
        repo: &RepoKey,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<ManifestRow>, MetadataError> {
        let query = sqlx::query(sql::FIND_HOSTED_MANIFEST).bind(repo.as_str()).bind(name.as_str());
        let row = query.bind(digest.to_string()).fetch_optional(self.readers()).await?;
        let Some(row) = row else { return Ok(None) };
        let columns = Columns { table: "hosted_manifests", row: &row };
        let (media_type, size) = (columns.parsed("media_type")?, columns.count("size_bytes")?);
        Ok(Some(ManifestRow { digest: *digest, media_type, size }))
    }

    /// At most `limit` tags behind `after`.
    pub async fn list_hosted_tags(
        &self,
        repo: &RepoKey,
        name: &RepositoryName,
        after: &str,
        limit: u32,
    ) -> Result<Vec<Tag>, MetadataError> {
        let query = sqlx::query(sql::LIST_HOSTED_TAGS).bind(repo.as_str()).bind(name.as_str()).bind(after);
        let rows = query.bind(i64::from(limit)).fetch_all(self.readers()).await?;
        rows.iter().map(|row| Columns { table: "hosted_tags", row }.parsed("tag")).collect()
    }

    /// At most `limit` names behind `after` that have a manifest.
    pub async fn list_hosted_names(
        &self,
        repo: &RepoKey,
        after: &str,
        limit: u32,
    ) -> Result<Vec<RepositoryName>, MetadataError> {
        let query = sqlx::query(sql::LIST_HOSTED_NAMES).bind(repo.as_str()).bind(after).bind(i64::from(limit));
        let rows = query.fetch_all(self.readers()).await?;
        rows.iter().map(|row| Columns { table: "hosted_manifests", row }.parsed("name")).collect()
    }

    /// Whether anything was pushed under a name and is still there.
    pub async fn has_hosted_name(&self, repo: &RepoKey, name: &RepositoryName) -> Result<bool, MetadataError> {
        let query = sqlx::query(sql::HAS_HOSTED_NAME).bind(repo.as_str()).bind(name.as_str());
        Ok(query.fetch_optional(self.readers()).await?.is_some())
    }

    /// Whether anything was pushed to a repository and is still there.
    pub async fn has_hosted_content(&self, repo: &RepoKey) -> Result<bool, MetadataError> {
        let row = sqlx::query(sql::HAS_HOSTED_CONTENT).bind(repo.as_str()).fetch_optional(self.readers()).await?;
        Ok(row.is_some())
    }

    /// At most `limit` referrers of `subject` behind `after`, of one artifact type if one is given.
    pub async fn list_hosted_referrers(
        &self,
        (repo, name): (&RepoKey, &RepositoryName),
        subject: &Digest,
        artifact_type: Option<&str>,
        (after, limit): (&str, u32),
    ) -> Result<Vec<HostedReferrer>, MetadataError> {
        let rows = sqlx::query(sql::LIST_HOSTED_REFERRERS)
            .bind(repo.as_str())
            .bind(name.as_str())
            .bind(subject.to_string())
            .bind(after)
            .bind(artifact_type)
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await?;
        let referrer = |row| {
            let columns = Columns { table: "hosted_manifests", row };
            Ok(HostedReferrer {
                digest: columns.parsed("digest")?,
                artifact_type: columns.text_unless_null("artifact_type")?,
            })
        };
        rows.iter().map(referrer).collect()
    }

    /// The descriptor that lists a manifest under its subject, as JSON.
    pub async fn hosted_referrer(
        &self,
        repo: &RepoKey,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<String>, MetadataError> {
        let query = sqlx::query(sql::HOSTED_REFERRER).bind(repo.as_str()).bind(name.as_str());
        let row = query.bind(digest.to_string()).fetch_optional(self.readers()).await?;
        let text = |row| Columns { table: "hosted_manifests", row: &row }.text_unless_null("referrer");
        row.map(text).transpose().map(Option::flatten)
    }
}
