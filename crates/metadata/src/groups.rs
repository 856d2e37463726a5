//! Groups: which member keeps a name, and tags that members have at different digests.
//!
//! Must not know what follows from it. Invariants: a name of a group is kept by one member at most; lists come in the
//! order of bytes and never longer than asked for.

use std::time::SystemTime;

use oci::{Digest, RepoKey, RepositoryName, Tag};
use sqlx::sqlite::SqliteRow;

use crate::decode::Columns;
use crate::encode::millis;
use crate::error::MetadataError;
use crate::metadata::Metadata;
use crate::sql;

/// A name of a group and the member that keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupNameRow {
    /// The name.
    pub name: RepositoryName,
    /// The member's key.
    pub member: RepoKey,
    /// Since when it keeps the name.
    pub since: SystemTime,
    /// When those before it were last found not to have the name.
    pub checked_at: SystemTime,
}

/// Where a member's tags are known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagsOf<'a> {
    /// They were pushed to it.
    Hosted(&'a RepoKey),
    /// Its upstream said so.
    Proxy(&'a RepoKey),
}

/// A tag that two members have at different digests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DifferingTag {
    /// The name.
    pub name: RepositoryName,
    /// The tag.
    pub tag: Tag,
    /// Where the first member has it.
    pub first: Digest,
    /// Where the second one has it.
    pub second: Digest,
}

impl Metadata {
    /// The member that keeps a name of a group.
    pub async fn find_group_name(
        &self,
        group: &RepoKey,
        name: &RepositoryName,
    ) -> Result<Option<GroupNameRow>, MetadataError> {
        let query = sqlx::query(sql::FIND_GROUP_NAME).bind(group.as_str()).bind(name.as_str());
        query.fetch_optional(self.readers()).await?.as_ref().map(group_name).transpose()
    }

    /// At most `limit` names of a group behind `after`.
    pub async fn list_group_names(
        &self,
        group: &RepoKey,
        after: &str,
        limit: u32,
    ) -> Result<Vec<GroupNameRow>, MetadataError> {
        let query = sqlx::query(sql::LIST_GROUP_NAMES).bind(group.as_str()).bind(after).bind(i64::from(limit));
        query.fetch_all(self.readers()).await?.iter().map(group_name).collect()
    }

    /// Notes that a member keeps a name, found so at `at`; the time since when stays if it did before.
    pub async fn keep_group_name(
        &self,
        group: &RepoKey,
        name: &RepositoryName,
        member: &RepoKey,
        at: SystemTime,
    ) -> Result<(), MetadataError> {
        let query = sqlx::query(sql::KEEP_GROUP_NAME).bind(group.as_str()).bind(name.as_str()).bind(member.as_str());
        query.bind(millis(at)).execute(self.writer()).await?;
        Ok(())
    }

    /// Takes a name from whoever keeps it. False when nobody did.
    pub async fn release_group_name(&self, group: &RepoKey, name: &RepositoryName) -> Result<bool, MetadataError> {
        let query = sqlx::query(sql::RELEASE_GROUP_NAME).bind(group.as_str()).bind(name.as_str());
        Ok(query.execute(self.writer()).await?.rows_affected() > 0)
    }

    /// Takes all names of a group from whoever keeps them.
    pub async fn release_group_names(&self, group: &RepoKey) -> Result<(), MetadataError> {
        sqlx::query(sql::RELEASE_GROUP_NAMES).bind(group.as_str()).execute(self.writer()).await?;
        Ok(())
    }

    /// Whether a manifest was pushed under a name and is still there.
    pub async fn has_hosted_manifests(&self, repo: &RepoKey, name: &RepositoryName) -> Result<bool, MetadataError> {
        let query = sqlx::query(sql::HAS_HOSTED_MANIFESTS).bind(repo.as_str()).bind(name.as_str());
        Ok(query.fetch_optional(self.readers()).await?.is_some())
    }

    /// Whether upstream ever answered for anything under a name, and has not since said that it is all gone.
    pub async fn has_known_name(&self, repo: &RepoKey, name: &RepositoryName) -> Result<bool, MetadataError> {
        let query = sqlx::query(sql::HAS_KNOWN_NAME).bind(repo.as_str()).bind(name.as_str());
        Ok(query.fetch_optional(self.readers()).await?.is_some())
    }

    /// At most `limit` tags that both are known to have under one name at different digests, behind a name and tag.
    pub async fn differing_tags(
        &self,
        first: TagsOf<'_>,
        second: TagsOf<'_>,
        limit: u32,
    ) -> Result<Vec<DifferingTag>, MetadataError> {
        let (statement, one, other, turned) = match (first, second) {
            (TagsOf::Hosted(one), TagsOf::Hosted(other)) => (sql::DIFFERING_HOSTED, one, other, false),
            (TagsOf::Proxy(one), TagsOf::Proxy(other)) => (sql::DIFFERING_PROXIES, one, other, false),
            (TagsOf::Hosted(one), TagsOf::Proxy(other)) => (sql::DIFFERING_MIXED, one, other, false),
            (TagsOf::Proxy(one), TagsOf::Hosted(other)) => (sql::DIFFERING_MIXED, other, one, true),
        };
        let query = sqlx::query(statement).bind(one.as_str()).bind(other.as_str()).bind(i64::from(limit));
        let rows = query.fetch_all(self.readers()).await?;
        rows.iter().map(|row| differing(row, turned)).collect()
    }
}

fn differing(row: &SqliteRow, turned: bool) -> Result<DifferingTag, MetadataError> {
    let columns = Columns { table: "tags", row };
    let (first, second) = if turned { ("other_digest", "digest") } else { ("digest", "other_digest") };
    Ok(DifferingTag {
        name: columns.parsed("name")?,
        tag: columns.parsed("tag")?,
        first: columns.parsed(first)?,
        second: columns.parsed(second)?,
    })
}

fn group_name(row: &SqliteRow) -> Result<GroupNameRow, MetadataError> {
    let columns = Columns { table: "group_names", row };
    Ok(GroupNameRow {
        name: columns.parsed("name")?,
        member: columns.parsed("member")?,
        since: columns.time("since")?,
        checked_at: columns.time("checked_at")?,
    })
}
