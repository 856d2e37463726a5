//! Registry hosts: `host[:port]` as it stands before a repository name (`ghcr.io`, `[::1]:5000`).
//!
//! Must not know URLs, schemes or name resolution. Invariant: a `RegistryHost` is lowercase and contains `.` or `:` or is
//! `localhost` (the rule docker uses to tell a host from a name's first segment), so it is never a `RepoKey`.

use std::net::Ipv6Addr;
use std::str::FromStr;
use std::sync::Arc;

use crate::limits::MAX_HOST_LEN;
use crate::newtype::{excerpt, text_newtype};

/// A registry's host name or address, with its port when one was written.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegistryHost(Arc<str>);

/// Why text is not a registry host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid registry host \"{value}\": {reason}")]
pub struct InvalidRegistryHost {
    value: String,
    reason: &'static str,
}

impl FromStr for RegistryHost {
    type Err = InvalidRegistryHost;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match canonical(text) {
            Ok(host) => Ok(Self(host.into())),
            Err(reason) => Err(InvalidRegistryHost { value: excerpt(text), reason }),
        }
    }
}

impl RegistryHost {
    /// The name or address without the port; an IPv6 address keeps its brackets, as in a URL.
    pub fn name(&self) -> &str {
        split_port(&self.0).0
    }

    /// The port, when one was written.
    pub fn port(&self) -> Option<u16> {
        split_port(&self.0).1.and_then(|port| port.parse().ok())
    }
}

text_newtype!(RegistryHost);

/// Splits at the colon that starts a port: the last one, unless it is inside the brackets of an IPv6 address.
fn split_port(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        Some(_) | None => (text, None),
    }
}

fn canonical(text: &str) -> Result<String, &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.len() > MAX_HOST_LEN {
        return Err("it is longer than 259 characters");
    }
    let (name, port) = split_port(text);
    if let Some(port) = port {
        check_port(port)?;
    }
    let name = canonical_name(name)?;
    let host = port.map_or_else(|| name.clone(), |port| format!("{name}:{port}"));
    if host.contains(['.', ':']) || host == "localhost" {
        Ok(host)
    } else {
        Err("a host has a '.' or a port, or is \"localhost\"; this reads as a repository key")
    }
}

fn canonical_name(name: &str) -> Result<String, &'static str> {
    if let Some(inner) = name.strip_prefix('[') {
        let address = inner.strip_suffix(']').ok_or("the brackets of an IPv6 address are not closed")?;
        let address: Ipv6Addr = address.parse().map_err(|_| "not an IPv6 address between the brackets")?;
        return Ok(format!("[{address}]"));
    }
    let name = name.to_ascii_lowercase();
    name.split('.').try_for_each(check_label)?;
    Ok(name)
}

/// A DNS label (RFC 1123 section 2.1). Dotted IPv4 addresses are made of such labels too.
fn check_label(label: &str) -> Result<(), &'static str> {
    if label.is_empty() || label.len() > 63 {
        return Err("each part between dots has 1 to 63 characters");
    }
    if !label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')) {
        return Err("only letters, digits, '-' and '.' are allowed");
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err("a part between dots must not start or end with '-'");
    }
    Ok(())
}

fn check_port(port: &str) -> Result<(), &'static str> {
    const PORT: &str = "a port is a number from 1 to 65535 without leading zeros";
    if port.starts_with('0') || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(PORT);
    }
    port.parse::<u16>().map(|_| ()).map_err(|_| PORT)
}
