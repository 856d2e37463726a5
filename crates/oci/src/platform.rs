//! Platforms, as the children of an image index have them (OCI image spec, image-index, `platform`).
//!
//! Must not know how manifests are fetched. Invariant: what fits is decided as container clients do: system and
//! architecture must be the same, and a variant that was not asked for is anything.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

/// `os/architecture[/variant]`. What an image says of itself is kept as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Platform {
    /// `linux`, `windows`, ….
    #[serde(default)]
    os: String,
    /// `amd64`, `arm64`, ….
    #[serde(default)]
    architecture: String,
    /// `v7`, `v8`, ….
    #[serde(default)]
    variant: Option<String>,
}

impl Platform {
    /// This machine's.
    pub fn of_this_machine() -> Self {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", None),
            "x86" => ("386", None),
            "aarch64" => ("arm64", None),
            "arm" => ("arm", Some("v7".to_owned())),
            "powerpc64" if cfg!(target_endian = "little") => ("ppc64le", None),
            "loongarch64" => ("loong64", None),
            other => (other, None),
        };
        // Images for Linux are what is run on other systems too, in a virtual machine.
        Self { os: "linux".to_owned(), architecture: architecture.to_owned(), variant }
    }

    /// Whether an image made for `offered` is what is wanted here.
    pub fn accepts(&self, offered: &Self) -> bool {
        let variant = match (&self.variant, &offered.variant) {
            (None, _) | (Some(_), None) => true,
            (Some(wanted), Some(offered)) => wanted == offered,
        };
        // `arm64` and `arm64/v8` are one platform under two names.
        self.os == offered.os && self.architecture == offered.architecture && variant
    }

    /// Whether the image is for something that runs: attestations say `unknown/unknown`.
    pub fn is_known(&self) -> bool {
        self.os != "unknown" && !self.os.is_empty()
    }
}

/// Text that is no platform, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidPlatform(&'static str);

impl FromStr for Platform {
    type Err = InvalidPlatform;

    fn from_str(text: &str) -> Result<Self, InvalidPlatform> {
        let parts: Vec<&str> = text.split('/').collect();
        let (os, architecture, variant) = match parts[..] {
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant)),
            _ => return Err(InvalidPlatform("a platform is OS/ARCHITECTURE[/VARIANT], like linux/arm64")),
        };
        if parts.iter().any(|part| part.is_empty()) {
            return Err(InvalidPlatform("a platform has no empty parts, like linux/arm64"));
        }
        let architecture = match architecture {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let variant = variant.map(str::to_owned);
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
    use super::*;

    fn platform(text: &str) -> Platform {
        text.parse().unwrap()
    }

    #[test]
    fn the_same_system_and_architecture_fit_and_a_variant_only_when_asked_for() {
        for (wanted, offered, fits) in [
            ("linux/amd64", "linux/amd64", true),
            ("linux/amd64", "linux/arm64", false),
            ("linux/amd64", "windows/amd64", false),
            ("linux/arm64", "linux/arm64/v8", true),
            ("linux/arm64/v8", "linux/arm64", true),
            ("linux/arm/v7", "linux/arm/v6", false),
            ("linux/x86_64", "linux/amd64", true),
        ] {
            assert_eq!(platform(wanted).accepts(&platform(offered)), fits, "{wanted} {offered}");
        }
        assert!(Platform::of_this_machine().is_known());
    }

    #[test]
    fn other_forms_are_refused() {
        for text in ["linux", "", "linux/", "linux/arm/v7/x"] {
            text.parse::<Platform>().unwrap_err();
        }
    }
}
