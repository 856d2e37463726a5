//! Name, connection, TLS: the way to the upstream, looked at step by step.
//!
//! Must not know HTTP. Invariant: an address that the egress filter refuses is named and not dialled.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use url::{Host, Url};

use super::report::{Check, CheckId, Outcome};
use super::tls_look;
use crate::config::UpstreamConfig;
use crate::egress::is_private_address;
use crate::transport::Transport;

/// Most addresses shown.
const SHOWN_ADDRESSES: usize = 8;

/// Checks the way. Without a connection the other checks make no sense: then the last one has failed.
pub(super) async fn check(config: &UpstreamConfig, url: &Url, transport: &Transport) -> Vec<Check> {
    if let Some(way) = indirect(config, url) {
        let skipped = |id| Check::new(id, Outcome::Skipped, way, "not looked at; the requests below go that way");
        return [CheckId::Dns, CheckId::Tcp, CheckId::Tls].map(skipped).to_vec();
    }
    let (dns, addresses) = addresses(url, transport).await;
    let failed = dns.outcome == Outcome::Fail;
    let mut checks = vec![dns];
    if failed {
        return checks;
    }
    let (tcp, stream) = connection(&addresses, config.timeouts.connect).await;
    checks.push(tcp);
    let Some(stream) = stream else { return checks };
    checks.push(match url.scheme() {
        "https" => tls_look::check(config, url, stream).await,
        _ => Check::new(
            CheckId::Tls,
            Outcome::Skipped,
            "plain http",
            "nothing protects what passes: keep it inside one machine or network",
        ),
    });
    checks
}

/// Why a connection of our own would not be the one that requests use.
fn indirect(config: &UpstreamConfig, url: &Url) -> Option<&'static str> {
    let proxies = &config.network.proxies;
    let proxy = if url.scheme() == "https" { &proxies.https } else { &proxies.http };
    match (config.url.scheme().starts_with("srv+"), proxy, config.network.dns_server, config.network.bind) {
        (true, ..) => Some("found by service records"),
        (false, Some(_), ..) => Some("through a proxy"),
        (false, None, Some(_), _) => Some("by a name server of its own"),
        (false, None, None, Some(_)) => Some("from an address of its own"),
        (false, None, None, None) => None,
    }
}

async fn addresses(url: &Url, transport: &Transport) -> (Check, Vec<SocketAddr>) {
    let check = |outcome, seen: String, meaning: &str| Check::new(CheckId::Dns, outcome, seen, meaning);
    let port = url.port_or_known_default().unwrap_or(443);
    let (name, started) = match url.host() {
        Some(Host::Domain(name)) => (name.to_owned(), Instant::now()),
        Some(Host::Ipv4(address)) => return literal(SocketAddr::new(address.into(), port), url, transport),
        Some(Host::Ipv6(address)) => return literal(SocketAddr::new(address.into(), port), url, transport),
        None => return (check(Outcome::Fail, "no host".to_owned(), "the URL names nobody to ask"), Vec::new()),
    };
    let found: Vec<SocketAddr> = match tokio::net::lookup_host((name.as_str(), port)).await {
        Ok(found) => found.collect(),
        Err(error) => {
            let seen = format!("{name} does not resolve: {error}");
            return (check(Outcome::Fail, seen, "nothing can be fetched; what is cached is served"), Vec::new());
        }
    };
    let millis = started.elapsed().as_millis();
    let shown: Vec<String> = found.iter().take(SHOWN_ADDRESSES).map(|address| described(address.ip())).collect();
    let seen = format!("{name} is {} ({millis} ms)", shown.join(", "));
    // Each address as a URL of its own goes through the filter that a pull's connection goes through.
    let refused = found.iter().find_map(|address| {
        let mut literal = url.clone();
        literal.set_ip_host(address.ip()).ok()?;
        transport.admit(&literal).err()
    });
    match refused {
        Some(refused) => (check(Outcome::Fail, seen, &refused.to_string()), Vec::new()),
        None => (check(Outcome::Pass, seen, "every address may be dialled"), found),
    }
}

fn literal(address: SocketAddr, url: &Url, transport: &Transport) -> (Check, Vec<SocketAddr>) {
    let seen = described(address.ip());
    match transport.admit(url) {
        Ok(()) => (
            Check::new(CheckId::Dns, Outcome::Pass, seen, "written as an address, which may be dialled"),
            vec![address],
        ),
        Err(refused) => (Check::new(CheckId::Dns, Outcome::Fail, seen, refused.to_string()), Vec::new()),
    }
}

fn described(address: IpAddr) -> String {
    let class = match (address.is_loopback(), is_private_address(address)) {
        (true, _) => "loopback",
        (false, true) => "private or special",
        (false, false) => "public",
    };
    format!("{address} ({class})")
}

async fn connection(addresses: &[SocketAddr], patience: Duration) -> (Check, Option<TcpStream>) {
    let mut refusals = Vec::new();
    for address in addresses.iter().take(SHOWN_ADDRESSES) {
        let started = Instant::now();
        match timeout(patience, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                let mut seen = format!("{address} in {} ms", started.elapsed().as_millis());
                let outcome = if refusals.is_empty() { Outcome::Pass } else { Outcome::Degraded };
                if !refusals.is_empty() {
                    seen = format!("{seen}, after {}", refusals.join("; "));
                }
                let meaning = match outcome {
                    Outcome::Degraded => "some addresses do not answer: the first request after a pause may be slow",
                    Outcome::Pass | Outcome::Skipped | Outcome::Fail => "every miss begins with this, once a minute",
                };
                return (Check::new(CheckId::Tcp, outcome, seen, meaning), Some(stream));
            }
            Ok(Err(error)) => refusals.push(format!("{address}: {error}")),
            Err(_) => refusals.push(format!("{address}: no answer in {} s", patience.as_secs())),
        }
    }
    let meaning = "nothing can be fetched; what is cached is served";
    (Check::new(CheckId::Tcp, Outcome::Fail, refusals.join("; "), meaning), None)
}
