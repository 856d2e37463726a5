//! Which requests a fault hits.
//!
//! Must not know: what faults do. Invariant: a rule counts only requests that passed authentication, so "the first GET"
//! is the first that gets content.

use oci::Digest;

use super::fault::Fault;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `/v2/`
    Ping,
    /// `/token`, or another registry's token server.
    Token,
    /// `/v2/<name>/manifests/<reference>`
    Manifest,
    /// `/v2/<name>/blobs/<digest>` and `/cdn/<digest>`
    Blob,
    /// `/v2/<name>/tags/list`
    Tags,
    /// Anything else.
    Other,
}

impl Kind {
    /// The kind of a decoded path.
    pub fn of_path(path: &str) -> Self {
        if path == "/v2/" || path == "/v2" {
            Self::Ping
        } else if TOKEN_PATHS.contains(&path) {
            Self::Token
        } else if path.starts_with("/cdn/") || path.starts_with(OWN_DOWNLOADS) || path.contains("/blobs/") {
            Self::Blob
        } else if path.contains("/manifests/") {
            Self::Manifest
        } else if path.ends_with("/tags/list") {
            Self::Tags
        } else {
            Self::Other
        }
    }
}

/// Where the token servers answer that are told apart from content by their path.
const TOKEN_PATHS: &[&str] = &[
    "/token",
    "/token/",
    "/auth",
    "/v2/auth",
    "/v2/token",
    "/jwt/auth",
    "/oauth/token",
    "/oauth2/token",
    "/oauth2/exchange",
    "/proxy_auth",
    "/service/token",
    "/api/registry/authorize",
    "/20180419/docker/token",
    "/artifactory/api/docker/null/v2/token",
    "/auth/realms/rhcc/protocol/redhat-docker-v2/auth",
];

/// Where a registry serves downloads that it redirects to on its own host.
pub(crate) const OWN_DOWNLOADS: &str = "/artifacts-downloads/";

#[derive(Clone, Copy, Debug)]
enum Occurrences {
    All,
    First(usize),
    Only(usize),
    From(usize),
    Every(usize),
    Flapping { well: usize, ill: usize },
    Chance(f64),
}

/// Which requests a fault hits. Conditions narrow; without any, all requests are hit.
#[derive(Clone, Debug)]
pub struct Target {
    kind: Option<Kind>,
    method: Option<&'static str>,
    path_contains: Option<String>,
    occurrences: Occurrences,
}

impl Target {
    /// All requests.
    pub fn any() -> Self {
        Self { kind: None, method: None, path_contains: None, occurrences: Occurrences::All }
    }

    /// All requests of one kind.
    pub fn kind(kind: Kind) -> Self {
        Self { kind: Some(kind), ..Self::any() }
    }

    /// All requests for one blob, at the registry or the CDN.
    pub fn blob(digest: &Digest) -> Self {
        Self::kind(Kind::Blob).path(&digest.to_string())
    }

    /// All requests for manifests under this tag or digest.
    pub fn manifest(reference: &str) -> Self {
        Self::kind(Kind::Manifest).path(&format!("/manifests/{reference}"))
    }

    /// Only paths that contain this text.
    #[must_use]
    pub fn path(mut self, contains: &str) -> Self {
        self.path_contains = Some(contains.to_owned());
        self
    }

    /// Only GET.
    #[must_use]
    pub fn get(mut self) -> Self {
        self.method = Some("GET");
        self
    }

    /// Only HEAD.
    #[must_use]
    pub fn head(mut self) -> Self {
        self.method = Some("HEAD");
        self
    }

    /// Only the first `count` matching requests.
    #[must_use]
    pub fn first(mut self, count: usize) -> Self {
        self.occurrences = Occurrences::First(count);
        self
    }

    /// Only the `number`-th matching request, counted from 1.
    #[must_use]
    pub fn nth(mut self, number: usize) -> Self {
        self.occurrences = Occurrences::Only(number);
        self
    }

    /// The `number`-th matching request and all later ones, counted from 1.
    #[must_use]
    pub fn from_nth(mut self, number: usize) -> Self {
        self.occurrences = Occurrences::From(number);
        self
    }

    /// Every `step`-th matching request.
    #[must_use]
    pub fn every(mut self, step: usize) -> Self {
        self.occurrences = Occurrences::Every(step);
        self
    }

    /// Of the matching requests, `well` pass and then `ill` are hit, over and over.
    #[must_use]
    pub fn flapping(mut self, well: usize, ill: usize) -> Self {
        self.occurrences = Occurrences::Flapping { well, ill };
        self
    }

    /// This part (0 to 1) of the matching requests, spread evenly but without a pattern; the same ones in each run.
    #[must_use]
    pub fn chance(mut self, part: f64) -> Self {
        self.occurrences = Occurrences::Chance(part);
        self
    }

    fn matches(&self, method: &str, path: &str) -> bool {
        self.kind.is_none_or(|kind| kind == Kind::of_path(path))
            && self.method.is_none_or(|wanted| wanted == method)
            && self.path_contains.as_deref().is_none_or(|part| path.contains(part))
    }

    fn hits(&self, number: usize) -> bool {
        match self.occurrences {
            Occurrences::All => true,
            Occurrences::First(count) => number <= count,
            Occurrences::Only(wanted) => number == wanted,
            Occurrences::From(first) => number >= first,
            Occurrences::Every(step) => number.is_multiple_of(step),
            Occurrences::Flapping { well, ill } => (number - 1) % (well + ill).max(1) >= well,
            // The golden ratio's multiples fill the unit interval evenly.
            Occurrences::Chance(part) => {
                (u32::try_from(number).map_or(0.0, f64::from) * 0.618_033_988_749_895).fract() < part
            }
        }
    }
}

/// A target, its fault, and how many requests matched so far.
#[derive(Debug)]
pub(crate) struct Rule {
    target: Target,
    fault: Fault,
    matched: usize,
}

impl Rule {
    pub(crate) fn new(target: Target, fault: Fault) -> Self {
        Self { target, fault, matched: 0 }
    }

    /// Counts the request and says whether the fault hits it.
    pub(crate) fn strike(&mut self, method: &str, path: &str) -> Option<Fault> {
        if !self.target.matches(method, path) {
            return None;
        }
        self.matched += 1;
        self.target.hits(self.matched).then(|| self.fault.clone())
    }
}
