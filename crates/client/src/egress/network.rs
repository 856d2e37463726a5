//! How an upstream is reached over the network, as configured: proxies, certificates, local address, name server.
//!
//! Must not know files: certificates come as what was read from them. Invariant: `Debug` shows no secret, and two values
//! are equal only if connections made with them are the same.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::identity::ClientIdentity;
use super::proxy::Proxies;

/// How to reach an upstream. The default: directly, by the system's resolver and authorities.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Which proxy to go through, if any.
    pub proxies: Proxies,
    /// Authorities accepted besides the system's, for the upstream's host and its token hosts.
    pub authorities: Authorities,
    /// What we show when the upstream's host or a token host asks for a certificate.
    pub identity: Option<ClientIdentity>,
    /// Whether the upstream's certificate is checked.
    pub verification: Verification,
    /// The local address connections start from.
    pub bind: Option<IpAddr>,
    /// The name server to ask instead of what the system uses.
    pub dns_server: Option<SocketAddr>,
    /// Over how many connections requests to one host are spread where HTTP/2 would put all on one.
    pub connections: Connections,
}

/// How many connections to one host HTTP/2 requests are spread over: 1 to 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connections(u8);

impl Default for Connections {
    fn default() -> Self {
        Self(1)
    }
}

impl Connections {
    /// The most there may be.
    pub const MOST: u8 = 16;

    /// So many; `None` for none, or too many.
    pub fn new(count: u8) -> Option<Self> {
        (1..=Self::MOST).contains(&count).then_some(Self(count))
    }

    /// How many.
    pub fn count(self) -> u8 {
        self.0
    }
}

/// Whether the certificate of the upstream's own host and port is checked. That of any other host always is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verification {
    /// It must be valid, for the name, and from an accepted authority.
    #[default]
    Full,
    /// It is not looked at: whoever sits on the network path can read and change everything, credentials included.
    Skipped,
}

/// Certificates of authorities.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Authorities(Arc<[CertificateDer<'static>]>);

impl Authorities {
    /// Reads PEM: one or more `BEGIN CERTIFICATE` blocks.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_pem(pem: &[u8]) -> Result<Self, String> {
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<_, _>>()
            .map_err(|error| format!("is not PEM: {error}"))?;
        if certificates.is_empty() {
            return Err("holds no certificate; expected PEM blocks 'BEGIN CERTIFICATE'".to_owned());
        }
        let mut roots = rustls::RootCertStore::empty();
        for certificate in &certificates {
            roots
                .add(certificate.clone())
                .map_err(|error| format!("holds a certificate that cannot be used: {error}"))?;
        }
        Ok(Self(certificates.into()))
    }

    pub(super) fn certificates(&self) -> impl Iterator<Item = CertificateDer<'static>> {
        self.0.iter().cloned()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Debug for Authorities {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Authorities({})", self.0.len())
    }
}
