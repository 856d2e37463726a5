//! What nothing needs any more: found, condemned, and taken away when it was not touched since.
//!
//! Must not know bytes, nor when a collector runs. Invariants: the statement that takes something away asks again, in the
//! same transaction, whether it is needed or held and whether it is still condemned by the very run that said so; whoever
//! pushes, mounts or is told that something is there writes the lease in the transaction that does it.

use std::time::SystemTime;

use oci::{Digest, RepoKey, RepositoryName};
use sqlx::{Sqlite, Transaction};

use crate::decode::Columns;
use crate::encode::millis;
use crate::error::MetadataError;
use crate::metadata::Metadata;
use crate::sql;

/// Leases written in one step when everything is held: a push waits for no more.
const HELD_AT_ONCE: i64 = 500;

/// What can be condemned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GarbageKind {
    /// A name's link to a blob.
    Link,
    /// A manifest under a name.
    Manifest,
}

impl GarbageKind {
    /// The word in rows.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Manifest => "manifest",
        }
    }
}

/// A verdict as it stands in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condemned {
    /// When.
    pub at: SystemTime,
    /// By which run of the collector.
    pub run: i64,
}

/// A link or manifest as a collector sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldPart {
    /// The name that has it.
    pub name: RepositoryName,
    /// Its digest.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
    /// Whether something under the name needs it.
    pub needed: bool,
    /// Until when it is held all the same.
    pub leased_until: SystemTime,
    /// Whether it was found unneeded before.
    pub condemned: Option<Condemned>,
}

impl Metadata {
    /// At most `limit` links or manifests of a repository behind `after`, in the order of names and digests.
    pub async fn list_held_parts(
        &self,
        kind: GarbageKind,
        repo: &RepoKey,
        after: Option<(&RepositoryName, &Digest)>,
        limit: u32,
    ) -> Result<Vec<HeldPart>, MetadataError> {
        let (text, table) = match kind {
            GarbageKind::Link => (sql::LIST_HELD_LINKS, "hosted_links"),
            GarbageKind::Manifest => (sql::LIST_HELD_MANIFESTS, "hosted_manifests"),
        };
        let (name, digest) = after.map_or_else(Default::default, |(name, digest)| (name.as_str(), digest.to_string()));
        let query = sqlx::query(text).bind(repo.as_str()).bind(name).bind(digest).bind(i64::from(limit));
        let rows = query.fetch_all(self.readers()).await?;
        rows.iter().map(|row| held_part(&Columns { table, row })).collect()
    }

    /// Condemns those of `parts` that are still unneeded and held by nobody; how many these are.
    pub async fn condemn(
        &self,
        kind: GarbageKind,
        repo: &RepoKey,
        parts: &[(&RepositoryName, &Digest)],
        verdict: Condemned,
    ) -> Result<u64, MetadataError> {
        let text = match kind {
            GarbageKind::Link => sql::CONDEMN_LINK,
            GarbageKind::Manifest => sql::CONDEMN_MANIFEST,
        };
        let (mut transaction, mut condemned) = (self.begin().await?, 0);
        for (name, digest) in parts {
            let query = sqlx::query(text).bind(repo.as_str()).bind(name.as_str()).bind(digest.to_string());
            let done = query.bind(millis(verdict.at)).bind(verdict.run).execute(&mut *transaction).await?;
            condemned += done.rows_affected();
        }
        transaction.commit().await?;
        Ok(condemned)
    }

    /// Takes away those of `parts` that are still unneeded, held by nobody and condemned as given; gives which of them
    /// went. Of the others the verdict is lifted.
    pub async fn collect(
        &self,
        kind: GarbageKind,
        repo: &RepoKey,
        parts: &[(&RepositoryName, &Digest, Condemned)],
        now: SystemTime,
    ) -> Result<Vec<bool>, MetadataError> {
        let text = match kind {
            GarbageKind::Link => sql::COLLECT_LINK,
            GarbageKind::Manifest => sql::COLLECT_MANIFEST,
        };
        let (mut transaction, mut gone) = (self.begin_durable().await?, Vec::with_capacity(parts.len()));
        for (name, digest, verdict) in parts {
            let query = sqlx::query(text).bind(repo.as_str()).bind(name.as_str()).bind(digest.to_string());
            let query = query.bind(millis(now)).bind(millis(verdict.at)).bind(verdict.run);
            gone.push(query.execute(&mut *transaction).await?.rows_affected() > 0);
            pardon(&mut transaction, kind, (repo, name), digest).await?;
        }
        transaction.commit().await?;
        Ok(gone)
    }

