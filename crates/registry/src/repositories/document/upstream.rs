//! `upstream`: where a repository pulls from.
//!
//! Must not know requests. Invariant: an address that comes out has a scheme we speak and a host, and no credential.

use std::net::IpAddr;

use client::Reach;
use url::Url;

use super::reader::Reader;

impl Reader<'_> {
    pub(super) fn upstream(&mut self, reach: Reach) -> Option<Url> {
        if self.is_absent("upstream") {
            self.problem(
                "upstream",
                "required: the URL of the registry to pull from, like https://registry-1.docker.io",
            );
            return None;
        }
        let url = self.parsed("upstream", parse_upstream)?;
        if matches!(reach, Reach::PublicOnly) && is_private(&url) {
            self.problem("upstream", "is a private or loopback address; say \"internal\": true if that is meant");
        }
        Some(url)
    }
}

/// Reads an upstream's URL: http or https, a host, no credentials, query or fragment.
fn parse_upstream(text: &str) -> Result<Url, String> {
    let example = "write something like https://ghcr.io";
    let url = Url::parse(text).map_err(|e| format!("'{text}' is not a URL ({e}); {example}"))?;
    if !matches!(url.scheme(), "http" | "https") {
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
    Ok(url)
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
