//! Host names with one `*`: `*.azurecr.io`, `*-docker.pkg.dev`.
//!
//! Must not know ports. Invariant: `*` stands for one or more characters of one label, never for a dot, so a pattern
//! cannot be met by a name that somebody else owns.

use std::fmt;

/// A host name of a profile: exact, or a pattern in which each `*` stands for a part of one label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostPattern(&'static str);

impl HostPattern {
    /// A pattern; without a `*` it is met by itself only.
    pub const fn new(pattern: &'static str) -> Self {
        Self(pattern)
    }

    /// As written.
    pub const fn as_str(self) -> &'static str {
        self.0
    }

    /// Whether `host` (without a port, lower case) meets the pattern.
    pub fn matches(self, host: &str) -> bool {
        let (mut wanted, mut given) = (self.0.split('.'), host.split('.'));
        loop {
            match (wanted.next(), given.next()) {
                (None, None) => return true,
                (Some(pattern), Some(label)) if label_matches(pattern, label) => {}
                (Some(_) | None, Some(_)) | (Some(_), None) => return false,
            }
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}

fn label_matches(pattern: &str, label: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == label,
        Some((before, after)) => {
            label.len() > before.len() + after.len()
                && label.starts_with(before)
                && label.ends_with(after)
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        }
    }
}
