//! All outbound HTTP of this crate starts here: names are resolved, every address is checked, and the checked address is
//! the one connected to; proxies, certificates and the local address are applied for whom they were configured.
//!
//! Must not know registries, challenges or redirects. Invariants: no URL gets a client without having passed the
//! filter's rules for its host; what was configured for one upstream (its authorities, its client certificate, its
//! unverified TLS) is used for that upstream's own hosts and nobody else.

mod address;
mod discovery;
mod filter;
mod identity;
mod lanes;
mod network;
mod proxy;
mod resolver;
mod route;
mod spread;
mod srv;
mod tls;

pub use self::address::is_private_address;
pub use self::discovery::plain_url;
pub(crate) use self::discovery::read as read_upstream_url;
pub(crate) use self::filter::EgressRefused;
pub use self::filter::Reach;
pub use self::identity::{ClientIdentity, IdentityProblem};
pub use self::network::{Authorities, Connections, Network, Verification};
pub use self::proxy::{Proxies, ProxyServer};
pub(crate) use self::route::Egress;
pub(crate) use self::tls::towards_upstream;
