//! A repository as resolved and checked: every field has its type and its default.
//!
//! Must not know JSON (that is `document`). Invariant: a `RepositorySpec` can always be served.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use client::profiles::Profile;
use client::{CredentialStore, ForeignHosts, OwnLimits, Reach};
use oci::{RegistryHost, RepoKey};
use serde_json::Value;
use url::Url;

use super::network::NetworkSpec;
use super::pattern::TagPattern;
use crate::access::PassthroughRules;

/// Reads a duration as people write it: `5m`, `0s`, `30d`, `1h 30m`.
///
/// # Errors
/// Says what is wrong, with examples.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    if text.trim() == "0" {
        return Ok(Duration::ZERO);
    }
    humantime::parse_duration(text.trim())
        .map_err(|e| format!("'{text}' is not a duration ({e}); write 30s, 5m, 12h or 30d"))
}

/// When a ranged request on a cold blob starts filling the whole of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FillOnRange {
    /// Never: only the blocks asked for are fetched.
    Never,
    /// At once, behind the blocks asked for.
    Background,
    /// Once this fraction (0..=1) of the blob is wanted or present.
    After(f64),
}

impl FillOnRange {
    /// Reads `none`, `background` or `after:0.5`.
    ///
    /// # Errors
    /// Says what is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::Never),
            "background" => Ok(Self::Background),
            other => other
                .strip_prefix("after:")
                .and_then(|f| f.parse::<f64>().ok())
                .filter(|f| (0.0..=1.0).contains(f))
                .map(Self::After)
                .ok_or_else(|| format!("'{other}' is not a fill policy; write none, background or after:0.5")),
        }
    }
}

impl Default for FillOnRange {
    fn default() -> Self {
        Self::After(0.5)
    }
}

impl fmt::Display for FillOnRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("none"),
            Self::Background => f.write_str("background"),
            Self::After(fraction) => write!(f, "after:{fraction}"),
        }
    }
}

/// Which of several upstreams is asked for content with a known digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// In the order they are written.
    #[default]
    Ordered,
    /// By measured latency and errors.
    Fastest,
}

impl Strategy {
    /// Reads `ordered` or `fastest`.
    ///
    /// # Errors
    /// Says what is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "ordered" => Ok(Self::Ordered),
            "fastest" => Ok(Self::Fastest),
            other => Err(format!("'{other}' is not a strategy; write ordered or fastest")),
        }
    }

    /// The word in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ordered => "ordered",
            Self::Fastest => "fastest",
        }
    }
}

/// Where it is found out who refers to a manifest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReferrersSource {
    /// By the API; where the registry has none, or asking does harm, by the referrers tag and cosign's tags.
    #[default]
    Auto,
    /// By the API alone.
    Api,
    /// By tags alone.
    Tag,
    /// Nowhere: nobody is asked, and every list is empty.
    None,
}

impl ReferrersSource {
    /// Reads `auto`, `api`, `tag` or `none`.
    ///
    /// # Errors
    /// Says what is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "api" => Ok(Self::Api),
            "tag" => Ok(Self::Tag),
            "none" => Ok(Self::None),
            other => Err(format!("'{other}' is no place to look for referrers; write auto, api, tag or none")),
        }
    }

    /// The word in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Api => "api",
            Self::Tag => "tag",
            Self::None => "none",
        }
    }
}

/// How often the upstreams of a repository in use are asked whether they are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthCheck {
    /// Never.
    Off,
    /// With this pause between two.
    Every(Duration),
}

impl HealthCheck {
    const SHORTEST: Duration = Duration::from_secs(1);

    /// Reads `off` or a duration.
    ///
    /// # Errors
    /// Says what is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.trim() == "off" {
            return Ok(Self::Off);
        }
        match parse_duration(text).map_err(|message| format!("{message}, or off"))? {
            every if every < Self::SHORTEST => Err(format!("'{text}' is too often; write 1s or more, or off")),
            every => Ok(Self::Every(every)),
        }
    }

    /// The default: with nothing to choose from there is nothing to check.
    pub(crate) const fn for_mirrors(mirrors: usize) -> Self {
        if mirrors == 0 { Self::Off } else { Self::Every(Duration::from_secs(30)) }
    }
}

impl fmt::Display for HealthCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Every(every) => humantime::format_duration(*every).fmt(f),
        }
    }
}

/// One upstream of a repository: the named one or a mirror.
#[derive(Clone, Debug)]
pub struct UpstreamSpec {
    /// Scheme, host, port and optional path prefix.
    pub url: Url,
    /// What we authenticate with there; none means anonymous.
    pub credentials: CredentialStore,
    /// Further hosts that may mint tokens for this upstream.
    pub token_hosts: Vec<RegistryHost>,
    /// Whether private and loopback addresses may be reached.
    pub reach: Reach,
    /// What is known of the registry: what the document says, or what its host tells.
    pub profile: &'static Profile,
    /// Proxy, certificates, local address, patience.
    pub network: NetworkSpec,
    /// Whether one-segment names get Docker Hub's `library/` in front.
    pub library_prefix: bool,
}

/// One proxy repository, resolved and checked.
#[derive(Clone)]
pub struct RepositorySpec {
    /// Its key: the first path segment that addresses it.
    pub key: RepoKey,
    /// The named upstream: tags, access and "not found" are its own.
    pub upstream: UpstreamSpec,
    /// Further upstreams that hold the same content, in the order they are written.
    pub mirrors: Vec<UpstreamSpec>,
    /// Which of the upstreams is asked for content with a known digest.
    pub strategy: Strategy,
    /// How often they are asked whether they are there.
    pub health_check: HealthCheck,
    /// With `auth: passthrough`: callers pull with their own accounts at the upstream, and this is how long decisions
    /// about them last.
    pub passthrough: Option<PassthroughRules>,
    /// How long a tag is trusted without asking.
    pub tag_ttl: Duration,
    /// How long past its time to live a tag is served at once, while it is checked in the background.
    pub stale_while_revalidate: Duration,
    /// How long past its confirmation a tag is served while upstream fails.
    pub stale_if_error: Duration,
    /// The same while upstream refuses us (401, 403) on the content itself.
    pub stale_if_denied: Duration,
    /// Host names that address this repository alone.
    pub hosts: Vec<RegistryHost>,
    /// Listeners that address this repository alone.
    pub listen: Vec<SocketAddr>,
    /// Tags that are never revalidated.
    pub immutable_tags: Vec<TagPattern>,
    /// What a ranged request on a cold blob starts.
    pub fill_on_range: FillOnRange,
    /// What it allows itself at its upstreams, all together.
    pub limits: OwnLimits,
    /// Where it is found out who refers to a manifest.
    pub referrers: ReferrersSource,
    /// Where layers with addresses of their own may be fetched from.
    pub foreign_layers: ForeignHosts,
    /// The document as written, credentials included: what is stored.
    pub document: Value,
}

impl fmt::Debug for RepositorySpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the document: it holds the password as written.
        f.debug_struct("RepositorySpec")
            .field("key", &self.key)
            .field("upstream", &self.upstream)
            .field("mirrors", &self.mirrors)
            .finish_non_exhaustive()
    }
}
