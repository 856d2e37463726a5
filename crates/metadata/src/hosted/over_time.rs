//! Hosted tags over time: where one pointed, putting one back, removing one that nothing keeps.
//!
//! Must not know why. Invariants: a tag points only to manifests that are there; whoever decided on what a tag points to
//! gives what it saw, and nothing happens when the tag has moved since.

use std::time::SystemTime;

use oci::{Digest, RepoKey, RepositoryName, Tag};

use super::deletes::remove_tag;
use super::events::{HostedTagEvent, TagMove, event};
use super::manifests::{current, point_tag};
use super::retention::{TagEventRow, TagFacts, tag_facts};
use super::tag_rules::{self, TagRules, may_point};
use crate::encode::millis;
use crate::error::MetadataError;
use crate::metadata::Metadata;
use crate::sql::{self, over_time};

/// What came of moving a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tagged {
    /// It points there now; what it pointed to before.
    Moved(Option<Digest>),
    /// It pointed there already.
    Already,
}

/// Whether a tag that was pulled since it was looked at has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullsMatter {
    /// It has: it was decided by pulls.
    Yes,
    /// It has not.
    No,
}

/// Why a tag is not moved. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TagRefused {
    /// The manifest is not under this name.
    #[error("{0} is not there any more")]
    NotThere(Digest),
    /// The tag moved meanwhile.
    #[error("the tag moved meanwhile")]
    MovedMeanwhile,
    /// The tag never moves.
    #[error("tag '{tag}' is immutable and points to {current}")]
    Immutable {
        /// The tag.
        tag: Tag,
        /// Where it points.
        current: Digest,
    },
    /// The tag is a channel, and no version's tag points to the manifest.
    #[error("tag '{tag}' is a channel, and no version that it is over points to {digest}")]
    Channel {
        /// The tag.
        tag: Tag,
        /// The manifest.
        digest: Digest,
    },
}

impl Metadata {
    /// The last event of a tag at a time or before.
    pub async fn hosted_tag_at(
        &self,
        repo: &RepoKey,
        name: &RepositoryName,
        tag: &Tag,
        at: SystemTime,
    ) -> Result<Option<HostedTagEvent>, MetadataError> {
        let query = sqlx::query(over_time::HOSTED_TAG_AT).bind(repo.as_str()).bind(name.as_str()).bind(tag.as_str());
        let row = query.bind(millis(at)).fetch_optional(self.readers()).await?;
        row.as_ref().map(event).transpose()
    }

    /// The last event of a tag, under the name of a former event of any tag, that came after that one.
    pub async fn hosted_tag_moved_since(
        &self,
        former: &TagEventRow,
        tag: &Tag,
    ) -> Result<Option<HostedTagEvent>, MetadataError> {
        let query = sqlx::query(over_time::HOSTED_TAG_SINCE).bind(former.repo.as_str()).bind(former.name.as_str());
        let row = query.bind(tag.as_str()).bind(former.id).fetch_optional(self.readers()).await?;
        row.as_ref().map(event).transpose()
    }

    /// Points a tag to a manifest that is there. `seen` is what the tag pointed to when that was decided. Durable.
    pub async fn set_hosted_tag(
        &self,
        (repo, name, tag): (&RepoKey, &RepositoryName, &Tag),
        digest: &Digest,
        seen: Option<&Digest>,
        by: TagMove<'_>,
        rules: &dyn TagRules,
    ) -> Result<Result<Tagged, TagRefused>, MetadataError> {
        let mut transaction = self.begin_durable().await?;
        let now = current(&mut transaction, repo, name, tag).await?;
        if now == Some(*digest) {
            return Ok(Ok(Tagged::Already));
        }
        if now.as_ref() != seen {
            return Ok(Err(TagRefused::MovedMeanwhile));
        }
        if let Some(current) = now.filter(|_| rules.is_immutable(tag)) {
            return Ok(Err(TagRefused::Immutable { tag: tag.clone(), current }));
        }
        let query = sqlx::query(sql::FIND_HOSTED_MANIFEST).bind(repo.as_str()).bind(name.as_str());
        if query.bind(digest.to_string()).fetch_optional(&mut *transaction).await?.is_none() {
            return Ok(Err(TagRefused::NotThere(*digest)));
        }
        if !may_point(&mut transaction, (repo, name), (tag, digest), &[], rules).await? {
            return Ok(Err(TagRefused::Channel { tag: tag.clone(), digest: *digest }));
        }
        point_tag(&mut transaction, (repo, name, tag), digest, by).await?;
        transaction.commit().await?;
        Ok(Ok(Tagged::Moved(now)))
    }

    /// Deletes a tag of which nothing has changed since it was `seen`, and that no channel of `rules` has come to stand on.
    /// False when it stays, or was gone. Durable.
    pub async fn expire_hosted_tag(
        &self,
        repo: &RepoKey,
        seen: &TagFacts,
        (pulls, by): (PullsMatter, TagMove<'_>),
        rules: &dyn TagRules,
    ) -> Result<bool, MetadataError> {
        let TagFacts { name, tag, .. } = seen;
        let mut transaction = self.begin_durable().await?;
        let query = sqlx::query(over_time::HOSTED_TAG_FACTS_NOW).bind(repo.as_str()).bind(name.as_str());
        let row = query.bind(tag.as_str()).fetch_optional(&mut *transaction).await?;
        let now = row.as_ref().map(tag_facts).transpose()?;
        let is_as_seen = now.is_some_and(|now| {
            let pulled = pulls == PullsMatter::Yes && now.pulled_at != seen.pulled_at;
            !pulled && (now.digest, now.tagged_at) == (seen.digest, seen.tagged_at)
        });
        if !is_as_seen || tag_rules::channel_on(&mut transaction, (repo, name), (tag, &seen.digest), rules).await? {
            return Ok(false);
        }
        remove_tag(&mut transaction, (repo, name, tag), by).await?;
        transaction.commit().await?;
        Ok(true)
    }
}
