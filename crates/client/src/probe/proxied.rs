//! The way through a proxy: as far as the proxy, and what a request through it shows.
//!
//! Names are the proxy's to resolve and connections its to make, so that is all that can be seen from here. Must not know what
//! is asked for. Invariant: the upstream is not dialled past the proxy.

use std::net::SocketAddr;

use url::{Host, Url};

use super::network::{connection, described, plain_http};
use super::report::{Check, CheckId, Outcome};
use super::seen::text;
use super::session::Session;
use crate::egress::ProxyServer;

const UNREACHED: &str = "nothing can be fetched through a proxy that is not there; what is cached is served";

/// Checks the way to the proxy and one request through it.
pub(super) async fn check(session: &Session, proxy: &ProxyServer) -> Vec<Check> {
    let found = addresses(session, proxy.url()).await;
    let except =
        if session.config.network.proxies.except.is_empty() { "" } else { ", unless no_proxy names the upstream" };
    let whose = match proxy.url().scheme() {
        "socks5" => "the upstream's name is resolved here",
        _ => "the upstream's name is resolved by the proxy",
    };
    let dns = |outcome, seen: String, meaning: &str| Check::new(CheckId::Dns, outcome, text(&seen), meaning);
    let places = match found {
        Ok((shown, addresses)) => {
            let check = dns(Outcome::Pass, format!("through the proxy {shown}{except}"), whose);
            (check, addresses.into_iter().map(|address| (address, proxy.url().clone())).collect::<Vec<_>>())
        }
        Err(why) => return vec![dns(Outcome::Fail, format!("the proxy {why}"), UNREACHED)],
    };
    let (dns, places) = places;
    let (mut tcp, stream) = connection(&places, session).await;
    tcp.seen = format!("to the proxy: {}", tcp.seen);
    let mut checks = vec![dns, tcp];
    if stream.is_some() {
        checks.push(tls(session).await);
    }
    checks
}

async fn addresses(session: &Session, proxy: &Url) -> Result<(String, Vec<SocketAddr>), String> {
    let port = proxy.port_or_known_default().unwrap_or(1080);
    let (name, found) = match proxy.host() {
        Some(Host::Domain(name)) => {
            let found = session.client.transport().look_up(name).await;
            (Some(name), found.map_err(|error| format!("{name} does not resolve: {error}"))?)
        }
        Some(Host::Ipv4(address)) => (None, vec![address.into()]),
        Some(Host::Ipv6(address)) => (None, vec![address.into()]),
        None => return Err("has no host".to_owned()),
    };
    let shown = found.iter().map(|address| described(*address)).collect::<Vec<_>>().join(", ");
    let shown = name.map_or(shown.clone(), |name| format!("{name}, {shown}"));
    Ok((shown, found.into_iter().map(|address| SocketAddr::new(address, port)).collect()))
}

/// The handshake with the upstream happens inside the proxy's tunnel: a request shows whether it succeeds.
async fn tls(session: &Session) -> Check {
    if session.url().scheme() != "https" {
        return plain_http();
    }
    match session.ask_anonymously(&session.base()).await {
        Ok(answer) => {
            let seen = format!("through the proxy: {:?}, answered {}", answer.version, answer.brief());
            Check::new(
                CheckId::Tls,
                Outcome::Pass,
                seen,
                "the certificate was verified as for a pull, inside the tunnel",
            )
        }
        Err(error) => {
            let meaning = "no pull gets through the proxy until this is put right; what is cached is served";
            Check::new(CheckId::Tls, Outcome::Fail, text(&error.to_string()), meaning)
        }
    }
}
