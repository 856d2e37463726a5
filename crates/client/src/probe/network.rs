//! Name, connection, TLS: the way to the upstream, looked at step by step.
//!
//! It is the way that requests take: from the configured address, by the configured name server, to the servers of a
//! service, or through the proxy as far as that can be seen. Must not know HTTP. Invariant: an address that the egress filter refuses is
//! named and not dialled.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};
use url::{Host, Url};

use super::proxied;
use super::report::{Check, CheckId, Outcome};
use super::seen::text;
use super::session::Session;
use super::tls_look;
use crate::egress::is_private_address;

/// Most addresses shown.
const SHOWN_ADDRESSES: usize = 8;

/// Most servers of a service that are looked at.
const MOST_SERVERS: usize = 4;

const NOTHING: &str = "nothing can be fetched; what is cached is served";

/// An address, and the server it is one of.
pub(super) type Place = (SocketAddr, Url);

/// Checks the way. Without a connection the other checks make no sense: then the last one has failed.
pub(super) async fn check(session: &Session) -> Vec<Check> {
    let url = session.url();
    if let Some(proxy) = session.config.network.proxies.for_scheme(url.scheme()) {
        return proxied::check(session, proxy).await;
    }
    let (dns, places) = names(session).await;
    let failed = dns.outcome == Outcome::Fail;
    let mut checks = vec![dns];
    if failed {
        return checks;
    }
    let (tcp, found) = connection(&places, session).await;
    checks.push(tcp);
    let Some((stream, server)) = found else { return checks };
    checks.push(match url.scheme() {
        "https" => tls_look::check(&session.config, &server, stream).await,
        _ => plain_http(),
    });
    checks
}

pub(super) fn plain_http() -> Check {
    let meaning = "nothing protects what passes: keep it inside one machine or network";
    Check::new(CheckId::Tls, Outcome::Skipped, "plain http", meaning)
}

/// The servers and their addresses. One of several that has none makes it worse, not hopeless.
async fn names(session: &Session) -> (Check, Vec<Place>) {
    let (url, transport) = (session.url(), session.client.transport());
    let check = |outcome, seen: &str, meaning: &str| Check::new(CheckId::Dns, outcome, text(seen), meaning);
    let servers = match transport.servers(url).await {
        Ok(servers) => servers,
        Err(why) => return (check(Outcome::Fail, &why, NOTHING), Vec::new()),
    };
    let (mut lines, mut places, mut problems) = (Vec::new(), Vec::new(), Vec::new());
    for server in servers.iter().take(MOST_SERVERS) {
        let (line, found) = addresses(server, session).await;
        lines.push(line);
        match found {
            Ok(found) => places.extend(found.into_iter().map(|address| (address, server.clone()))),
            Err(problem) => problems.push(problem),
        }
    }
    let service = session.config.url.scheme().starts_with("srv+");
    let before = if service { format!("{} servers by service records: ", servers.len()) } else { String::new() };
    let by = session.config.network.dns_server.map(|server| format!(", by the name server {server}"));
    let seen = format!("{before}{}{}", lines.join("; "), by.unwrap_or_default());
    match (places.is_empty(), problems.first()) {
        (true, problem) => (check(Outcome::Fail, &seen, problem.map_or(NOTHING, String::as_str)), Vec::new()),
        (false, Some(problem)) => (check(Outcome::Degraded, &seen, problem), places),
        (false, None) => (check(Outcome::Pass, &seen, "every address may be dialled"), places),
    }
}

/// What a server's name stands for, and the addresses that may be dialled; the error is what that means.
async fn addresses(server: &Url, session: &Session) -> (String, Result<Vec<SocketAddr>, String>) {
    let transport = session.client.transport();
    let port = server.port_or_known_default().unwrap_or(443);
    let started = Instant::now();
    let (name, found) = match server.host() {
        Some(Host::Domain(name)) => match transport.look_up(name).await {
            Ok(found) => (Some(name), found),
            Err(error) => return (format!("{name} does not resolve: {error}"), Err(NOTHING.to_owned())),
        },
        Some(Host::Ipv4(address)) => (None, vec![IpAddr::V4(address)]),
        Some(Host::Ipv6(address)) => (None, vec![IpAddr::V6(address)]),
        None => return ("no host".to_owned(), Err("the URL names nobody to ask".to_owned())),
    };
    let shown = found.iter().take(SHOWN_ADDRESSES).map(|address| described(*address)).collect::<Vec<_>>().join(", ");
    let line = match name {
        Some(name) => format!("{name} is {shown} ({} ms)", started.elapsed().as_millis()),
        None => shown,
    };
    // Each address as a URL of its own goes through the filter that a pull's connection goes through.
    let refused = found.iter().find_map(|address| {
        let mut literal = server.clone();
        literal.set_ip_host(*address).ok()?;
        transport.admit(&literal).err()
    });
    match refused {
        Some(refused) => (line, Err(refused.to_string())),
        None => (line, Ok(found.into_iter().map(|address| SocketAddr::new(address, port)).collect())),
    }
}

pub(super) fn described(address: IpAddr) -> String {
    let class = match (address.is_loopback(), is_private_address(address)) {
        (true, _) => "loopback",
        (false, true) => "private or special",
        (false, false) => "public",
    };
    format!("{address} ({class})")
}

/// Connects to the first address that answers, from the configured local address.
pub(super) async fn connection(places: &[Place], session: &Session) -> (Check, Option<(TcpStream, Url)>) {
    let (patience, bind) = (session.config.timeouts.connect, session.config.network.bind);
    let mut refusals = Vec::new();
    for (address, server) in places.iter().take(SHOWN_ADDRESSES) {
        let started = Instant::now();
        let stream = match timeout(patience, dial(*address, bind)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                refusals.push(format!("{address}: {error}"));
                continue;
            }
            Err(_) => {
                refusals.push(format!("{address}: no answer in {} s", patience.as_secs()));
                continue;
            }
        };
        return (connected(*address, bind, started.elapsed(), &refusals), Some((stream, server.clone())));
    }
    (Check::new(CheckId::Tcp, Outcome::Fail, refusals.join("; "), NOTHING), None)
}

fn connected(address: SocketAddr, bind: Option<IpAddr>, took: Duration, refusals: &[String]) -> Check {
    let from = bind.map(|from| format!(" from {from}")).unwrap_or_default();
    let seen = format!("{address}{from} in {} ms", took.as_millis());
    if refusals.is_empty() {
        return Check::new(CheckId::Tcp, Outcome::Pass, seen, "every miss begins with this, once a minute");
    }
    let meaning = "some addresses do not answer: the first request after a pause may be slow";
    Check::new(CheckId::Tcp, Outcome::Degraded, format!("{seen}, after {}", refusals.join("; ")), meaning)
}

async fn dial(address: SocketAddr, bind: Option<IpAddr>) -> std::io::Result<TcpStream> {
    let Some(from) = bind else { return TcpStream::connect(address).await };
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.bind(SocketAddr::new(from, 0))?;
    socket.connect(address).await
}
