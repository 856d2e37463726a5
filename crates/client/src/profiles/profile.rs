//! The words of a profile: what can be said of a registry.
//!
//! Must not know any registry by name (those are in `hubs`, `clouds`, `vendors`, `self_hosted`). Invariant: plain data,
//! without a default that claims more than the distribution spec does.

use super::pattern::HostPattern;

/// What is known of one registry, or of one kind of registry.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    /// What a repository document's `profile` says; also the key of the built-in repository.
    pub key: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// Its API address, when it has one for all: scheme and host.
    pub url: Option<&'static str>,
    /// All names of the registry at `url`, the one in `url` included. Asked under any of them, it is one registry.
    pub aliases: &'static [&'static str],
    /// Where further registries of this kind stand, each with content of its own.
    pub hosts: &'static [HostPattern],
    /// Whether it is there without configuration.
    pub standing: Standing,
    /// How one logs in.
    pub token: TokenServer,
    /// What its repository names look like.
    pub names: Names,
    /// How it delivers blobs.
    pub blobs: Blobs,
    /// Who speaks for it after a redirect.
    pub redirects: Redirects,
    /// How it lists tags.
    pub tags: Tags,
    /// What it knows of referrers.
    pub referrers: Referrers,
    /// How it limits pulls.
    pub limits: Limits,
    /// What it answers for content that is not there.
    pub missing: Missing,
    /// What else one has to know.
    pub notes: &'static [&'static str],
    /// How sure this is.
    pub verified: Verified,
    /// Where it is from.
    pub source: &'static [&'static str],
    /// The fields of a repository document that set it up, YAML.
    pub example: &'static str,
}

/// Whether the registry is a repository of every Transship.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is: `<key>/<name>` pulls from it.
    BuiltIn,
    /// It has to be configured.
    Configured,
}

/// How one logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthFlow {
    /// There is nothing to log in to.
    Open,
    /// The challenge is `Basic`.
    Basic,
    /// The challenge is `Bearer`: a token from the realm, with Basic as the login.
    Bearer,
    /// Either, as its administrator chose.
    BasicOrBearer,
}

/// The token server of a registry.
#[derive(Clone, Copy, Debug)]
pub struct TokenServer {
    /// Which challenge is sent.
    pub flow: AuthFlow,
    /// Hosts besides the registry's own that mint its tokens and may be given its credentials (https only).
    pub hosts: &'static [&'static str],
    /// The realm, for people: a URL or a path.
    pub realm: &'static str,
    /// How long a token lasts, for people.
    pub lifetime: &'static str,
    /// What user name and password are, for people.
    pub login: &'static str,
}

/// What repository names look like.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    /// Whether names of one segment mean `library/<name>`.
    pub library_prefix: bool,
    /// The shape of a name, for people.
    pub form: &'static str,
}

/// What several ranges in one request get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MultiRange {
    /// 400.
    BadRequest,
    /// 200 with the whole blob.
    Whole,
    /// Not known; Transship never asks for several ranges.
    Unknown,
}

/// What HEAD gets at the place a blob's redirect leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadOnRedirect {
    /// 403: the URL is signed for GET alone, so the size is asked for with a GET of one byte.
    Forbidden,
    /// The same headers as GET, as far as we know.
    Answered,
}

/// How blobs are delivered.
#[derive(Clone, Copy, Debug)]
pub struct Blobs {
    /// The status of the redirect; none when they come from the registry itself, or it is not known.
    pub redirect: Option<u16>,
    /// Hosts the redirect leads to, for firewalls and people; redirects are not limited to them.
    pub hosts: &'static [&'static str],
    /// How long a redirect's URL can be used, for people; empty when it is not known.
    pub signed_for: &'static str,
    /// What several ranges get.
    pub multi_range: MultiRange,
    /// What HEAD gets after the redirect.
    pub head: HeadOnRedirect,
}

/// Who speaks for the registry after a redirect to another host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redirects {
    /// A store of bytes: it cannot say what the registry has, nor whom it lets in.
    ToStores,
    /// Another registry that is part of this one: its 404 is the registry's, and its challenge is answered, always
    /// without a credential.
    ToRegistries,
}

/// How tags are listed.
#[derive(Clone, Copy, Debug)]
pub struct Tags {
    /// The action a token needs for `tags/list`.
    pub action: &'static str,
    /// The largest `n` that is taken.
    pub max_page: Option<u32>,
}

/// Support of the referrers API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Referrers {
    /// The endpoint works.
    Native,
    /// The endpoint works for some content.
    Partial,
    /// There is no endpoint: only the fallback tag.
    Absent,
    /// The endpoint leads astray and must not be asked: only the fallback tag.
    Harmful,
    /// To be found out.
    Unknown,
}

/// The dialect of a registry's rate-limit headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateLimitHeaders {
    /// None are sent, as far as we know.
    None,
    /// `ratelimit-limit: 100;w=21600`, `ratelimit-remaining`, `docker-ratelimit-source`.
    DockerHub,
}

/// How pulls are limited.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The headers that tell.
    pub headers: RateLimitHeaders,
    /// The limits, for people; empty when there are none published.
    pub text: &'static str,
}

/// What is answered for content that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The statuses besides 404 that also mean "not there, or not for you".
    pub statuses: &'static [u16],
    /// Whether 403 for a tag means that there is no such tag, as long as the login itself is good.
    pub denied_tag: DeniedTag,
}

/// What 403 for a tag means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeniedTag {
    /// That we are not let in.
    Denied,
    /// That there is no such tag, when the login is good otherwise.
    Missing,
}

/// How sure a profile is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verified {
    /// Our tests pull through the real software.
    Verified,
    /// The vendor documents it, or somebody published what it answers.
    Documented,
    /// By memory or likeness; the generic rules apply where it is wrong.
    Unverified,
}

impl Profile {
    /// A profile that claims nothing beyond the distribution spec.
    pub(super) const fn base(key: &'static str, title: &'static str, example: &'static str) -> Self {
        Self {
            key,
            title,
            url: None,
            aliases: &[],
            hosts: &[],
            standing: Standing::Configured,
            token: TokenServer {
                flow: AuthFlow::BasicOrBearer,
                hosts: &[],
                realm: "as its challenge says",
                lifetime: "as the token server says, 60 s when it says nothing",
                login: "as for `docker login`",
            },
            names: Names { library_prefix: false, form: "any" },
            blobs: Blobs {
                redirect: None,
                hosts: &[],
                signed_for: "",
                multi_range: MultiRange::Unknown,
                head: HeadOnRedirect::Answered,
            },
            redirects: Redirects::ToStores,
            tags: Tags { action: "pull", max_page: None },
            referrers: Referrers::Unknown,
            limits: Limits { headers: RateLimitHeaders::None, text: "" },
            missing: Missing { statuses: &[], denied_tag: DeniedTag::Denied },
            notes: &[],
            verified: Verified::Unverified,
            source: &[],
            example,
        }
    }

    /// Whether `host` (without a port) is one of its hosts.
    pub fn knows_host(&self, host: &str) -> bool {
        self.aliases.contains(&host) || self.hosts.iter().any(|pattern| pattern.matches(host))
    }
}
