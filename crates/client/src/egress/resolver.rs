//! Turns names into addresses and service names into targets; addresses come out checked and in the order to dial them.
//!
//! Must not know who asks. Invariant: nothing comes out of `CheckedResolver` that the filter did not admit.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ProtocolConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::filter::EgressFilter;
use super::spread::Spread;

/// Resolves names as the operator wants it: by the system, or by one name server.
#[derive(Clone)]
pub(super) enum Names {
    /// The system's own way, with its hosts file and whatever else it has.
    System,
    /// This name server and nothing else.
    Server(Arc<TokioResolver>),
}

impl Names {
    pub(super) fn new(dns_server: Option<SocketAddr>) -> Result<Self, String> {
        dns_server
            .map_or(Ok(Self::System), |server| server_resolver(server).map(|resolver| Self::Server(Arc::new(resolver))))
    }

    /// What asks for service records; those the system's resolver cannot look up.
    pub(super) fn services(&self) -> Result<TokioResolver, String> {
        match self {
            Self::Server(resolver) => Ok(TokioResolver::clone(resolver)),
            Self::System => TokioResolver::builder_tokio()
                .and_then(hickory_resolver::ResolverBuilder::build)
                .map_err(|error| format!("the system's name servers cannot be read: {error}")),
        }
    }

    pub(super) async fn addresses(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        match self {
            Self::System => Ok(tokio::net::lookup_host((name, 0)).await?.collect()),
            Self::Server(resolver) => {
                let found = resolver.lookup_ip(absolute(name)).await.map_err(io::Error::other)?;
                Ok(found.iter().map(|address| SocketAddr::new(address, 0)).collect())
            }
        }
    }
}

/// The name with the dot that keeps search domains away.
pub(super) fn absolute(name: &str) -> String {
    format!("{}.", name.trim_end_matches('.'))
}

fn server_resolver(server: SocketAddr) -> Result<TokioResolver, String> {
    let connections = [ProtocolConfig::Udp, ProtocolConfig::Tcp].map(|protocol| {
        let mut connection = ConnectionConfig::new(protocol);
        connection.port = server.port();
        connection
    });
    let server = NameServerConfig::new(server.ip(), true, connections.into());
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    builder.options_mut().use_hosts_file = ResolveHosts::Never;
    builder.build().map_err(|error| format!("the name server cannot be used: {error}"))
}

/// The resolver behind the filter, as reqwest asks it.
#[derive(Clone)]
pub(super) struct CheckedResolver {
    pub(super) names: Names,
    pub(super) filter: EgressFilter,
    pub(super) spread: Arc<Spread>,
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let this = self.clone();
        Box::pin(async move {
            let answers = this.names.addresses(name.as_str()).await?;
            let admitted = this.filter.admit_all(name.as_str(), answers)?;
            Ok(Box::new(this.spread.order(name.as_str(), admitted).into_iter()) as Addrs)
        })
    }
}
