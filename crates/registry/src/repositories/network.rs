//! How one upstream is reached over the network, as resolved from its document.
//!
//! Must not know JSON. Invariant: what is not said for the upstream is as for all upstreams.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use client::{Authorities, ClientIdentity, Connections, HttpVersion, Network, Proxies, Timeouts, Verification};

use super::repository::UpstreamDefaults;

/// The network settings of one upstream. The default says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkSpec {
    /// Its proxies; none said: those of all upstreams. `Proxies::default()` is the direct way.
    pub proxies: Option<Proxies>,
    /// Authorities accepted besides the system's, as read from the file.
    pub authorities: Authorities,
    /// The client certificate, as read from the files.
    pub identity: Option<ClientIdentity>,
    /// Whether its certificate is checked.
    pub verification: Verification,
    /// The local address connections start from.
    pub bind: Option<IpAddr>,
    /// Which HTTP versions to speak.
    pub http: Option<HttpVersion>,
    /// Over how many connections HTTP/2 requests to one host are spread.
    pub connections: Connections,
    /// Longest wait for a connection.
    pub connect_timeout: Option<Duration>,
    /// Longest wait for the head of an answer.
    pub first_byte_timeout: Option<Duration>,
    /// Longest pause in a body.
    pub idle_timeout: Option<Duration>,
    /// The files that certificates were read from: a change of theirs is a change of the repository.
    pub files: Vec<PathBuf>,
}

impl NetworkSpec {
    pub(crate) fn network(&self, defaults: &UpstreamDefaults) -> Network {
        Network {
            proxies: self.proxies.clone().unwrap_or_else(|| defaults.proxies.clone()),
            authorities: self.authorities.clone(),
            identity: self.identity.clone(),
            verification: self.verification,
            bind: self.bind,
            dns_server: defaults.dns_server,
            connections: self.connections,
        }
    }

    pub(crate) fn timeouts(&self, defaults: &UpstreamDefaults) -> Timeouts {
        let Timeouts { connect, first_byte, idle } = defaults.timeouts.clone();
        Timeouts {
            connect: self.connect_timeout.unwrap_or(connect),
            first_byte: self.first_byte_timeout.unwrap_or(first_byte),
            idle: self.idle_timeout.unwrap_or(idle),
        }
    }
}
