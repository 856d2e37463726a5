//! An image of a registry as people write it for a transfer.
//!
//! Must not know connections. Invariant: a first part with a dot or a port, or `localhost`, is a registry; everything else
//! is a repository of the own server, never Docker Hub's: a push must not go elsewhere by a guess.

use std::fmt;

use oci::{Digest, Reference, RegistryHost, RepositoryName, Tag};

use super::error::TransferError;

/// Where images are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The own server (`--server`).
    Server,
    /// This registry.
    Registry(RegistryHost),
}

/// A name in a place, and which of its images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) place: Place,
    pub(crate) name: RepositoryName,
    /// None when neither tag nor digest was written.
    pub(crate) reference: Option<Reference>,
}

impl Address {
    /// Reads `releases/team/app:v1` or `host/name@digest`.
    pub(crate) fn read(text: &str) -> Result<Self, TransferError> {
        parse(text).map_err(|why| {
            let shown: String = text.chars().take(128).map(|c| if c.is_control() { '?' } else { c }).collect();
            TransferError::usage(format!(
                "'{shown}' is not an image: {why}; write KEY/NAME:TAG for this server, or HOST/NAME:TAG"
            ))
        })
    }

    /// The tag or digest; `latest` when none was written.
    pub(crate) fn reference_or_latest(&self) -> Result<Reference, TransferError> {
        if let Some(reference) = &self.reference {
            return Ok(reference.clone());
        }
        let latest = "latest".parse::<Tag>();
        latest.map(Reference::from).map_err(|error| TransferError::usage(error.to_string()))
    }

    /// The same name with this tag or digest.
    pub(crate) fn with(&self, reference: Reference) -> Self {
        Self { reference: Some(reference), ..self.clone() }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Place::Registry(host) = &self.place {
            write!(formatter, "{host}/")?;
        }
        write!(formatter, "{}", self.name)?;
        match &self.reference {
            Some(Reference::Tag(tag)) => write!(formatter, ":{tag}"),
            Some(Reference::Digest(digest)) => write!(formatter, "@{digest}"),
            None => Ok(()),
        }
    }
}

fn parse(text: &str) -> Result<Address, String> {
    let image = text.strip_prefix("docker://").unwrap_or(text);
    if image.contains("://") {
        return Err("it is a URL".to_owned());
    }
    let (rest, digest) = match image.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest.parse::<Digest>().map_err(|error| error.to_string())?)),
        None => (image, None),
    };
    // A colon before the last slash is a port's.
    let last = rest.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match rest[last..].split_once(':') {
        Some((end, tag)) => (&rest[..last + end.len()], Some(tag.parse::<Tag>().map_err(|error| error.to_string())?)),
        None => (rest, None),
    };
    let (place, name) = match name.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => {
            let host: RegistryHost = first.parse().map_err(|error: oci::InvalidRegistryHost| error.to_string())?;
            let is_official = matches!(host.as_ref(), "docker.io" | "index.docker.io") && !rest.contains('/');
            let name = if is_official { format!("library/{rest}") } else { rest.to_owned() };
            (Place::Registry(host), name)
        }
        Some(_) => (Place::Server, name.to_owned()),
        None => return Err("it names no repository".to_owned()),
    };
    let name = name.parse().map_err(|error: oci::InvalidRepositoryName| error.to_string())?;
    let reference = digest.map(Reference::Digest).or_else(|| tag.map(Reference::Tag));
    Ok(Address { place, name, reference })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_named_and_everything_else_is_this_server() {
        let digest = Digest::sha256_of(b"");
        for (text, host, name, reference) in [
            ("releases/team/app:v1", None, "releases/team/app", Some("v1")),
            ("releases/app", None, "releases/app", None),
            ("127.0.0.1:5000/rel/app:v1", Some("127.0.0.1:5000"), "rel/app", Some("v1")),
            ("localhost/app", Some("localhost"), "app", None),
            ("docker://ghcr.io/org/app:1", Some("ghcr.io"), "org/app", Some("1")),
            ("docker.io/alpine:3", Some("docker.io"), "library/alpine", Some("3")),
        ] {
            let read = Address::read(text).unwrap();
            let place = host.map_or(Place::Server, |host| Place::Registry(host.parse().unwrap()));
            assert_eq!((&read.place, read.name.as_ref()), (&place, name), "{text}");
            assert_eq!(read.reference.as_ref().map(ToString::to_string).as_deref(), reference, "{text}");
        }
        let both = Address::read(&format!("rel/app:v1@{digest}")).unwrap();
        assert_eq!(both.reference, Some(digest.into()));
        for text in ["alpine", "", "https://x/y", "rel/App", "rel/app:", "rel/app@sha256:1"] {
            assert!(Address::read(text).unwrap_err().what.contains("KEY/NAME:TAG"), "{text}");
        }
    }
}