    /// Lifts verdicts, and lets no lease of these parts last longer than `longest`: a clock may have been wrong.
    pub async fn pardon(
        &self,
        kind: GarbageKind,
        repo: &RepoKey,
        parts: &[(&RepositoryName, &Digest)],
        longest: SystemTime,
    ) -> Result<(), MetadataError> {
        let mut transaction = self.begin().await?;
        for (name, digest) in parts {
            pardon(&mut transaction, kind, (repo, name), digest).await?;
            let text = match kind {
                GarbageKind::Link => sql::SHORTEN_LINK_LEASE,
                GarbageKind::Manifest => sql::SHORTEN_MANIFEST_LEASE,
            };
            let query = sqlx::query(text).bind(repo.as_str()).bind(name.as_str()).bind(digest.to_string());
            query.bind(millis(longest)).execute(&mut *transaction).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Lifts every verdict on manifests of a repository, where none may be taken away.
    pub async fn pardon_manifests(&self, repo: &RepoKey) -> Result<(), MetadataError> {
        sqlx::query(sql::PARDON_MANIFESTS).bind(repo.as_str()).execute(self.writer()).await?;
        Ok(())
    }

    /// Lifts every verdict and holds everything until `until`: after the clock was changed, no age can be trusted. Pushes go on
    /// between the steps; whoever is told that one failed begins anew.
    pub async fn hold_everything(&self, until: SystemTime) -> Result<(), MetadataError> {
        sqlx::query(sql::PARDON_ALL).execute(self.writer()).await?;
        for (end, some, last) in [
            (sql::END_OF_LINKS, sql::LEASE_LINKS, sql::LEASE_LAST_LINKS),
            (sql::END_OF_MANIFESTS, sql::LEASE_MANIFESTS, sql::LEASE_LAST_MANIFESTS),
        ] {
            let mut after = <[String; 3]>::default();
            loop {
                let [repo, name, digest] = &after;
                let query = sqlx::query(end).bind(repo).bind(name).bind(digest).bind(HELD_AT_ONCE - 1);
                let Some(row) = query.fetch_optional(self.readers()).await? else { break };
                let columns = Columns { table: "hosted_links", row: &row };
                let until_here = [columns.text("repo")?, columns.text("name")?, columns.text("digest")?];
                let mut query = sqlx::query(some);
                for part in after.iter().chain(&until_here) {
                    query = query.bind(part);
                }
                query.bind(millis(until)).execute(self.writer()).await?;
                after = until_here;
            }
            let mut query = sqlx::query(last);
            for part in &after {
                query = query.bind(part);
            }
            query.bind(millis(until)).execute(self.writer()).await?;
        }
        Ok(())
    }

    /// Holds a part until `until`, and lifts a verdict on it; false when it is not there. Durable.
    pub async fn renew_lease(
        &self,
        kind: GarbageKind,
        (repo, name): (&RepoKey, &RepositoryName),
        digest: &Digest,
        until: SystemTime,
    ) -> Result<bool, MetadataError> {
        let text = match kind {
            GarbageKind::Link => sql::LEASE_LINK,
            GarbageKind::Manifest => sql::LEASE_MANIFEST,
        };
        let mut transaction = self.begin_durable().await?;
        let query = sqlx::query(text).bind(repo.as_str()).bind(name.as_str()).bind(digest.to_string());
        let there = query.bind(millis(until)).execute(&mut *transaction).await?.rows_affected() > 0;
        pardon(&mut transaction, kind, (repo, name), digest).await?;
        transaction.commit().await?;
        Ok(there)
    }

    /// Until when a manifest is held; `None` when it is not there.
    pub async fn manifest_lease(
        &self,
        (repo, name): (&RepoKey, &RepositoryName),
        digest: &Digest,
    ) -> Result<Option<SystemTime>, MetadataError> {
        let query = sqlx::query(sql::FIND_MANIFEST_LEASE).bind(repo.as_str()).bind(name.as_str());
        let row = query.bind(digest.to_string()).fetch_optional(self.readers()).await?;
        row.map(|row| Columns { table: "hosted_manifests", row: &row }.time("leased_until")).transpose()
    }

    /// How many names have these bytes, as a blob or as a manifest.
    pub async fn count_holders(&self, digest: &Digest) -> Result<u64, MetadataError> {
        let row = sqlx::query(sql::COUNT_HOLDERS).bind(digest.to_string()).fetch_one(self.readers()).await?;
        Columns { table: "hosted_links", row: &row }.count("holders")
    }
}

/// Lifts a verdict, if there is one.
pub(super) async fn pardon(
    transaction: &mut Transaction<'static, Sqlite>,
    kind: GarbageKind,
    (repo, name): (&RepoKey, &RepositoryName),
    digest: &Digest,
) -> Result<(), MetadataError> {
    let query = sqlx::query(sql::PARDON).bind(kind.as_str()).bind(repo.as_str()).bind(name.as_str());
    query.bind(digest.to_string()).execute(&mut **transaction).await?;
    Ok(())
}

fn held_part(columns: &Columns<'_>) -> Result<HeldPart, MetadataError> {
    let condemned = match columns.number_unless_null("run")? {
        Some(run) => Some(Condemned { at: columns.time("condemned_at")?, run }),
        None => None,
    };
    Ok(HeldPart {
        name: columns.parsed("name")?,
        digest: columns.parsed("digest")?,
        size: columns.count("size_bytes")?,
        needed: columns.count("needed")? > 0,
        leased_until: columns.time("leased_until")?,
        condemned,
    })
}
