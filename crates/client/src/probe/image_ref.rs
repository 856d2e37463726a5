//! The image a probe goes by: `<name>`, `<name>:<tag>` or `<name>@<digest>`, as people write it below a registry.
//!
//! Must not know registries: there is no host in it. Invariant: its parts passed the grammar of the specification.

use std::fmt;
use std::str::FromStr;

use oci::{Reference, RepositoryName};

/// A repository name, and what of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageRef {
    /// The name.
    pub name: RepositoryName,
    /// A tag or digest; none leaves the choice to the probe (`latest`, else the last of the list).
    pub reference: Option<Reference>,
}

/// Why text is no image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an image: {0}; write NAME, NAME:TAG or NAME@DIGEST, like library/alpine:3")]
pub struct InvalidImageRef(String);

impl FromStr for ImageRef {
    type Err = InvalidImageRef;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, reference) = match (text.split_once('@'), text.rsplit_once(':')) {
            (Some((name, digest)), _) => {
                // `name:tag@digest` is pulled by its digest everywhere.
                let name = name.rsplit_once(':').map_or(name, |(name, _)| name);
                (name, Some(digest))
            }
            (None, Some((name, tag))) => (name, Some(tag)),
            (None, None) => (text, None),
        };
        let name = name.parse().map_err(|error: oci::InvalidRepositoryName| InvalidImageRef(error.to_string()))?;
        let reference = reference
            .map(str::parse::<Reference>)
            .transpose()
            .map_err(|error: oci::InvalidReference| InvalidImageRef(error.to_string()))?;
        Ok(Self { name, reference })
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reference {
            Some(Reference::Tag(tag)) => write!(formatter, "{}:{tag}", self.name),
            Some(Reference::Digest(digest)) => write!(formatter, "{}@{digest}", self.name),
            None => write!(formatter, "{}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ImageRef;

    #[test]
    fn names_tags_and_digests_are_told_apart() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (text, shown) in [
            ("library/alpine", "library/alpine".to_owned()),
            ("library/alpine:3", "library/alpine:3".to_owned()),
            (&format!("a/b@{digest}"), format!("a/b@{digest}")),
            (&format!("a/b:1@{digest}"), format!("a/b@{digest}")),
        ] {
            assert_eq!(text.parse::<ImageRef>().unwrap().to_string(), shown);
        }
        for text in ["", "A/b", "a/b:", "a/b:.x", "a/b@sha256:x", "ghcr.io:443/a/b:1", "a//b", "https://x/y"] {
            let error = text.parse::<ImageRef>().expect_err(text).to_string();
            assert!(error.contains("NAME:TAG"), "{error}");
        }
    }
}
