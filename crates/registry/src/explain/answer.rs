//! What an explanation says: for programs as JSON, for people as a table made from it.
//!
//! Must not know how anything was found out. Invariant: no field can hold a credential; those are named only.

use serde::{Deserialize, Serialize};

/// What a pull of an image would do now, and why.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Explanation {
    /// The image as it was given.
    pub image: String,
    /// How its address was understood.
    pub route: ExplainedRoute,
    /// Whose rights a pull uses.
    pub rights: String,
    /// Who may be asked, the named upstream first.
    pub upstreams: Vec<ExplainedUpstream>,
    /// What is known of the tag; none for an image given by digest.
    pub tag: Option<ExplainedTag>,
    /// The index, manifests, configurations and layers, as far as they are known.
    pub parts: Vec<CachedPart>,
    /// Parts that were left out to keep the answer short.
    pub parts_left_out: usize,
    /// What a pull would ask, in order. Empty: it would ask nobody anything.
    pub pull_now: Vec<ExplainedStep>,
    /// What would happen without any upstream.
    pub offline: OfflineAnswer,
    /// Of an image that is pulled through a group: which member answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<ExplainedGroup>,
}

/// How a group finds the member that answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExplainedGroup {
    /// Its key.
    pub key: String,
    /// What happens to names: `kept` or `merged`.
    pub names: String,
    /// The member that takes pushes.
    pub push_to: Option<String>,
    /// The member that keeps the name, if one does.
    pub keeper: Option<String>,
    /// The member that answers, if that is known without asking.
    pub answered_by: Option<String>,
    /// All members in their order.
    pub members: Vec<ExplainedMember>,
}

/// A member of a group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExplainedMember {
    /// Its key.
    pub key: String,
    /// `proxy`, `hosted` or `unusable`.
    pub kind: String,
    /// Whether it is asked for this image, and why.
    pub asked: String,
}

/// Where a request for the image goes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExplainedRoute {
    /// The key of the repository that answers.
    pub repo_key: String,
    /// Where its configuration stands: `builtin`, `file` or `api`.
    pub configured_by: String,
    /// The name at its upstream.
    pub name: String,
    /// The tag or digest.
    pub reference: String,
    /// How the repository was found.
    pub how: String,
    /// Whether Docker Hub's `library/` was put before the name.
    pub library_added: bool,
}

/// A credential, by name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExplainedCredential {
    /// What it is called in the configuration.
    pub name: String,
    /// `password`, `docker_config`, `ecr`, ….
    pub kind: String,
}

/// One upstream and its weather.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExplainedUpstream {
    /// Its address.
    pub address: String,
    /// `named` or `mirror`.
    pub role: String,
    /// The credential that would be used for this name; none: anonymously.
    pub credential: Option<ExplainedCredential>,
    /// `closed` (it is asked), `open` (it is not, for a while) or `half-open` (one request probes it).
    pub breaker: String,
    /// Seconds until it is asked again, when the breaker is open.
    pub open_for_s: Option<u64>,
    /// Seconds for which it asked us to stay away.
    pub blocked_for_s: Option<u64>,
    /// Average milliseconds to an answer.
    pub latency_ms: Option<u64>,
    /// Average share of failures, 0 to 1.
    pub error_rate: f64,
    /// Why the last health check failed, when it did.
    pub problem: Option<String>,
    /// What it said of our rate limit.
    pub rate_limit: Option<ExplainedRateLimit>,
    /// Seconds for which the token for this name is still good, when one is at hand.
    pub token_for_s: Option<u64>,
}

/// A rate limit as an upstream last stated it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExplainedRateLimit {
    /// The account's name in the configuration.
    pub account: String,
    /// Requests allowed in a window.
    pub limit: u64,
    /// Requests left.
    pub remaining: u64,
    /// Length of the window in seconds, when it is known.
    pub window_s: Option<u64>,
    /// Seconds since it was stated.
    pub seen_s_ago: u64,
}

/// What is known of a tag.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExplainedTag {
    /// The tag.
    pub tag: String,
    /// What it points to, when it is known.
    pub digest: Option<String>,
    /// When upstream last confirmed it, RFC 3339.
    pub confirmed_at: Option<String>,
    /// Seconds since.
    pub age_s: Option<u64>,
    /// Seconds for which a confirmation is trusted (`tag_ttl`).
    pub ttl_s: u64,
    /// Seconds for which this one still is.
    pub left_s: Option<u64>,
    /// Whether it never moves (`immutable_tags`).
    pub immutable: bool,
    /// How many changes are on record, at most 1000.
    pub changes: usize,
    /// Why a pull does not ask although the time is up, or gets a 404 without asking.
    pub resting: Option<String>,
    /// Why a pull is answered at once with what is known, marked stale, while the tag is confirmed behind the answer.
    pub served_meanwhile: Option<String>,
    /// `fresh`, `stale` (must be confirmed), `unknown` or `absent` (a 404 is remembered).
    pub state: String,
}

/// What a part of an image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartKind {
    /// A list of manifests.
    Index,
    /// A manifest.
    Manifest,
    /// An image's configuration.
    Config,
    /// A layer, or any other blob of a manifest.
    Layer,
}

impl PartKind {
    /// The word in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Manifest => "manifest",
            Self::Config => "config",
            Self::Layer => "layer",
        }
    }

    /// The part of a registry's API it is asked at.
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Index | Self::Manifest => "manifests",
            Self::Config | Self::Layer => "blobs",
        }
    }
}

/// Whether a part's bytes are here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// All of them.
    Yes,
    /// Some: it is being fetched, or a fetch was cut short.
    Partly,
    /// None.
    No,
}

impl Presence {
    /// The word in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::Partly => "partly",
            Self::No => "no",
        }
    }
}

/// One part of an image.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CachedPart {
    /// What it is.
    pub kind: PartKind,
    /// Its digest.
    pub digest: String,
    /// Its media type, when it is known.
    pub media_type: Option<String>,
    /// Its size in bytes, when it is known.
    pub size: Option<u64>,
    /// `os/architecture[/variant]` of a manifest in an index, and of its parts.
    pub platform: Option<String>,
    /// Whether its bytes are here.
    pub cached: Presence,
    /// Bytes that are here.
    pub present_bytes: u64,
    /// Whether this repository's upstream has confirmed that it has it under this name.
    pub confirmed: bool,
}

impl CachedPart {
    /// Whether it is served without asking anybody.
    pub(super) fn is_served(&self) -> bool {
        self.cached == Presence::Yes && self.confirmed
    }
}

/// One request that a pull would make upstream.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExplainedStep {
    /// The request: `HEAD manifests/1.0`.
    pub request: String,
    /// Who is asked, best first: the next is asked only when the one before fails. Nobody, when all are left alone.
    pub at: Vec<String>,
    /// Why.
    pub why: String,
    /// Who is not asked for now, and why: an open breaker, a wait, a used-up limit.
    pub not_asked: Vec<String>,
    /// Whether the client has its answer before this is asked.
    pub in_background: bool,
    /// What happens when nobody can be asked.
    pub instead: Option<String>,
}

impl ExplainedStep {
    /// A request of which nothing else is said yet.
    pub(super) fn new(request: String) -> Self {
        let (at, not_asked) = (Vec::new(), Vec::new());
        Self { request, at, why: String::new(), not_asked, in_background: false, instead: None }
    }
}

/// What would happen without any upstream.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OfflineAnswer {
    /// Whether everything known of the image is served.
    pub complete: bool,
    /// Of an index: the platforms that are served whole.
    pub complete_platforms: Vec<String>,
    /// What is missing.
    pub missing: Vec<String>,
}
