//! Pushed manifests and the tags that point to them.
//!
//! Must not know bytes. Invariant: one transaction looks at everything a manifest lists, links it and moves the tags, so
//! nothing it needs can go in between, and a client sees all of it or nothing.

use std::time::SystemTime;

use oci::{Descriptor, Digest, ManifestFacts, MediaType, RepoKey, RepositoryName, Tag};
use sqlx::{Sqlite, Transaction};

use super::events::{TagCause, TagMove};
use super::garbage::GarbageKind;
use super::tag_rules::{self, TagRules};
use super::{blobs, events, garbage};
use crate::decode::Columns;
use crate::encode::{count, millis};
use crate::error::MetadataError;
use crate::metadata::Metadata;
use crate::sql;

/// A manifest to be pushed; its bytes are stored.
#[derive(Debug)]
pub struct NewManifest<'a> {
    /// Where to.
    pub repo: &'a RepoKey,
    /// Under which name.
    pub name: &'a RepositoryName,
    /// The digest of its bytes.
    pub digest: &'a Digest,
    /// Its length in bytes.
    pub size: u64,
    /// What it says.
    pub facts: &'a ManifestFacts,
    /// The descriptor that lists it under its subject, as JSON, and the artifact type in it.
    pub referrer: Option<(String, Option<String>)>,
    /// The tags to point to it.
    pub tags: &'a [Tag],
    /// Who pushes.
    pub principal: &'a str,
    /// Until when it is held, tagged or not.
    pub leased_until: SystemTime,
}

/// Why a manifest is not taken. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushRefused {
    /// A blob or manifest that it lists is not under this name.
    #[error("{digest} ({media_type}) is not in this repository; push it first")]
    Missing {
        /// What is missing.
        digest: Digest,
        /// What the manifest says it is.
        media_type: MediaType,
    },
    /// It says another size than what is stored has.
    #[error("{digest} has {stored} bytes, but the manifest says {said}")]
    WrongSize {
        /// The blob or manifest.
        digest: Digest,
        /// The size in the manifest.
        said: u64,
        /// The size it has.
        stored: u64,
    },
    /// It says another type than the manifest has that it lists.
    #[error("{digest} was pushed as {stored}, but the manifest says {said}")]
    WrongType {
        /// The manifest that is listed.
        digest: Digest,
        /// The type in the manifest.
        said: MediaType,
        /// The type it has.
        stored: MediaType,
    },
    /// The same bytes are here as another type: one digest must have one reading.
    #[error("these bytes were pushed as {stored} before and cannot be {said} too")]
    OtherType {
        /// The type it has.
        stored: MediaType,
        /// The type it was pushed as now.
        said: MediaType,
    },
    /// The tag never moves.
    #[error("tag '{tag}' is immutable and points to {current}")]
    Immutable {
        /// The tag.
        tag: Tag,
        /// Where it points.
        current: Digest,
    },
    /// The tag is a channel, which leads to released versions only.
    #[error("tag '{tag}' is a channel: it points only to what a version's tag points to")]
    Channel {
        /// The tag.
        tag: Tag,
    },
}

impl Metadata {
    /// Takes a manifest: checks what it lists, links it and points its tags to it. `rules` say which tags may move.
    /// Durable.
    pub async fn push_manifest(
        &self,
        manifest: &NewManifest<'_>,
        rules: &dyn TagRules,
    ) -> Result<Result<(), PushRefused>, MetadataError> {
        let mut transaction = self.begin_durable().await?;
        for tag in manifest.tags {
            if let Some(current) = current(&mut transaction, manifest.repo, manifest.name, tag).await?
                && current != *manifest.digest
                && rules.is_immutable(tag)
            {
                return Ok(Err(PushRefused::Immutable { tag: tag.clone(), current }));
            }
            let place = (manifest.repo, manifest.name);
            if !tag_rules::may_point(&mut transaction, place, (tag, manifest.digest), manifest.tags, rules).await? {
                return Ok(Err(PushRefused::Channel { tag: tag.clone() }));
            }
        }
        if let Some(refused) = check_type(&mut transaction, manifest).await? {
            return Ok(Err(refused));
        }
        for child in required(manifest.facts) {
            if let Some(refused) = check_child(&mut transaction, manifest, child).await? {
                return Ok(Err(refused));
            }
        }
        insert(&mut transaction, manifest).await?;
        for tag in manifest.tags {
            point(&mut transaction, manifest, tag).await?;
        }
        transaction.commit().await?;
        Ok(Ok(()))
    }
}

/// Everything that the manifest lists.
fn listed(facts: &ManifestFacts) -> impl Iterator<Item = &Descriptor> {
    facts.blobs().chain(&facts.manifests)
}

/// What must be here for the manifest to be whole. Layers that may not be passed on need not.
fn required(facts: &ManifestFacts) -> impl Iterator<Item = &Descriptor> {
    listed(facts).filter(|child| !child.media_type.is_nondistributable())
}

async fn check_type(
    transaction: &mut Transaction<'static, Sqlite>,
    manifest: &NewManifest<'_>,
) -> Result<Option<PushRefused>, MetadataError> {
    let stored = stored_manifest(transaction, manifest, manifest.digest).await?.map(|(_, media_type)| media_type);
    let said = &manifest.facts.media_type;
    Ok(stored.filter(|stored| stored != said).map(|stored| PushRefused::OtherType { stored, said: said.clone() }))
}

