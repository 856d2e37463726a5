//! What a run found and did.
//!
//! Must not know how. Invariant: every examined part is in exactly one of the counts behind `examined`; lists of single
//! parts are bounded, and say how many they leave out.

use serde::{Deserialize, Serialize};

/// Single parts that a report lists for each repository.
const MOST_ITEMS: usize = 1000;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GcEnd {
    /// It looked at everything.
    Completed,
    /// The server is stopping; the next run goes on.
    Interrupted,
    /// Something failed; the next run goes on.
    Failed,
}

impl GcEnd {
    /// The word in labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Interrupted => "interrupted",
            Self::Failed => "failed",
        }
    }
}

/// What became of the links or of the manifests of a repository.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GcCounts {
    /// Looked at.
    pub examined: u64,
    /// Kept: something needs them.
    pub needed: u64,
    /// Kept: a client was told of them not long ago.
    pub leased: u64,
    /// Kept: condemned before, and their grace is not over.
    pub waiting: u64,
    /// Kept: condemned before, and touched or needed since.
    pub pardoned: u64,
    /// Condemned in this run.
    pub condemned: u64,
    /// Taken away in this run, or in a dry run: what a run now would take away.
    pub collected: u64,
}

/// A link or manifest that a run condemned or took away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GcItem {
    /// `blob` or `manifest`.
    pub kind: String,
    /// The name that has it.
    pub name: String,
    /// Its digest.
    pub digest: String,
    /// Its bytes.
    pub size: u64,
    /// `condemn` or `collect`.
    pub action: String,
}

/// One repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GcRepository {
    /// Its key.
    pub repo_key: String,
    /// Blobs by name.
    pub blobs: GcCounts,
    /// Manifests by name. Looked at only where untagged ones may go.
    pub manifests: GcCounts,
    /// What was condemned or taken away.
    pub items: Vec<GcItem>,
    /// Of these, how many are not listed.
    pub items_left_out: u64,
}

impl GcRepository {
    pub(super) fn note(&mut self, item: impl FnOnce() -> GcItem) {
        if self.items.len() < MOST_ITEMS {
            self.items.push(item());
        } else {
            self.items_left_out += 1;
        }
    }
}

/// What crashes and failures left, and a run removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GcLeftOvers {
    /// Files of blobs that no row knows.
    pub blobs: u64,
    /// The same that are kept: their grace is not over.
    #[serde(default)]
    pub waiting: u64,
    /// Files of uploads without a session.
    pub uploads: u64,
    /// Rows of sessions that have ended.
    pub sessions: u64,
}

/// A run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GcReport {
    /// When it began (RFC 3339, UTC).
    pub started_at: String,
    /// How long it took.
    pub duration_ms: u64,
    /// Whether it only says what it would do.
    pub dry_run: bool,
    /// How it ended.
    pub end: GcEnd,
    /// What failed.
    pub problem: Option<String>,
    /// The grace it went by.
    pub grace: String,
    /// The lease it went by.
    pub lease: String,
    /// By repository.
    pub repositories: Vec<GcRepository>,
    /// Blobs whose bytes went: no other name has them.
    pub freed_blobs: u64,
    /// Their bytes.
    pub freed_bytes: u64,
    /// What crashes left.
    pub left_overs: GcLeftOvers,
}

impl GcReport {
    /// Over all repositories, blobs and manifests together.
    pub fn total(&self) -> GcCounts {
        let parts = self.repositories.iter().flat_map(|repo| [repo.blobs, repo.manifests]);
        parts.fold(GcCounts::default(), |sum, part| GcCounts {
            examined: sum.examined + part.examined,
            needed: sum.needed + part.needed,
            leased: sum.leased + part.leased,
            waiting: sum.waiting + part.waiting,
            pardoned: sum.pardoned + part.pardoned,
            condemned: sum.condemned + part.condemned,
            collected: sum.collected + part.collected,
        })
    }
}
