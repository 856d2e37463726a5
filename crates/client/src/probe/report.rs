//! What a probe found, as it is printed and as JSON.
//!
//! Must not know how anything was found out. Invariants: every check stands in a report once, in the order of [`CheckId`];
//! nothing in a report is a secret: URLs come redacted, header values are cut.

use serde::{Deserialize, Serialize};

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// As it should be.
    Pass,
    /// Not asked: something it needs is missing, or it does not apply.
    Skipped,
    /// It works, but costs more or helps less than it could.
    Degraded,
    /// Wrong: answers like this one cannot be cached, or must not be trusted.
    Fail,
}

impl Outcome {
    /// One word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Skipped => "skipped",
            Self::Degraded => "degraded",
            Self::Fail => "fail",
        }
    }
}

macro_rules! check_ids {
    ($($(#[$doc:meta])* $id:ident $group:ident $title:literal,)*) => {
        /// What is checked.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum CheckId { $($(#[$doc])* $id,)* }

        impl CheckId {
            /// All of them, in the order of a report.
            pub const ALL: &[Self] = &[$(Self::$id,)*];

            /// The part of the report it stands in.
            pub fn group(self) -> Group {
                match self { $(Self::$id => Group::$group,)* }
            }

            /// Its name for people.
            pub fn title(self) -> &'static str {
                match self { $(Self::$id => $title,)* }
            }
        }
    };
}

check_ids! {
    /// The host has addresses that may be dialled.
    Dns Network "addresses",
    /// A TCP connection can be made.
    Tcp Network "TCP connection",
    /// TLS with a certificate that is trusted, and for how long.
    Tls Network "TLS and certificate",
    /// HTTP/2 is negotiated.
    Http2 Network "HTTP/2",
    /// A second request goes over the first one's connection.
    KeepAlive Network "connection reuse",
    /// `/v2/` answers as a registry.
    Base Access "/v2/",
    /// What the registry asks of who has shown nothing.
    Challenge Access "challenge",
    /// Tokens and how long they live.
    Token Access "token",
    /// What is said of rate limits.
    RateLimit Access "rate limit",
    /// How a 429 or 503 says when to come back.
    RetryAfter Access "Retry-After",
    /// HEAD of a manifest by tag.
    ManifestHead Manifests "HEAD by tag",
    /// GET of a manifest by tag.
    ManifestGet Manifests "GET by tag",
    /// HEAD and GET say the same.
    ManifestAgreement Manifests "HEAD agrees with GET",
    /// GET of a manifest by digest.
    ManifestDigest Manifests "GET by digest",
    /// A digest that nobody has is a 404.
    ManifestMissing Manifests "missing manifest",
    /// HEAD of a blob.
    BlobHead Blobs "HEAD",
    /// GET of a blob.
    BlobGet Blobs "GET and digest",
    /// Where blobs are redirected to.
    Redirect Blobs "redirect",
    /// Bytes are not encoded on the way.
    ContentEncoding Blobs "no encoding",
    /// The first bytes.
    RangeFirst Ranges "first bytes",
    /// From an offset to the end.
    RangeOpen Ranges "open end",
    /// The last bytes.
    RangeSuffix Ranges "last bytes",
    /// Two ranges in one request.
    RangeMulti Ranges "several ranges",
    /// A range beyond the end.
    RangeUnsatisfiable Ranges "beyond the end",
    /// A range bound to a validator.
    IfRange Ranges "If-Range",
    /// `ETag`: strong, stable and true.
    Etag Caching "ETag",
    /// `If-None-Match`.
    IfNoneMatch Caching "If-None-Match",
    /// How long an answer by digest may be kept.
    CacheDigest Caching "Cache-Control by digest",
    /// How long an answer by tag may be kept.
    CacheTag Caching "Cache-Control by tag",
    /// `Vary` and authorization.
    Vary Caching "Vary, Authorization",
    /// `Date` and `Age`.
    Date Caching "Date, Age",
    /// Tag lists in pages.
    TagsPaging Lists "tags in pages",
    /// The referrers API.
    Referrers Lists "referrers",
}

/// A part of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// Name, connection, TLS.
    Network,
    /// Entrance, login, limits.
    Access,
    /// Manifests.
    Manifests,
    /// Blobs.
    Blobs,
    /// Parts of blobs.
    Ranges,
    /// What shared caches are told.
    Caching,
    /// Tags and referrers.
    Lists,
}

