//! `upstream` and `upstreams`: where a repository pulls from.
//!
//! Must not know what is asked of whom. Invariants: there is exactly one named upstream, the first; a credential, its
//! token hosts and its way there belong to one upstream and are never taken over by another.

use std::net::IpAddr;

use client::profiles::{self, Profile};
use client::{CredentialStore, Reach};
use oci::RegistryHost;
use serde_json::Value;
use url::Url;

use super::reader::Reader;
use crate::repositories::network::NetworkSpec;
use crate::repositories::spec::UpstreamSpec;

/// Most upstreams of one repository: a client waits 20 s for an answer, and each needs its share of that.
const MOST_UPSTREAMS: usize = 8;
/// What an entry of `upstreams` may say for itself. Beside `upstreams`, the same fields are the named one's.
const OWN_FIELDS: [&str; 7] = ["url", "auth", "token_hosts", "internal", "profile", "library_prefix", "network"];

/// What stands beside the URL of an upstream: in the document for the named one, in its own object for each other.
struct Beside {
    credentials: CredentialStore,
    token_hosts: Vec<RegistryHost>,
    profile: Option<&'static Profile>,
    library_prefix: Option<bool>,
    reach: Reach,
    network: NetworkSpec,
}

impl Beside {
    fn nothing(reach: Reach) -> Self {
        Self {
            credentials: CredentialStore::anonymous(),
            token_hosts: Vec::new(),
            profile: None,
            library_prefix: None,
            reach,
            network: NetworkSpec::default(),
        }
    }

    /// What is not said here is as in `other`.
    fn or(self, other: Self) -> Self {
        Self {
            credentials: if self.credentials.is_anonymous() { other.credentials } else { self.credentials },
            token_hosts: if self.token_hosts.is_empty() { other.token_hosts } else { self.token_hosts },
            profile: self.profile.or(other.profile),
            library_prefix: self.library_prefix.or(other.library_prefix),
            reach: self.reach,
            network: if self.network == NetworkSpec::default() { other.network } else { self.network },
        }
    }

    fn at(self, url: Url) -> UpstreamSpec {
        let profile = self.profile.unwrap_or_else(|| profiles::of_url(&url));
        UpstreamSpec {
            profile,
            library_prefix: self.library_prefix.unwrap_or(profile.names.library_prefix),
            url,
            credentials: self.credentials,
            token_hosts: self.token_hosts,
            reach: self.reach,
            network: self.network,
        }
    }
}

impl<'a> Reader<'a> {
    /// The named upstream and its mirrors; empty when there is a problem.
    pub(super) fn upstreams(&mut self) -> Vec<UpstreamSpec> {
        // Read before anything is decided, so that a bad upstream does not hide what else is wrong.
        let beside = self.beside(Reach::PublicOnly);
        match (self.is_absent("upstream"), self.value("upstreams")) {
            (false, Value::Null) => {
                self.upstream_url("upstream", beside.reach).map(|url| beside.at(url)).into_iter().collect()
            }
            (false, _) => {
                self.problem(
                    "upstreams",
                    "give upstream or upstreams, not both; the first of upstreams is the named one",
                );
                Vec::new()
            }
            (true, Value::Array(items)) => self.several(items, beside),
            (true, single @ (Value::String(_) | Value::Object(_))) => {
                self.several(std::slice::from_ref(single), beside)
            }
            (true, Value::Null) => {
                let message = "required: the URL of the registry to pull from, like https://registry-1.docker.io";
                self.problem("upstream", message);
                Vec::new()
            }
            (true, Value::Bool(_) | Value::Number(_)) => {
                self.problem("upstreams", "must be a list of URLs, or of objects with url");
                Vec::new()
            }
        }
    }

    fn beside(&mut self, outer: Reach) -> Beside {
        let reach = match self.flag("internal") {
            Some(true) => Reach::Internal,
            Some(false) => Reach::PublicOnly,
            None => outer,
        };
        Beside {
            credentials: self.auth(),
            token_hosts: self.list("token_hosts", |t| t.parse::<RegistryHost>().map_err(|e| e.to_string())),
            profile: self.parsed("profile", parse_profile),
            library_prefix: self.flag("library_prefix"),
            network: self.network(),
            reach,
        }
    }

