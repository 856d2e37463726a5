//! Everything a manifest leads to under one name: children, blobs, referrers, and signatures found by their tags.
//!
//! Must not know where it will go. Invariant: bounded; what is missing is told, never left out, unless it need not be there.

use std::collections::{BTreeMap, HashSet};

use oci::{Digest, Tag};
use sqlx::{Sqlite, Transaction};

use super::{Place, PromotionRefused};
use crate::decode::Columns;
use crate::error::MetadataError;
use crate::sql::{self, over_time};

/// Most manifests that one promotion takes.
const MOST_MANIFESTS: usize = 10_000;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// Manifests and their sizes.
    pub(super) manifests: BTreeMap<Digest, u64>,
    /// Blobs and their sizes.
    pub(super) blobs: BTreeMap<Digest, u64>,
    /// Tags by which signatures are found, as cosign and the referrers tag scheme name them.
    pub(super) signature_tags: Vec<(Tag, Digest)>,
}

type Transacting<'t> = &'t mut Transaction<'static, Sqlite>;

/// Follows everything from `root` on.
pub(super) async fn walk(
    transaction: Transacting<'_>,
    from: Place<'_>,
    root: &Digest,
) -> Result<Result<Walk, PromotionRefused>, MetadataError> {
    let mut found = Walk::default();
    let (mut open, mut seen) = (vec![*root], HashSet::from([*root]));
    while let Some(manifest) = open.pop() {
        let Some(size) = size_of(transaction, from, &manifest).await? else {
            return Ok(Err(PromotionRefused::NotThere { digest: manifest }));
        };
        found.manifests.insert(manifest, size);
        let children = match children(transaction, from, &manifest, &mut found).await? {
            Ok(children) => children,
            Err(refused) => return Ok(Err(refused)),
        };
        let referrers = referrers(transaction, from, &manifest).await?;
        let signatures = signatures(transaction, from, &manifest).await?;
        let signed = signatures.iter().map(|(_, digest)| *digest);
        open.extend(children.into_iter().chain(referrers).chain(signed).filter(|digest| seen.insert(*digest)));
        found.signature_tags.extend(signatures);
        if seen.len() > MOST_MANIFESTS {
            return Ok(Err(PromotionRefused::TooLarge { limit: MOST_MANIFESTS }));
        }
    }
    Ok(Ok(found))
}

async fn size_of(
    transaction: Transacting<'_>,
    (repo, name): Place<'_>,
    digest: &Digest,
) -> Result<Option<u64>, MetadataError> {
    let query = sqlx::query(sql::FIND_HOSTED_MANIFEST).bind(repo.as_str()).bind(name.as_str());
    let row = query.bind(digest.to_string()).fetch_optional(&mut **transaction).await?;
    row.map(|row| Columns { table: "hosted_manifests", row: &row }.count("size_bytes")).transpose()
}

/// The manifests among the children; blobs are noted.
async fn children(
    transaction: Transacting<'_>,
    (repo, name): Place<'_>,
    manifest: &Digest,
    found: &mut Walk,
) -> Result<Result<Vec<Digest>, PromotionRefused>, MetadataError> {
    let query = sqlx::query(over_time::HOSTED_CHILDREN).bind(repo.as_str()).bind(name.as_str());
    let mut manifests = Vec::new();
    for row in query.bind(manifest.to_string()).fetch_all(&mut **transaction).await? {
        let columns = Columns { table: "hosted_children", row: &row };
        let digest: Digest = columns.parsed("digest")?;
        let optional = columns.count("optional")? > 0;
        match (columns.count_unless_null("manifest_size")?, columns.count_unless_null("blob_size")?) {
            (Some(_), _) => manifests.push(digest),
            (None, Some(size)) => {
                found.blobs.insert(digest, size);
            }
            (None, None) if optional => {}
            (None, None) => return Ok(Err(PromotionRefused::Incomplete { digest, manifest: *manifest })),
        }
    }
    Ok(Ok(manifests))
}

pub(super) async fn referrers(
    transaction: Transacting<'_>,
    (repo, name): Place<'_>,
    subject: &Digest,
) -> Result<Vec<Digest>, MetadataError> {
    let query = sqlx::query(over_time::REFERRERS_OF_HOSTED).bind(repo.as_str()).bind(name.as_str());
    let limit = i64::try_from(MOST_MANIFESTS).unwrap_or(i64::MAX) + 1;
    let rows = query.bind(subject.to_string()).bind(limit).fetch_all(&mut **transaction).await?;
    rows.iter().map(|row| Columns { table: "hosted_manifests", row }.parsed("digest")).collect()
}

async fn signatures(
    transaction: Transacting<'_>,
    (repo, name): Place<'_>,
    subject: &Digest,
) -> Result<Vec<(Tag, Digest)>, MetadataError> {
    let stem = format!("{}-{}", subject.algorithm().as_str(), subject.hex());
    let query = sqlx::query(over_time::SIGNATURE_TAGS).bind(repo.as_str()).bind(name.as_str());
    let query = query.bind(format!("{stem}.sig")).bind(format!("{stem}.att")).bind(format!("{stem}.sbom"));
    let rows = query.bind(stem).fetch_all(&mut **transaction).await?;
    let pair = |row| {
        let columns = Columns { table: "hosted_tags", row };
        Ok((columns.parsed("tag")?, columns.parsed("digest")?))
    };
    rows.iter().map(pair).collect()
}
