//! An image as people write it, with Docker's defaults, and what may stand behind it.
//!
//! Must not know URLs. Invariants: a name without a registry is Docker Hub's, and one of a single segment there is in
//! `library/`, as docker reads it; a digest decides over a tag.

use std::fmt;
use std::str::FromStr;

use oci::{Digest, Reference, RegistryHost, RepositoryName, Tag};

/// The registry of names that name none.
const DEFAULT_REGISTRY: &str = "docker.io";
/// Other names that people and docker itself have for it.
const HUB_ALIASES: [&str; 3] = ["index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"];
/// Longest image taken, in bytes.
const LONGEST: usize = 1024;

/// One image of one registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ImageRef {
    /// Where it is.
    pub(crate) registry: RegistryHost,
    /// Its name there.
    pub(crate) name: RepositoryName,
    /// Its tag or digest.
    pub(crate) reference: Reference,
}

impl FromStr for ImageRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse(text).map_err(|why| {
            let shown: String = text.chars().take(128).map(|c| if c.is_control() { '?' } else { c }).collect();
            format!(
                "'{shown}' is not an image: {why}; write NAME[:TAG] or NAME@DIGEST, like alpine or ghcr.io/org/app:1.2"
            )
        })
    }
}

fn parse(text: &str) -> Result<ImageRef, String> {
    let image = text.trim();
    let image = image.strip_prefix("docker://").unwrap_or(image);
    if image.is_empty() || image.len() > LONGEST {
        return Err(format!("it must have 1 to {LONGEST} bytes"));
    }
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
    let (registry, name) = split_registry(name)?;
    let reference = match (digest, tag) {
        (Some(digest), _) => Reference::Digest(digest),
        (None, Some(tag)) => Reference::Tag(tag),
        (None, None) => Reference::Tag("latest".parse().map_err(|error: oci::InvalidTag| error.to_string())?),
    };
    Ok(ImageRef { registry, name, reference })
}

/// What stands before the first slash is a registry when it has a dot or a port, or is `localhost`.
fn split_registry(text: &str) -> Result<(RegistryHost, RepositoryName), String> {
    let (registry, name) = match text.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => {
            (first.parse::<RegistryHost>().map_err(|error| error.to_string())?, rest)
        }
        Some(_) | None => (hub(), text),
    };
    let registry = common_name(registry);
    let official = registry.as_ref() == DEFAULT_REGISTRY && !name.contains('/');
    let name = if official { format!("library/{name}") } else { name.to_owned() };
    Ok((registry, name.parse().map_err(|error: oci::InvalidRepositoryName| error.to_string())?))
}

/// One name for a registry that has several.
pub(crate) fn common_name(host: RegistryHost) -> RegistryHost {
    if HUB_ALIASES.contains(&host.as_ref()) { hub() } else { host }
}

fn hub() -> RegistryHost {
    DEFAULT_REGISTRY.parse().expect("docker.io is a host")
}

impl fmt::Display for ImageRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.reference.digest().is_some() { '@' } else { ':' };
        write!(formatter, "{}/{}{mark}{}", self.registry, self.name, self.reference)
    }
}

/// What a command is about: `<image> [BLOB] [WORD…]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// One layer instead of the whole image.
    pub(crate) layer: Option<Digest>,
    /// What follows.
    pub(crate) words: Vec<String>,
}

impl Target {
    /// Reads what stands behind the image: a first word that looks like a digest (`sha256:…`, `sha512:…`) is a layer.
    pub(crate) fn read(words: &[String]) -> Result<Self, String> {
        let (layer, rest) = match words.split_first() {
            Some((first, rest)) if first.starts_with("sha256:") || first.starts_with("sha512:") => {
                let digest = first.parse().map_err(|error: oci::InvalidDigest| format!("the layer: {error}"))?;
                (Some(digest), rest)
            }
            Some(_) | None => (None, words),
        };
        Ok(Self { layer, words: rest.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn read(text: &str) -> String {
        text.parse::<ImageRef>().unwrap().to_string()
    }

    #[test]
    fn names_get_dockers_defaults() {
        for (text, full) in [
            ("alpine", "docker.io/library/alpine:latest"),
            ("alpine:3", "docker.io/library/alpine:3"),
            ("org/app", "docker.io/org/app:latest"),
            ("index.docker.io/alpine", "docker.io/library/alpine:latest"),
            ("docker://docker.io/library/alpine:3", "docker.io/library/alpine:3"),
            ("localhost/app", "localhost/app:latest"),
            ("localhost:5000/app:1", "localhost:5000/app:1"),
            ("127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b:latest"),
            ("[::1]:5000/a/b", "[::1]:5000/a/b:latest"),
            ("GHCR.io/org/app:1.2", "ghcr.io/org/app:1.2"),
        ] {
            assert_eq!(read(text), full, "{text}");
        }
        assert_eq!(read(&format!("alpine@{DIGEST}")), format!("docker.io/library/alpine@{DIGEST}"));
        assert_eq!(read(&format!("ghcr.io/a:1@{DIGEST}")), format!("ghcr.io/a@{DIGEST}"), "the digest decides");
    }

    #[test]
    fn what_is_no_image_is_refused_with_the_reason() {
        for (text, why) in [
            ("", "bytes"),
            ("https://docker.io/a", "URL"),
            ("a@sha256:1", "digest"),
            ("a:", "tag"),
            ("a//b", "empty"),
            ("Alpine", "a-z"),
            ("ghcr.io/", "empty"),
            (&"a".repeat(2000), "bytes"),
        ] {
            let error = text.parse::<ImageRef>().unwrap_err();
            assert!(error.contains(why) && error.contains("NAME@DIGEST"), "{text}: {error}");
        }
        assert!(!"a\u{1b}[31m:".parse::<ImageRef>().unwrap_err().contains('\u{1b}'));
    }

    #[test]
    fn a_word_that_looks_like_a_digest_is_a_layer() {
        let words = |list: &[&str]| list.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let target = Target::read(&words(&[DIGEST, "bin/ls"])).unwrap();
        assert_eq!((target.layer.unwrap().to_string().as_str(), target.words), (DIGEST, words(&["bin/ls"])));
        let target = Target::read(&words(&["sha256sum", "out"])).unwrap();
        assert_eq!((target.layer, target.words), (None, words(&["sha256sum", "out"])));
        assert!(Target::read(&words(&["sha256:12"])).unwrap_err().contains("layer"));
    }
}
