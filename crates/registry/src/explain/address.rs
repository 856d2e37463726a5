//! An image as people write it, and the repository it belongs to.
//!
//! Must not know what is cached. Invariant: what is understood is what a pull through the same address would reach; a
//! name without a registry is Docker Hub's, as container clients read it.

use std::net::IpAddr;
use std::str::FromStr;

use oci::{Digest, Reference, RegistryHost, Tag};

use crate::error::PullError;
use crate::groups::GroupRoute;
use crate::repositories::{RepositoryMap, Route, RouteQuery};

/// Longest image taken, in bytes.
const LONGEST: usize = 1024;
/// The registry of names that name none.
const DEFAULT_REGISTRY: &str = "docker.io";

/// An image as it was written: `alpine`, `docker.io/library/alpine:3`, `ghcr.io/org/app@sha256:…`, `<key>/<name>`, or
/// any of these behind the address of this server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageAddress {
    text: String,
    name: String,
    reference: Reference,
    ns: Option<RegistryHost>,
    server: Option<String>,
}

/// Why a text is no image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{shown}' is not an image: {why}; write NAME[:TAG] or NAME@DIGEST, like alpine, ghcr.io/org/app:1.2 or dockerhub/library/alpine"
)]
pub struct InvalidImageAddress {
    shown: String,
    why: String,
}

impl FromStr for ImageAddress {
    type Err = InvalidImageAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = |why: String| {
            let clean = text.chars().take(128).map(|c| if c.is_control() { '?' } else { c });
            InvalidImageAddress { shown: clean.collect(), why }
        };
        let image = text.trim();
        let image = image.strip_prefix("docker://").unwrap_or(image).trim_start_matches('/');
        if image.is_empty() || image.len() > LONGEST {
            return Err(bad(format!("it must have 1 to {LONGEST} bytes")));
        }
        if image.contains("://") {
            return Err(bad("it is a URL".to_owned()));
        }
        let (rest, digest) = match image.split_once('@') {
            Some((rest, digest)) => {
                let digest: Digest = digest.parse().map_err(|error: oci::InvalidDigest| bad(error.to_string()))?;
                (rest, Some(digest))
            }
            None => (image, None),
        };
        // A colon before the last slash is a port's.
        let last = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match rest[last..].split_once(':') {
            Some((end, tag)) => {
                let tag: Tag = tag.parse().map_err(|error: oci::InvalidTag| bad(error.to_string()))?;
                (&rest[..last + end.len()], Some(tag))
            }
            None => (rest, None),
        };
        if name.is_empty() || name.split('/').any(str::is_empty) {
            return Err(bad("a part of its name is empty".to_owned()));
        }
        let reference = match (digest, tag) {
            // With both, the digest decides; so do container clients.
            (Some(digest), _) => Reference::Digest(digest),
            (None, Some(tag)) => Reference::Tag(tag),
            (None, None) => Reference::Tag("latest".parse().map_err(|error: oci::InvalidTag| bad(error.to_string()))?),
        };
        Ok(Self { text: text.trim().to_owned(), name: name.to_owned(), reference, ns: None, server: None })
    }
}

impl ImageAddress {
    /// The same image, pulled with `?ns=<host>`, as containerd does.
    #[must_use]
    pub fn with_namespace(mut self, ns: Option<RegistryHost>) -> Self {
        self.ns = ns;
        self
    }

    /// Tells the `host[:port]` that this server is reached at, which may stand before the name.
    #[must_use]
    pub fn at_server(mut self, host: Option<&str>) -> Self {
        self.server = host.map(str::to_ascii_lowercase);
        self
    }

    /// The image as it was written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The tag or digest.
    pub(super) fn reference(&self) -> &Reference {
        &self.reference
    }

    /// The part of the written name that is not the upstream's.
    pub(super) fn added(&self, route: &Route) -> bool {
        !self.name.ends_with(route.name.as_ref())
    }

    /// Finds the group that the image is pulled through, if it is.
    pub(super) fn group(&self, map: &RepositoryMap) -> Result<Option<(GroupRoute, String)>, PullError> {
        if map.groups().is_empty() || self.ns.is_some() {
            return Ok(None);
        }
        let (first, rest) = self.name.split_once('/').unwrap_or((&self.name, ""));
        if map.groups().get(first).is_some() {
            let found = map.locate_group(&path(&self.name, None))?;
            return Ok(found.map(|route| (route, format!("by the group key '{first}'"))));
        }
        let port = first.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        let dedicated = RouteQuery { path: rest, ns: None, host: Some(first), local_port: port };
        if is_host(first) && map.groups().dedicated(&dedicated).is_some() {
            let found = map.locate_group(&dedicated)?;
            return Ok(found.map(|route| (route, format!("by the address '{first}', which is one group's alone"))));
        }
        if !self.is_this_server(first) {
            return Ok(None);
        }
        let key = rest.split('/').next().unwrap_or_default();
        let found = map.locate_group(&path(rest, None))?;
        Ok(found.map(|route| (route, format!("at this server ({first}), by the group key '{key}'"))))
    }