async fn check_child(
    transaction: &mut Transaction<'static, Sqlite>,
    manifest: &NewManifest<'_>,
    child: &Descriptor,
) -> Result<Option<PushRefused>, MetadataError> {
    let listed = manifest.facts.manifests.contains(child);
    let of_index = if listed { stored_manifest(transaction, manifest, &child.digest).await? } else { None };
    let is_manifest = child.media_type.is_manifest() || child.media_type.is_index();
    if let Some((_, stored)) = of_index.as_ref().filter(|(_, stored)| is_manifest && *stored != child.media_type) {
        let (said, stored) = (child.media_type.clone(), stored.clone());
        return Ok(Some(PushRefused::WrongType { digest: child.digest, said, stored }));
    }
    let stored = if let Some((size, _)) = of_index {
        Some(size)
    } else if listed && is_manifest {
        // Bytes that came as a blob cannot be pulled as a manifest.
        None
    } else {
        // An index may list other content than manifests (image-spec "image-index").
        let query = sqlx::query(sql::FIND_HOSTED_BLOB).bind(manifest.repo.as_str()).bind(manifest.name.as_str());
        let row = query.bind(child.digest.to_string()).fetch_optional(&mut **transaction).await?;
        row.map(|row| Columns { table: "hosted_blobs", row: &row }.count("size_bytes")).transpose()?
    };
    let (digest, said) = (child.digest, child.size);
    Ok(match stored {
        None => Some(PushRefused::Missing { digest, media_type: child.media_type.clone() }),
        Some(stored) if stored != said => Some(PushRefused::WrongSize { digest, said, stored }),
        Some(_) => None,
    })
}

async fn stored_manifest(
    transaction: &mut Transaction<'static, Sqlite>,
    manifest: &NewManifest<'_>,
    digest: &Digest,
) -> Result<Option<(u64, MediaType)>, MetadataError> {
    let query = sqlx::query(sql::FIND_HOSTED_MANIFEST).bind(manifest.repo.as_str()).bind(manifest.name.as_str());
    let Some(row) = query.bind(digest.to_string()).fetch_optional(&mut **transaction).await? else { return Ok(None) };
    let columns = Columns { table: "hosted_manifests", row: &row };
    Ok(Some((columns.count("size_bytes")?, columns.parsed("media_type")?)))
}

/// Where a tag points.
pub(super) async fn current(
    transaction: &mut Transaction<'static, Sqlite>,
    repo: &RepoKey,
    name: &RepositoryName,
    tag: &Tag,
) -> Result<Option<Digest>, MetadataError> {
    let query = sqlx::query(sql::FIND_HOSTED_TAG).bind(repo.as_str()).bind(name.as_str()).bind(tag.as_str());
    let row = query.fetch_optional(&mut **transaction).await?;
    row.map(|row| Columns { table: "hosted_tags", row: &row }.parsed("digest")).transpose()
}

async fn insert(
    transaction: &mut Transaction<'static, Sqlite>,
    manifest: &NewManifest<'_>,
) -> Result<(), MetadataError> {
    blobs::store(transaction, manifest.digest, manifest.size).await?;
    let (referrer, artifact_type) = manifest.referrer.clone().unzip();
    sqlx::query(sql::PUT_HOSTED_MANIFEST)
        .bind(manifest.repo.as_str())
        .bind(manifest.name.as_str())
        .bind(manifest.digest.to_string())
        .bind(manifest.facts.media_type.as_str())
        .bind(count("manifest size", manifest.size)?)
        .bind(manifest.facts.subject.as_ref().map(|subject| subject.digest.to_string()))
        .bind(artifact_type.flatten())
        .bind(referrer)
        .bind(millis(SystemTime::now()))
        .bind(manifest.principal)
        .bind(millis(manifest.leased_until))
        .execute(&mut **transaction)
        .await?;
    let place = (manifest.repo, manifest.name);
    garbage::pardon(transaction, GarbageKind::Manifest, place, manifest.digest).await?;
    for child in listed(manifest.facts) {
        sqlx::query(sql::PUT_HOSTED_CHILD)
            .bind(manifest.repo.as_str())
            .bind(manifest.name.as_str())
            .bind(manifest.digest.to_string())
            .bind(child.digest.to_string())
            // A layer that need not be here is needed like any other from when it is.
            .bind(i64::from(child.media_type.is_nondistributable()))
            .execute(&mut **transaction)
            .await?;
        for kind in [GarbageKind::Link, GarbageKind::Manifest] {
            garbage::pardon(transaction, kind, place, &child.digest).await?;
        }
    }
    Ok(())
}

async fn point(
    transaction: &mut Transaction<'static, Sqlite>,
    manifest: &NewManifest<'_>,
    tag: &Tag,
) -> Result<(), MetadataError> {
    let NewManifest { repo, name, digest, principal, .. } = manifest;
    point_tag(transaction, (repo, name, tag), digest, TagMove::new(principal, TagCause::Push)).await
}

/// Points a tag to a manifest under its name.
pub(super) async fn point_tag(
    transaction: &mut Transaction<'static, Sqlite>,
    (repo, name, tag): (&RepoKey, &RepositoryName, &Tag),
    digest: &Digest,
    by: TagMove<'_>,
) -> Result<(), MetadataError> {
    // One time for both: a tag that was pushed again since its last move has a later one.
    let now = SystemTime::now();
    if current(transaction, repo, name, tag).await? != Some(*digest) {
        events::record(transaction, (repo, name, tag), Some(digest), by, now).await?;
    }
    garbage::pardon(transaction, GarbageKind::Manifest, (repo, name), digest).await?;
    sqlx::query(sql::POINT_HOSTED_TAG)
        .bind(repo.as_str())
        .bind(name.as_str())
        .bind(tag.as_str())
        .bind(digest.to_string())
        .bind(millis(now))
        .bind(by.principal)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}
