//! Which tags may move, and where to.
//!
//! Must not know how that is written. Invariant: it is asked inside the transaction that moves the tag.

use oci::{Digest, RepoKey, RepositoryName, Tag};
use sqlx::{Sqlite, Transaction};

use super::deletes::tags_of;
use crate::error::MetadataError;

/// What a repository says of its tags. A plain function says which are immutable.
pub trait TagRules: Sync {
    /// Whether the tag never moves once it is there.
    fn is_immutable(&self, tag: &Tag) -> bool;

    /// Whether the tag is a channel: it points only to what versions point to.
    fn is_channel(&self, _tag: &Tag) -> bool {
        false
    }

    /// Whether `other` is a version that the channel may follow.
    fn is_version_of(&self, _channel: &Tag, _other: &Tag) -> bool {
        false
    }
}

impl<F: Fn(&Tag) -> bool + Sync> TagRules for F {
    fn is_immutable(&self, tag: &Tag) -> bool {
        self(tag)
    }
}

/// Whether a tag may point to a manifest: any but a channel may. `with` are tags that come in the same transaction.
pub(super) async fn may_point(
    transaction: &mut Transaction<'static, Sqlite>,
    (repo, name): (&RepoKey, &RepositoryName),
    (tag, digest): (&Tag, &Digest),
    with: &[Tag],
    rules: &dyn TagRules,
) -> Result<bool, MetadataError> {
    if !rules.is_channel(tag) {
        return Ok(true);
    }
    let there = tags_of(transaction, repo, name, digest).await?;
    Ok(there.iter().chain(with).any(|other| rules.is_version_of(tag, other)))
}

/// Whether a channel stands on the version that a tag names.
pub(super) async fn channel_on(
    transaction: &mut Transaction<'static, Sqlite>,
    (repo, name): (&RepoKey, &RepositoryName),
    (tag, digest): (&Tag, &Digest),
    rules: &dyn TagRules,
) -> Result<bool, MetadataError> {
    let there = tags_of(transaction, repo, name, digest).await?;
    Ok(there.iter().any(|other| rules.is_channel(other) && rules.is_version_of(other, tag)))
}
