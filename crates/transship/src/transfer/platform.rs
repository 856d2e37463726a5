//! Which image of an index is for which platform.
//!
//! Must not know how manifests are fetched. Invariant: system and architecture must be the same, a variant that was not
//! asked for is anything, and the first that fits is taken, as container clients do.

use std::fmt;
use std::str::FromStr;

use oci::Digest;
use serde::Deserialize;

/// `os/architecture[/variant]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Platform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    variant: Option<String>,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Child>,
}

#[derive(Deserialize)]
struct Child {
    digest: Digest,
    platform: Option<Platform>,
}

impl Platform {
    /// What containers on this machine are for.
    pub(crate) fn of_this_machine() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Self { os: "linux".to_owned(), architecture: architecture.to_owned(), variant: None }
    }

    /// The child of an index that is for this platform; the error lists what there is.
    pub(crate) fn choose(&self, index: &[u8]) -> Result<Digest, String> {
        let index: Index = serde_json::from_slice(index).map_err(|error| error.to_string())?;
        let fits = |child: &&Child| child.platform.as_ref().is_some_and(|offered| self.accepts(offered));
        if let Some(child) = index.manifests.iter().find(fits) {
            return Ok(child.digest);
        }
        let offered: Vec<String> =
            index.manifests.iter().filter_map(|child| child.platform.as_ref()).map(Self::to_string).collect();
        Err(format!("there is no image for {self}; there is {}", offered.join(", ")))
    }

    fn accepts(&self, offered: &Self) -> bool {
        let variant = match (&self.variant, &offered.variant) {
            (None, _) | (Some(_), None) => true,
            (Some(wanted), Some(offered)) => wanted == offered,
        };
        self.os == offered.os && self.architecture == offered.architecture && variant
    }
}

impl FromStr for Platform {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('/').collect();
        let (os, architecture, variant) = match parts[..] {
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant.to_owned())),
            _ => return Err("a platform is OS/ARCHITECTURE[/VARIANT], like linux/arm64".to_owned()),
        };
        if parts.iter().any(|part| part.is_empty()) {
            return Err("a platform has no empty parts, like linux/arm64".to_owned());
        }
        Ok(Self { os: os.to_owned(), architecture: architecture.to_owned(), variant })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) if !variant.is_empty() => write!(formatter, "/{variant}"),
            Some(_) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_that_fits_is_taken_and_a_miss_says_what_there_is() {
        let child = |seed: &str, architecture: &str, variant: Option<&str>| {
            let platform = json!({ "os": "linux", "architecture": architecture, "variant": variant });
            json!({ "digest": Digest::sha256_of(seed.as_bytes()), "platform": platform })
        };
        let attestation = json!({ "digest": Digest::sha256_of(b"none") });
        let children =
            [attestation, child("a", "amd64", None), child("v7", "arm", Some("v7")), child("b", "amd64", None)];
        let index = json!({ "manifests": children }).to_string();
        let choose = |text: &str| text.parse::<Platform>().unwrap().choose(index.as_bytes());
        assert_eq!(choose("linux/amd64"), Ok(Digest::sha256_of(b"a")));
        assert_eq!(choose("linux/arm"), Ok(Digest::sha256_of(b"v7")));
        let none = choose("linux/arm/v6").unwrap_err();
        assert!(none.contains("linux/arm/v6") && none.contains("linux/arm/v7"), "{none}");
        for text in ["linux", "", "linux/", "linux/arm/v7/x"] {
            text.parse::<Platform>().unwrap_err();
        }
    }
}
