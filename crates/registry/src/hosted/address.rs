//! A pushed image as people write it to the management API and its commands: `dev/app:1.4`, `dev/app@sha256:…`,
//! `dev/app:1.4@2026-11-28T10:00:00Z`.
//!
//! Must not know what is there. Invariant: the first segment is the repository's key, whatever listeners it has.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use oci::{Digest, RepoKey, RepositoryName, Tag};

/// Which manifest under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// What a tag points to.
    Tag(Tag),
    /// What a tag pointed to.
    TagAt(Tag, SystemTime),
    /// This one.
    Digest(Digest),
}

/// A name in a repository, and which manifest under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostedAddress {
    /// The repository.
    pub repo: RepoKey,
    /// The name in it.
    pub name: RepositoryName,
    /// Which manifest, if it was said.
    pub wanted: Option<Wanted>,
}

/// Why a text is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{shown}' is not an image here: {why}; write REPOSITORY/NAME with :TAG, :TAG@TIME or @DIGEST, like dev/team/app:1.4"
)]
pub struct InvalidHostedAddress {
    shown: String,
    why: String,
}

/// Longest address taken, in bytes.
const LONGEST: usize = 1024;

/// Reads a point in time: RFC 3339, in UTC.
///
/// # Errors
/// Says how to write one.
pub fn parse_time(text: &str) -> Result<SystemTime, String> {
    humantime::parse_rfc3339(text)
        .map_err(|_| format!("'{text}' is not a time; write it in UTC, like 2026-11-28T10:00:00Z"))
}

/// Writes a point in time as [`parse_time`] reads it.
pub fn show_time(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}

impl FromStr for HostedAddress {
    type Err = InvalidHostedAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let shown = || text.chars().take(128).map(|c| if c.is_control() { '?' } else { c }).collect();
        read(text.trim()).map_err(|why| InvalidHostedAddress { shown: shown(), why })
    }
}

fn read(text: &str) -> Result<HostedAddress, String> {
    if text.is_empty() || text.len() > LONGEST {
        return Err(format!("it must have 1 to {LONGEST} bytes"));
    }
    let (named, at) = text.split_once('@').map_or((text, None), |(named, at)| (named, Some(at)));
    let (repo, rest) = named.split_once('/').ok_or("the repository's key and a '/' must stand before the name")?;
    let (name, tag) = rest.split_once(':').map_or((rest, None), |(name, tag)| (name, Some(tag)));
    let tag: Option<Tag> = tag.map(str::parse).transpose().map_err(|error: oci::InvalidTag| error.to_string())?;
    let wanted = match (tag, at) {
        (tag, None) => tag.map(Wanted::Tag),
        (Some(tag), Some(at)) if !at.contains("sha") => Some(Wanted::TagAt(tag, parse_time(at)?)),
        // With both, the digest decides; so do container clients.
        (_, Some(at)) => Some(Wanted::Digest(at.parse().map_err(|error: oci::InvalidDigest| error.to_string())?)),
    };
    Ok(HostedAddress {
        repo: repo.parse().map_err(|error: oci::InvalidRepoKey| error.to_string())?,
        name: name.parse().map_err(|error: oci::InvalidRepositoryName| error.to_string())?,
        wanted,
    })
}

impl fmt::Display for HostedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.repo, self.name)?;
        match &self.wanted {
            None => Ok(()),
            Some(wanted) => wanted.fmt(f),
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => write!(f, ":{tag}"),
            Self::TagAt(tag, at) => write!(f, ":{tag}@{}", show_time(*at)),
            Self::Digest(digest) => write!(f, "@{digest}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_written() {
        let digest = Digest::sha256_of(b"x");
        for text in [
            "dev/app:1.4".to_owned(),
            "dev/team/app".to_owned(),
            format!("dev/app@{digest}"),
            "dev/app:1.4@2026-11-28T10:00:00.000Z".to_owned(),
        ] {
            assert_eq!(text.parse::<HostedAddress>().unwrap().to_string(), text);
        }
        let both: HostedAddress = format!("dev/app:1.4@{digest}").parse().unwrap();
        assert_eq!(both.wanted, Some(Wanted::Digest(digest)));
    }

    #[test]
    fn what_is_none_is_told_with_an_example() {
        for (text, word) in [
            ("", "1 to"),
            ("app:1", "before the name"),
            ("dev/App:1", "dev/team/app:1.4"),
            ("dev/app:", "invalid tag"),
            ("dev/app@yesterday", "invalid digest"),
            ("dev/app:1@yesterday", "in UTC"),
            ("dev/app@2026-11-28T10:00:00Z", "digest"),
        ] {
            let error = text.parse::<HostedAddress>().unwrap_err().to_string();
            assert!(error.contains(word) && error.contains("write"), "{text}: {error}");
        }
    }
}