impl Group {
    /// One word, for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Access => "access",
            Self::Manifests => "manifests",
            Self::Blobs => "blobs",
            Self::Ranges => "ranges",
            Self::Caching => "caching",
            Self::Lists => "lists",
        }
    }
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was checked.
    pub id: CheckId,
    /// How it came out.
    pub outcome: Outcome,
    /// What was seen: statuses, headers, times.
    pub seen: String,
    /// What that means for caching.
    pub meaning: String,
}

impl Check {
    /// A check with its outcome.
    pub(super) fn new(id: CheckId, outcome: Outcome, seen: impl Into<String>, meaning: impl Into<String>) -> Self {
        Self { id, outcome, seen: seen.into(), meaning: meaning.into() }
    }
}

/// One answer to one of the three questions of a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// Yes.
    Yes,
    /// With the reservations given as reasons.
    Partly,
    /// No.
    No,
    /// It was not looked at.
    Unknown,
}

impl Answer {
    /// One word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::Partly => "partly",
            Self::No => "no",
            Self::Unknown => "unknown",
        }
    }
}

/// An answer and why it is not a plain yes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// The answer.
    pub answer: Answer,
    /// Why, one sentence each; none for a yes.
    pub reasons: Vec<String>,
}

/// What all checks come to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whether a pull-through cache can work with it.
    pub caching: Judgement,
    /// Whether parts of blobs can be had (lazy pulling, resuming, parallel download).
    pub lazy: Judgement,
    /// Whether a shared HTTP cache or CDN in front of it keeps what it may, and nothing else.
    pub cdn: Judgement,
}

/// One exchange of the probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeExchange {
    /// `GET` or `HEAD`.
    pub method: String,
    /// Where it went, redacted.
    pub url: String,
    /// The status, when there was an answer.
    pub status: Option<u16>,
    /// From the start to the head of the answer, in milliseconds.
    pub first_byte_ms: u64,
    /// How long the new connection took, in milliseconds; none when a pooled one was used.
    pub connect_ms: Option<u64>,
    /// Bytes of the body that came.
    pub bytes: u64,
    /// Why it is not complete, when it is not.
    pub error: Option<String>,
}

/// A whole report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What was checked, redacted.
    pub target: String,
    /// The image the checks went by: `<name>:<tag>` or `<name>@<digest>`.
    pub image: Option<String>,
    /// When it was made, RFC 3339.
    pub at: String,
    /// The checks.
    pub checks: Vec<Check>,
    /// What they come to.
    pub verdict: Verdict,
    /// Everything that was asked, in the order of the answers.
    pub exchanges: Vec<ProbeExchange>,
}

impl Report {
    /// The worst of all outcomes, `Pass` when everything that was asked is fine.
    pub fn worst(&self) -> Outcome {
        let asked = self.checks.iter().map(|check| check.outcome).filter(|outcome| *outcome != Outcome::Skipped);
        asked.max().unwrap_or(Outcome::Pass)
    }

    /// The outcome of one check.
    pub fn outcome(&self, id: CheckId) -> Option<Outcome> {
        self.checks.iter().find(|check| check.id == id).map(|check| check.outcome)
    }

    /// How many checks came out so.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.checks.iter().filter(|check| check.outcome == outcome).count()
    }
}

/// Checks as they are made.
#[derive(Default)]
pub(super) struct Findings(pub(super) Vec<Check>);

impl Findings {
    pub(super) fn pass(&mut self, id: CheckId, seen: impl Into<String>, meaning: impl Into<String>) {
        self.0.push(Check::new(id, Outcome::Pass, seen, meaning));
    }

    pub(super) fn degraded(&mut self, id: CheckId, seen: impl Into<String>, meaning: impl Into<String>) {
        self.0.push(Check::new(id, Outcome::Degraded, seen, meaning));
    }

    pub(super) fn fail(&mut self, id: CheckId, seen: impl Into<String>, meaning: impl Into<String>) {
        self.0.push(Check::new(id, Outcome::Fail, seen, meaning));
    }

    pub(super) fn skipped(&mut self, id: CheckId, seen: impl Into<String>, meaning: impl Into<String>) {
        self.0.push(Check::new(id, Outcome::Skipped, seen, meaning));
    }

    /// Whether the check was made already.
    pub(super) fn has(&self, id: CheckId) -> bool {
        self.0.iter().any(|check| check.id == id)
    }
}