    /// Finds the repository, and says how.
    pub(super) fn resolve(&self, map: &RepositoryMap) -> Result<(Route, String), PullError> {
        let (first, rest) = self.name.split_once('/').unwrap_or((&self.name, ""));
        if let Some(ns) = &self.ns {
            let route = map.route(&path(&self.name, Some(ns.as_ref())))?;
            return Ok((route, format!("by ns={ns} and the path /v2/{}/", self.name)));
        }
        if !rest.is_empty() && map.get(first).is_some() {
            return Ok((map.route(&path(&self.name, None))?, format!("by the repository key '{first}'")));
        }
        if rest.is_empty() || !is_host(first) {
            return self.of_default(map);
        }
        if map.has_upstream(first) {
            return Ok((map.route(&path(&self.name, None))?, format!("by the upstream host '{first}'")));
        }
        let port = first.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        let dedicated = RouteQuery { path: rest, ns: None, host: Some(first), local_port: port };
        if map.dedicated(&dedicated).is_some() {
            return Ok((map.route(&dedicated)?, format!("by the address '{first}', which is one repository's alone")));
        }
        if self.is_this_server(first) {
            let route = map.route(&path(rest, None))?;
            let key = rest.split('/').next().unwrap_or_default();
            return Ok((route, format!("at this server ({first}), by the repository key or upstream host '{key}'")));
        }
        map.route(&path(&self.name, None)).map(|route| (route, String::new()))
    }

    fn of_default(&self, map: &RepositoryMap) -> Result<(Route, String), PullError> {
        if !map.has_upstream(DEFAULT_REGISTRY) {
            let route = map.route(&path(&self.name, None))?;
            return Ok((route, format!("by the path /v2/{}/", self.name)));
        }
        let route = map.route(&path(&format!("{DEFAULT_REGISTRY}/{}", self.name), None))?;
        Ok((route, format!("it names no registry, which means {DEFAULT_REGISTRY}")))
    }

    fn is_this_server(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let name = host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name).trim_matches(['[', ']']);
        let is_loopback = name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        is_loopback || self.server.as_deref() == Some(host.as_str())
    }
}

fn path<'a>(path: &'a str, ns: Option<&'a str>) -> RouteQuery<'a> {
    RouteQuery { path, ns, host: None, local_port: None }
}

/// Whether container clients take the first part of a name for a registry.
fn is_host(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost"
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn parsed(text: &str) -> (String, String) {
        let image: ImageAddress = text.parse().unwrap();
        (image.name.clone(), image.reference.to_string())
    }

    #[test]
    fn images_are_read_as_people_write_them() {
        let pair = |name: &str, reference: &str| (name.to_owned(), reference.to_owned());
        assert_eq!(parsed("alpine"), pair("alpine", "latest"));
        assert_eq!(parsed(" docker://docker.io/library/alpine:3 "), pair("docker.io/library/alpine", "3"));
        assert_eq!(parsed("127.0.0.1:5000/dockerhub/a"), pair("127.0.0.1:5000/dockerhub/a", "latest"));
        assert_eq!(parsed("localhost:5000/a:1"), pair("localhost:5000/a", "1"));
        assert_eq!(parsed("[::1]:5000/a/b"), pair("[::1]:5000/a/b", "latest"));
        assert_eq!(parsed(&format!("ghcr.io/org/app@{DIGEST}")), pair("ghcr.io/org/app", DIGEST));
        assert_eq!(parsed(&format!("ghcr.io/org/app:1@{DIGEST}")), pair("ghcr.io/org/app", DIGEST));
    }

    #[test]
    fn what_is_no_image_is_refused_with_the_reason() {
        for (text, why) in [
            ("", "bytes"),
            ("https://docker.io/a", "URL"),
            ("a@sha256:1", "digest"),
            ("a:", "tag"),
            ("a:b/c:-", "tag"),
            ("a//b", "empty"),
            ("a/:1", "empty"),
            (&"a".repeat(2000), "bytes"),
        ] {
            let error = text.parse::<ImageAddress>().unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
            assert!(error.contains("NAME@DIGEST") && error.len() < 600, "{error}");
        }
        assert!(!"a\u{1b}[31m:".parse::<ImageAddress>().unwrap_err().to_string().contains('\u{1b}'));
    }

    #[test]
    fn this_server_is_known_by_its_address() {
        let image: ImageAddress = "a".parse().unwrap();
        let image = image.at_server(Some("Cache.corp.example:5000"));
        for own in ["cache.corp.example:5000", "localhost", "localhost:1", "127.0.0.1:5000", "[::1]:5000"] {
            assert!(image.is_this_server(own), "{own}");
        }
        assert!(!image.is_this_server("cache.corp.example:5001") && !image.is_this_server("10.0.0.1:5000"));
    }
}