    fn several(&mut self, items: &'a [Value], beside: Beside) -> Vec<UpstreamSpec> {
        if items.is_empty() || items.len() > MOST_UPSTREAMS {
            let message = format!("has {} entries; 1 to {MOST_UPSTREAMS} can be asked in time", items.len());
            self.problem("upstreams", message);
        }
        let reach = beside.reach;
        let mut beside = Some(beside);
        let mut found: Vec<UpstreamSpec> = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let path = format!("upstreams[{index}]");
            let upstream = match beside.take() {
                Some(beside) => self.first(&path, item, beside),
                None => self.entry(&path, item, Beside::nothing(reach)),
            };
            let Some(upstream) = upstream else { continue };
            if found.iter().any(|other| other.url == upstream.url) {
                self.problem(&path, format!("{} stands twice", upstream.url));
            }
            found.push(upstream);
        }
        found
    }

    /// The named upstream: what stands beside `upstreams` is its own too, but a thing is said in one place.
    fn first(&mut self, path: &str, item: &'a Value, beside: Beside) -> Option<UpstreamSpec> {
        for name in ["auth", "token_hosts", "profile", "library_prefix", "network"] {
            if !self.is_absent(name) && item.get(name).is_some_and(|value| !value.is_null()) {
                let message = format!("given twice: `{name}` beside `upstreams` is the first upstream's too");
                self.problem(&format!("{path}.{name}"), message);
            }
        }
        self.entry(path, item, beside)
    }

    /// One entry of `upstreams`; what it does not say itself is as in `beside`.
    fn entry(&mut self, path: &str, item: &'a Value, beside: Beside) -> Option<UpstreamSpec> {
        match item {
            Value::String(text) => {
                let url = parse_upstream(text).map_err(|message| self.problem(path, message)).ok()?;
                self.admitted(path, url, beside.reach).map(|url| beside.at(url))
            }
            Value::Object(object) => self.item(path, object, &OWN_FIELDS, |inner| {
                let own = inner.beside(beside.reach).or(beside);
                if inner.is_passthrough() {
                    inner.problem("auth", "passthrough stands beside the upstream, not in it");
                }
                if inner.is_absent("url") {
                    inner.problem("url", "required: the URL of the registry to pull from, like https://mirror.gcr.io");
                }
                inner.upstream_url("url", own.reach).map(|url| own.at(url))
            }),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
                self.problem(path, "must be a URL, or an object with url");
                None
            }
        }
    }

    fn upstream_url(&mut self, path: &'static str, reach: Reach) -> Option<Url> {
        let url = self.parsed(path, parse_upstream)?;
        self.admitted(path, url, reach)
    }

    /// Refuses an upstream at a private address that nobody allowed.
    fn admitted(&mut self, path: &str, url: Url, reach: Reach) -> Option<Url> {
        if matches!(reach, Reach::PublicOnly) && is_private(&url) {
            self.problem(path, "is a private or loopback address; say \"internal\": true if that is meant");
            return None;
        }
        Some(url)
    }
}

/// Reads an upstream's URL: http or https, by itself or as a DNS service, a host, no credentials, query or fragment.
fn parse_upstream(text: &str) -> Result<Url, String> {
    let example = "write something like https://ghcr.io";
    let url = Url::parse(text).map_err(|e| format!("'{text}' is not a URL ({e}); {example}"))?;
    if !matches!(url.scheme(), "http" | "https" | "srv+http" | "srv+https") {
        return Err(format!("scheme '{}' is not supported; {example}", url.scheme()));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(format!("has no host; {example}"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold credentials; put them into auth.username and auth.password".into());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("must not have a query or fragment; {example}"));
    }
    client::plain_url(&url)?;
    Ok(url)
}

fn parse_profile(text: &str) -> Result<&'static Profile, String> {
    profiles::by_key(text).ok_or_else(|| {
        let known = profiles::ALL.iter().map(|profile| profile.key).collect::<Vec<_>>().join(", ");
        format!("'{text}' is not a profile; known are {known}")
    })
}

/// Whether the URL names a private address outright. Names are checked again when they resolve.
fn is_private(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(ip)) => client::is_private_address(IpAddr::V4(ip)),
        Some(url::Host::Ipv6(ip)) => client::is_private_address(IpAddr::V6(ip)),
        None => false,
    }
}
