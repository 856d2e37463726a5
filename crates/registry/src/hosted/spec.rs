//! A hosted repository as resolved and checked.
//!
//! Must not know JSON (that is `repositories::document`). Invariant: a `HostedSpec` can always be served.

use std::net::SocketAddr;
use std::time::Duration;

use oci::limits::{MAX_INDEX_CHILDREN, MAX_MANIFEST_BYTES, MAX_MANIFEST_LAYERS};
use oci::{RegistryHost, RepoKey, Tag};
use serde_json::Value;

use super::channels::Channel;
use super::gc::{GcSettings, Untagged};
use super::promotion::{Workflow, WorkflowRun};
use crate::repositories::TagPattern;
use crate::retention::RetentionSpec;

/// Who may push.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PushPolicy {
    /// Whoever shows the admin token.
    #[default]
    Token,
    /// Besides, anyone who connects from this machine: for laboratories.
    Anyone,
}

impl PushPolicy {
    /// Reads `token` or `anyone`.
    ///
    /// # Errors
    /// Says what is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "token" => Ok(Self::Token),
            "anyone" => Ok(Self::Anyone),
            other => Err(format!("'{other}' is not who may push; write token or anyone")),
        }
    }

    /// The word in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Anyone => "anyone",
        }
    }
}

/// What of a repository never changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Immutability {
    /// The tags that its patterns name, and what they need.
    #[default]
    OfTags,
    /// Everything that was pushed.
    Whole,
}

/// How large what is pushed may be, and how much one who pushes may have under way in a repository. What is read of a
/// manifest at all (`oci::limits`) bounds its limits from above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PushLimits {
    /// The largest manifest, in bytes.
    pub manifest_bytes: u64,
    /// Most layers of a manifest.
    pub layers: u32,
    /// Most manifests in an index.
    pub children: u32,
    /// The largest blob, in bytes.
    pub blob_bytes: u64,
    /// Bytes of unfinished uploads together.
    pub staged_bytes: u64,
    /// Unfinished uploads at a time.
    pub sessions: u32,
    /// How long an upload may rest before it is given up.
    pub session_ttl: Duration,
}

impl Default for PushLimits {
    fn default() -> Self {
        Self {
            manifest_bytes: MAX_MANIFEST_BYTES as u64,
            layers: u32::try_from(MAX_MANIFEST_LAYERS).unwrap_or(u32::MAX),
            children: u32::try_from(MAX_INDEX_CHILDREN).unwrap_or(u32::MAX),
            blob_bytes: 512 << 30,
            staged_bytes: 1 << 40,
            sessions: 1000,
            session_ttl: Duration::from_hours(24),
        }
    }
}

/// One hosted repository.
#[derive(Clone, Debug)]
pub struct HostedSpec {
    /// Its key: the first path segment that addresses it.
    pub key: RepoKey,
    /// Who may push.
    pub push: PushPolicy,
    /// Tags that never move and are never deleted once they are there.
    pub immutable_tags: Vec<TagPattern>,
    /// Whether anything that was pushed may go.
    pub immutability: Immutability,
    /// Tags that move over immutable ones.
    pub channels: Vec<Channel>,
    /// Which tags go by themselves, or by a command; none, without.
    pub retention: Option<RetentionSpec>,
    /// What is promoted to it, and by which rules.
    pub promote: Vec<Workflow>,
    /// Host names that address this repository alone.
    pub hosts: Vec<RegistryHost>,
    /// Listeners that address this repository alone.
    pub listen: Vec<SocketAddr>,
    /// How much may be under way.
    pub limits: PushLimits,
    /// What becomes of untagged manifests here; `None`: what holds everywhere.
    pub untagged: Option<Untagged>,
    /// The document as written: what is stored.
    pub document: Value,
}

impl HostedSpec {
    /// What becomes of untagged manifests here. Where nothing is deleted, nothing is collected either.
    pub(crate) fn untagged(&self, settings: &GcSettings) -> Untagged {
        match self.immutability {
            Immutability::Whole => Untagged::Keep,
            Immutability::OfTags => self.untagged.unwrap_or(settings.untagged),
        }
    }

    /// The repositories whose pushes are promoted to this one.
    pub(crate) fn takes_from(&self) -> impl Iterator<Item = &RepoKey> {
        let on_push = self.promote.iter().filter(|workflow| workflow.run == WorkflowRun::OnPush);
        on_push.map(|workflow| &workflow.from)
    }

    /// Whether `tag` never moves here.
    pub(crate) fn is_immutable(&self, tag: &Tag) -> bool {
        let named = || self.immutable_tags.iter().any(|pattern| pattern.matches(tag.as_ref()));
        // A channel moves, whatever pattern it happens to match; what it points to does not.
        self.channel(tag).is_none() && (self.immutability == Immutability::Whole || named())
    }
}
