//! A promotion as it is told to people and programs.
//!
//! Must not know how one is made. Invariant: what is written here, the commands of the same version read.

use metadata::{Copied, NewPromotion, PromotedTag, PromotionRow, PromotionState};
use oci::{RepoKey, RepositoryName};
use serde::{Deserialize, Serialize};

use super::rules::RuleVerdict;
use crate::hosted::address::show_time;

/// A promotion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promotion {
    /// Which; `None` for one that was only tried.
    pub id: Option<String>,
    /// `done`, `waiting`, `refused`, `reverted`, or `possible` for one that was only tried.
    pub state: String,
    /// The image, as it was named.
    pub from: String,
    /// Where it goes.
    pub to: String,
    /// Its digest.
    pub digest: String,
    /// What the tag at the target pointed to before.
    pub previous: Option<String>,
    /// Who promoted.
    pub by: String,
    /// When.
    pub at: String,
    /// The workflow that did, if one did.
    pub workflow: Option<String>,
    /// Manifests it leads to: itself, children, referrers.
    pub manifests: u64,
    /// Blobs it leads to.
    pub blobs: u64,
    /// Bytes of both. None of them was moved.
    pub bytes: u64,
    /// Manifests that the target did not have.
    pub brought_manifests: u64,
    /// Blobs that it did not have.
    pub brought_blobs: u64,
    /// Tags that moved.
    pub tags: Vec<MovedTag>,
    /// The rules, each with what was found.
    pub rules: Vec<RuleVerdict>,
    /// Why it waits or was refused; or what to know of it.
    pub reason: Option<String>,
    /// When it was taken back.
    pub reverted_at: Option<String>,
    /// By whom.
    pub reverted_by: Option<String>,
}

/// A tag that moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovedTag {
    /// The tag.
    pub tag: String,
    /// Where it points.
    pub digest: String,
    /// Where it pointed.
    pub previous: Option<String>,
}

impl From<&PromotedTag> for MovedTag {
    fn from(moved: &PromotedTag) -> Self {
        Self {
            tag: moved.tag.to_string(),
            digest: moved.digest.to_string(),
            previous: moved.previous.map(|digest| digest.to_string()),
        }
    }
}

/// A page of promotions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromotionList {
    /// They, newest first.
    pub promotions: Vec<Promotion>,
    /// What to give as `before` for the next page, if there is one.
    pub next: Option<String>,
}

impl Promotion {
    pub(super) fn of(row: &PromotionRow, (manifests, blobs, tags): (u64, u64, &[PromotedTag])) -> Self {
        let (reverted_at, reverted_by) = row.reverted.clone().unzip();
        let (repo, name) = &row.from;
        Self {
            id: Some(row.id.to_string()),
            state: row.state.as_str().to_owned(),
            from: named(repo, name, &row.from_reference),
            to: format!("{}/{}:{}", row.to.0, row.to.1, row.tag),
            digest: row.digest.to_string(),
            previous: row.previous.map(|digest| digest.to_string()),
            by: row.principal.clone(),
            at: show_time(row.happened_at),
            workflow: row.workflow.clone(),
            manifests: row.manifests,
            blobs: row.blobs,
            bytes: row.bytes,
            brought_manifests: manifests,
            brought_blobs: blobs,
            tags: tags.iter().map(MovedTag::from).collect(),
            rules: serde_json::from_str(&row.rules).unwrap_or_default(),
            reason: row.reason.clone(),
            reverted_at: reverted_at.map(show_time),
            reverted_by,
        }
    }

    /// One that was only tried.
    pub(super) fn tried(wanted: &NewPromotion<'_>, copied: &Copied) -> Self {
        let row = PromotionRow {
            previous: copied.previous,
            manifests: copied.manifests,
            blobs: copied.blobs,
            bytes: copied.bytes,
            reason: left(copied),
            ..PromotionRow::new(wanted, PromotionState::Done, std::time::SystemTime::now())
        };
        let brought = (copied.brought_manifests.len() as u64, copied.brought_blobs.len() as u64);
        Self { id: None, state: "possible".to_owned(), ..Self::of(&row, (brought.0, brought.1, &copied.tags)) }
    }
}

/// An image by how it was asked for: a tag, a tag at a time, or a digest.
pub(super) fn named(repo: &RepoKey, name: &RepositoryName, reference: &str) -> String {
    let is_digest = reference.contains(':') && !reference.contains('@');
    format!("{repo}/{name}{}{reference}", if is_digest { '@' } else { ':' })
}

/// What to know of a promotion that left tags alone.
pub(super) fn left(copied: &Copied) -> Option<String> {
    if copied.left.is_empty() {
        return None;
    }
    let tags: Vec<String> = copied.left.iter().map(ToString::to_string).collect();
    Some(format!("tags of the target's own signatures, which lead elsewhere, stay as they are: {}", tags.join(", ")))
}
