//! `upstream.proxy` and what belongs to it, resolved: written out, or as the environment says when the operator asks for it.
//!
//! Must not know connections. Invariants: the environment's proxies count only with `env`; no message holds a password.

use client::{Proxies, ProxyServer, Secret};

use super::document::Node;
use super::env_vars::Environment;
use super::problem::{Origin, Problem};
use super::raw::RawUpstream;

/// Reads the proxies for all upstreams.
pub(super) fn resolve(
    raw: &RawUpstream,
    environment: &Environment,
    document: &Node,
    problems: &mut Vec<Problem>,
) -> Proxies {
    let mut report = |field: &'static str, message: String| {
        problems.push(Problem::new(document.origin_of(field), field, message));
    };
    let login = match (&raw.proxy_username, &raw.proxy_password) {
        (Some(username), Some(password)) => Some((username.clone(), Secret::new(password.as_str()))),
        (None, None) => None,
        (Some(_), None) => {
            report("upstream.proxy_password", "required when upstream.proxy_username is given".into());
            None
        }
        (None, Some(_)) => {
            report("upstream.proxy_username", "required when upstream.proxy_password is given".into());
            None
        }
    };
    match raw.proxy.as_deref() {
        None => {
            if login.is_some() || raw.no_proxy.as_ref().is_some_and(|hosts| !hosts.is_empty()) {
                report("upstream.proxy", "required when its user name, password or exceptions are given".into());
            }
            Proxies::default()
        }
        Some("env") => {
            if login.is_some() {
                report("upstream.proxy_username", "with `env` the login stands in the variables' URLs".into());
            }
            from_environment(raw, environment, problems)
        }
        Some(url) => match ProxyServer::new(url, login) {
            Ok(server) => Proxies::all(&server, raw.no_proxy.clone().unwrap_or_default()),
            Err(message) => {
                report("upstream.proxy", format!("{message}, or env"));
                Proxies::default()
            }
        },
    }
}

/// The variables of other programs, in the order curl reads them; the lowercase ones count when the others are unset.
fn from_environment(raw: &RawUpstream, environment: &Environment, problems: &mut Vec<Problem>) -> Proxies {
    let first = |names: &[&'static str]| names.iter().find_map(|name| Some((*name, environment.get(name)?)));
    let mut server = |names: &[&'static str]| {
        let (name, value) = first(names)?;
        ProxyServer::from_variable(value)
            .map_err(|message| problems.push(Problem::new(Origin::Env(name), "upstream.proxy", message)))
            .ok()
    };
    let https = server(&["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]);
    let http = server(&["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]);
    let named = first(&["NO_PROXY", "no_proxy"]).map(|(_, value)| value).unwrap_or_default();
    let named = named.split(',').map(str::trim).filter(|host| !host.is_empty()).map(str::to_owned);
    Proxies { http, https, except: raw.no_proxy.iter().flatten().cloned().chain(named).collect() }
}
